"""Rounds: a node that shares its core rests before each look at its sockets."""

from __future__ import annotations

import asyncio
import itertools
import math
import socket

from reference_gateway.gateway.rounds import core_wait_s, spare_kernel, work_in_rounds


def looks(rest_s: float, for_s: float, *, more: bool = False, waits_s: float = math.inf) -> int:
    """Return how often a loop with a ready socket looked at it within `for_s`.

    Args:
        waits_s: what the node waits for a core before each rest.
    """
    waited_s = itertools.count(waits_s, waits_s)

    async def run() -> int:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        count = 0

        def look() -> None:
            nonlocal count
            count += 1

        if rest_s:
            work_in_rounds(loop, rest_s, lambda: more, lambda: next(waited_s))
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


def test_node_rests_as_long_as_others_want_the_core() -> None:
    assert 4 <= looks(0.4, for_s=0.8, waits_s=0.0) <= 9, "nobody does: 100 ms"
    assert 2 <= looks(0.4, for_s=0.8, waits_s=0.05) <= 5, "200 ms"
    assert 1 <= looks(0.4, for_s=0.8, waits_s=10.0) <= 3, "as long as it may"


def test_what_a_node_waited_for_a_core_only_grows() -> None:
    before_s = core_wait_s()
    sum(range(1_000_000))
    assert 0.0 < before_s <= core_wait_s() < math.inf


def test_node_does_not_rest_while_more_is_known_to_wait() -> None:
    assert looks(0.02, for_s=0.1, more=True) > 100


def test_node_without_looks_whenever_something_is_there() -> None:
    assert looks(0.0, for_s=0.1) > 100


def test_connections_of_a_crowded_node_inherit_what_spares_the_kernel() -> None:
    """TCP_QUICKACK reads 0 where an acknowledgement waits for data, from the first data sent on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        spare_kernel(listener)
        with socket.create_connection(listener.getsockname()) as client:
            served, _ = listener.accept()
            with served:
                served.sendall(b"x")
                assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"reno"
                assert served.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 0
                client.sendall(b"y")
