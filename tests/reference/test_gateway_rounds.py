"""Rounds: a node that shares its core rests before each look at its sockets."""

from __future__ import annotations

import asyncio
import socket

from reference_gateway.gateway.rounds import work_in_rounds


def looks(rest_s: float, for_s: float, *, more: bool = False) -> int:
    """Return how often a loop with a ready socket looked at it within `for_s`."""

    async def run() -> int:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        count = 0

        def look() -> None:
            nonlocal count
            count += 1

        if rest_s:
            work_in_rounds(loop, rest_s, lambda: more)
        far.send(b"x")  # never read: each look finds it
        loop.add_reader(near.fileno(), look)
        await asyncio.sleep(for_s)
        loop.remove_reader(near.fileno())
        near.close()
        far.close()
        return count

    return asyncio.run(run())


def test_node_in_rounds_looks_at_its_sockets_once_a_rest() -> None:
    assert 1 <= looks(0.02, for_s=0.2) <= 12


def test_node_does_not_rest_while_more_is_known_to_wait() -> None:
    assert looks(0.02, for_s=0.1, more=True) > 100


def test_node_without_looks_whenever_something_is_there() -> None:
    assert looks(0.0, for_s=0.1) > 100
