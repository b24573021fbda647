"""NGINX reloads its configuration while clients are connected, and polling sessions meet their node through it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.reference_stack import RunningStack, ask, running_stack
from tests.e2e.test_run_front import nginx_processes, pytestmark

__all__ = ["pytestmark"]

COLLECTION = '{"collection":"c-1"}'
SENT_ON = 4013
WAIT_S = 5.0


def base(stack: RunningStack) -> str:
    return str(stack.ready["gateway_urls"][0]).replace("ws://", "http://")


def connections(stack: RunningStack) -> list[int]:
    """Return how many clients each node has, by its own word."""
    nodes = [part["url"] for part in stack.status()["parts"] if part["kind"] == "gateway"]
    return [ask(f"http://{url.split('/')[2]}/healthz")[1]["connections"] for url in nodes]


# --- WebSockets ------------------------------------------------------------------------------------------------------


class Viewer:
    """A WebSocket session, subscribed; `seen` are the revisions it heard of, `ended` the code it was closed with."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.seen: list[int] = []
        self.ended: int | None = None

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, url: str) -> Viewer:
        viewer = cls(await http.ws_connect(f"{url}?EIO=4&transport=websocket"))
        await viewer.socket.receive_str(timeout=WAIT_S)
        await viewer.socket.send_str("40")
        await viewer.socket.receive_str(timeout=WAIT_S)
        await viewer.socket.send_str(f'420["subscribe",{COLLECTION}]')
        return viewer

    async def listen(self) -> None:
        async for message in self.socket:
            if str(message.data).startswith('42["revision"'):
                self.seen.append(json.loads(message.data[2:])[1]["revision"])
        self.ended = self.socket.close_code


def test_sockets_outlive_the_reload_that_a_new_node_brings_and_only_those_sent_on_are_closed(tmp_path: Path) -> None:
    """The old workers of nginx keep what they have; the new ones take who comes, to the new node too."""

    async def scenario(stack: RunningStack) -> tuple[list[Viewer], list[Viewer], list[int], int]:
        async with aiohttp.ClientSession() as http:
            viewers = [await Viewer.open(http, base(stack)) for _ in range(60)]
            listening = [asyncio.create_task(viewer.listen()) for viewer in viewers]

            def edits() -> Any:
                staying = next(viewer for viewer in viewers if viewer.ended is None)
                return staying.socket.send_str('42["edit",{"collection":"c-1","parameter":"url","text":"x"}]')

            async with edited(edits):
                while not (await asyncio.to_thread(stack.status))["scaled"]:
                    await asyncio.sleep(0.05)
                while sum(viewer.ended is not None for viewer in viewers) < 30:
                    await asyncio.sleep(0.05)
                moved = [await Viewer.open(http, base(stack)) for viewer in viewers if viewer.ended is not None]
                await asyncio.sleep(0.3)
            counts = await asyncio.to_thread(connections, stack)
            processes = len(nginx_processes((await asyncio.to_thread(stack.pids))["front"]))
            sent_on = [viewer for viewer in viewers if viewer.ended == SENT_ON]
            stayed = [viewer for viewer in viewers if viewer.ended is None]
            for socket in [viewer.socket for viewer in [*viewers, *moved]]:
                await socket.close()
            await asyncio.gather(*listening)
        return stayed, sent_on, counts, processes

    by_schedule = ("--front", "nginx", "--autoscale", "2", "--scale-on", "none", "--scale-at", "2s=2")
    with running_stack(tmp_path, "bifrost-5", 1, *by_schedule) as stack:
        stayed, sent_on, counts, processes = asyncio.run(asyncio.wait_for(scenario(stack), 20))
    assert (len(stayed), len(sent_on)) == (30, 30)
    assert counts[1] > 0
    assert sum(counts) == 60
    # The master, those who keep old sockets (the kernel may have dealt all that stay to one), those who take new ones.
    assert processes in (1 + 1 + 2, 1 + 2 + 2)
    for viewer in stayed:
        first, last = viewer.seen[0], viewer.seen[-1]
        assert last > 40
        assert viewer.seen == list(range(first, last + 1))


@contextlib.asynccontextmanager
async def edited(edit: Any) -> AsyncIterator[None]:
    """Edit fifty times a second around the block."""

    async def go_on() -> None:
        while True:
            with contextlib.suppress(ConnectionResetError):  # closed this moment, not noticed yet
                await edit()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# --- polling ---------------------------------------------------------------------------------------------------------


class Poller:
    """A polling session from an address of its own."""

    def __init__(self, url: str, address: str) -> None:
        self._url = f"{url}?EIO=4&transport=polling"
        self.address = address
        connector = aiohttp.TCPConnector(local_addr=(address, 0), force_close=True)
        self.http = aiohttp.ClientSession(connector=connector)
        self.sid = ""

    async def open(self) -> None:
        status, text = await self.ask("GET")
        assert status == 200
        self.sid = json.loads(text[1:])["sid"]
        assert await self.ask("POST", "40") == (200, "ok")
        assert (await self.ask("GET"))[0] == 200
        assert await self.ask("POST", f'420["subscribe",{COLLECTION}]') == (200, "ok")
        assert (await self.ask("GET"))[1].startswith("430[")

    async def ask(self, method: str, body: str | None = None, sid: str | None = None) -> tuple[int, str]:
        query = f"&sid={sid or self.sid}" if sid or self.sid else ""
        async with self.http.request(method, self._url + query, data=body) as answer:
            return answer.status, await answer.text()


def test_polling_sessions_meet_their_node_through_the_front_before_and_after_a_reload(tmp_path: Path) -> None:
    async def scenario(stack: RunningStack) -> None:
        pollers = [Poller(base(stack), f"127.0.3.{number}") for number in range(1, 17)]
        await asyncio.gather(*(poller.open() for poller in pollers))
        first = pollers[0]
        counts = await asyncio.to_thread(connections, stack)
        assert sum(counts) == 16
        assert all(counts), "by address they are spread"

        asked = [await poller.ask("POST", "3", first.sid) for poller in pollers]
        assert asked[0] == (200, "ok")
        assert {status for status, _ in asked} == {200, 400}, "who comes from elsewhere may meet another node"

        waiting = [asyncio.create_task(poller.ask("GET")) for poller in pollers]
        await asyncio.sleep(0.3)
        front = (await asyncio.to_thread(stack.pids))["front"]
        workers = set(nginx_processes(front))
        os.kill(front, signal.SIGHUP)
        while len(set(nginx_processes(front)) - workers) < 2:
            await asyncio.sleep(0.02)
        edit = '42["edit",{"collection":"c-1","parameter":"url","text":"x"}]'
        for revision in (1, 2):  # the first to polls that were there before the reload, the second to later ones
            assert await first.ask("POST", edit) == (200, "ok")
            for status, text in await asyncio.wait_for(asyncio.gather(*waiting), WAIT_S):
                assert status == 200
                assert f'"revision":{revision}' in text
            waiting = [asyncio.create_task(poller.ask("GET")) for poller in pollers]
        for poll in waiting:
            poll.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

        url = f"{base(stack)}?EIO=4&transport=websocket&sid={first.sid}"
        async with first.http.ws_connect(url) as socket:
            await socket.send_str("2probe")
            assert await socket.receive_str(timeout=WAIT_S) == "3probe"
        for poller in pollers:
            await poller.http.close()

    with running_stack(tmp_path, "bifrost-1", 2, "--front", "nginx") as stack:
        asyncio.run(asyncio.wait_for(scenario(stack), 20))
