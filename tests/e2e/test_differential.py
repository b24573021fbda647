"""The gateway and the official npm socket.io server, held against each other: one conversation, two transcripts.

Where the gateway differs on purpose, `DIFFERENCES` says where and why; any other difference fails, and so does an entry
there that is no difference any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from reference_gateway.broker import MemoryBroker
from reference_gateway.gateway.server import Node
from reference_gateway.gateway.settings import Settings

from .conftest import TARGETS, ForeignTarget, StartTarget
from .conversation import Conversation

pytestmark = pytest.mark.e2e

Scenario = Callable[[Conversation], Awaitable[None]]
PLACEHOLDER = '{"_placeholder":true,"num":%d}'
BINARY = b"\x00\x01\xfe\xff"
BASE64 = "bAAH+/w=="


# --- the conversations ---------------------------------------------------------------------------------------------


async def poll_and_ack(talk: Conversation) -> None:
    await talk.open()
    await talk.post("40")
    await talk.hear()
    await talk.post('420["echo",1,"é\\u2028😀",{"a":null}]', '421["echo"]')
    await talk.hear(2)
    await talk.post('42["tell",{"n":1.5}]', '42["tell",[]]', "3")
    await talk.hear(2)


async def poll_waits_for_something_to_say(talk: Conversation) -> None:
    await talk.open()
    await talk.post("40")
    await talk.hear()
    await talk.start_poll()
    await talk.post('427["echo","x"]')
    await talk.end_poll()


async def poll_disconnect_and_join_again(talk: Conversation) -> None:
    await talk.open()
    await talk.post("40")
    await talk.hear()
    await talk.post("41")
    await talk.post("40")
    await talk.hear()
    await talk.post('420["echo"]')
    await talk.hear()


async def poll_client_closes(talk: Conversation) -> None:
    await talk.open()
    await talk.post("40")
    await talk.hear()
    await talk.start_poll()
    await talk.post("1")
    await talk.end_poll()
    await talk.poll()


async def socket_and_ack(talk: Conversation) -> None:
    await talk.connect()
    await talk.send("40")
    await talk.receive()
    await talk.send('420["echo",1,"é"]', '42["tell",{"n":1}]')
    await talk.receive(2)
    await talk.send("41")
    await asyncio.sleep(0.1)
    await talk.send("40")
    await talk.receive()
    await talk.send('425["echo","again"]')
    await talk.receive()


async def upgrade(talk: Conversation) -> None:
    await talk.open()
    await talk.post("40")
    await talk.hear()
    await talk.start_poll()
    await talk.connect(talk.sid)
    await talk.send("2probe")
    await talk.receive()
    await talk.end_poll()  # the noop
    await talk.post('421["echo","while probing"]')
    await talk.send("5", '422["echo","after"]')
    await talk.receive(2)
    await talk.send(f'451-3["echo",{PLACEHOLDER % 0}]', BINARY)
    await talk.receive(2)


async def upgrade_before_joining(talk: Conversation) -> None:
    await talk.open()
    await talk.connect(talk.sid)
    await talk.send("2probe")
    await talk.receive()
    await talk.send("5", "40")
    await talk.receive()


async def upgrade_is_tried_twice_at_once(talk: Conversation) -> None:
    await talk.open()
    await talk.connect(talk.sid)
    await talk.send("2probe")
    await talk.receive()
    await talk.connect(talk.sid)
    await talk.receive()
    await talk.send("5", "40", socket=0)
    await talk.receive(socket=0)


async def upgrade_fails_and_the_client_polls_on(talk: Conversation) -> None:
    await talk.open()
    await talk.post("40")
    await talk.hear()
    for wrong in ("3probe", "2", "4", '42["echo"]'):
        await talk.connect(talk.sid)
        await talk.send(wrong)
        await talk.receive()
    await talk.connect(talk.sid)
    await talk.leave()
    await talk.post('421["echo","still here"]')
    await talk.hear()


async def polls_after_the_upgrade(talk: Conversation) -> None:
    await upgrade_before_joining(talk)
    await talk.poll()
    await talk.send('421["echo","unmoved"]')
    await talk.receive()


async def namespaces(talk: Conversation) -> None:
    await talk.connect()
    for each in ("40", '40/admin,{"token":"x"}', "40/nope,", "40/nope?a=b,{}"):
        await talk.send(each)
        await talk.receive()
    await talk.send('42/admin,1["echo","a"]', '421["echo","b"]', '42/admin,["tell","c"]')
    await talk.receive(3)
    await talk.send("41", '42/admin,2["echo","only there"]')
    await talk.receive()
    await talk.send("41/admin,")
    await asyncio.sleep(0.1)
    await talk.send("40/admin,")
    await talk.receive()
    await talk.send('42/admin,3["echo"]')
    await talk.receive()


async def namespace_without_the_main_one(talk: Conversation) -> None:
    await talk.open()
    await talk.post("40/admin,")
    await talk.hear()
    await talk.post('42/admin,0["echo",{}]', '42/admin,["ask","you"]')
    await talk.hear(2)
    await talk.post(f'43/admin,{talk.asked}["me"]')
    await talk.hear()


async def binary_by_polling(talk: Conversation) -> None:
    await talk.open()
    await talk.post("40")
    await talk.hear()
    await talk.post(f'451-0["echo",{PLACEHOLDER % 0},"text"]', BASE64)
    await talk.hear(2)
    await talk.post(f'452-["tell",{{"a":[{PLACEHOLDER % 1}],"b":{PLACEHOLDER % 0}}}]', BASE64, "b")
    await talk.hear(3)


async def binary_by_socket(talk: Conversation) -> None:
    await talk.connect()
    await talk.send("40", "40/admin,")
    await talk.receive(2)
    await talk.send(f'451-0["echo",{PLACEHOLDER % 0}]', BINARY)
    await talk.receive(2)
    await talk.send(f'452-/admin,1["echo",{PLACEHOLDER % 0},{PLACEHOLDER % 1}]', b"", b"x" * 70_000)
    await talk.receive(3)
    await talk.send('421["echo","and text again"]')
    await talk.receive()


async def acks_of_the_client(talk: Conversation) -> None:
    await talk.connect()
    await talk.send("40")
    await talk.receive()
    await talk.send('42["ask","one"]')
    await talk.receive()
    await talk.send(f"43{talk.asked}[1,2]", f"43{talk.asked}[3]", "43999[4]")  # one answers, two answer nothing
    await talk.receive()
    await talk.send('42["ask"]')
    await talk.receive()
    await talk.send(f"461-{talk.asked}[{PLACEHOLDER % 0}]", BINARY)
    await talk.receive(2)


async def two_polls_at_once(talk: Conversation) -> None:
    await talk.open()
    await talk.post("40")
    await talk.hear()
    await talk.start_poll()
    first = talk._polling
    await talk.poll()
    talk._polling = first
    await talk.end_poll()
    await talk.poll()


async def two_posts_at_once(talk: Conversation) -> None:
    await talk.open()
    await talk.post("40")
    await talk.hear()
    slow = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"42"
        await slow.wait()

    first = asyncio.create_task(talk._ask("POST", talk._query(), body()))  # type: ignore[arg-type]
    await asyncio.sleep(0.2)
    await talk.post('42["tell"]')
    slow.set()
    talk.note(await first)
    await talk.poll()


async def poll_is_abandoned(talk: Conversation) -> None:
    await talk.open()
    await talk.post("40")
    await talk.hear()
    await talk.start_poll()
    assert talk._polling is not None
    talk._polling.cancel()
    await asyncio.sleep(0.2)
    await talk.poll()


async def oversized_post(talk: Conversation) -> None:
    """Whether the session outlives it depends on when the client stops sending: not looked at."""
    await talk.open()
    await talk.post("40")
    await talk.hear()
    await talk.post('420["echo","%s"]' % ("x" * (1 << 20)))


async def largest_post(talk: Conversation) -> None:
    await talk.open()
    await talk.post("40")
    await talk.hear()
    await talk.post('421["echo","%s"]' % ("x" * ((1 << 20) - 100)))
    await talk.hear()


async def oversized_message(talk: Conversation) -> None:
    await talk.connect()
    await talk.send("40")
    await talk.receive()
    await talk.send('420["echo","%s"]' % ("x" * (1 << 20)))
    await talk.receive()


async def unreadable_requests(talk: Conversation) -> None:
    for query in (
        "?EIO=3&transport=polling",
        "?transport=polling",
        "?EIO=4",
        "?EIO=4&transport=carrier-pigeon",
        "?EIO=4&transport=websocket",
        "?EIO=4&transport=polling&sid=unknown",
        "?EIO=4&transport=websocket&sid=unknown",
        "?EIO=4&transport=carrier-pigeon&sid=unknown",
        "?EIO=4&transport=polling&sid=",
    ):
        for method in ("GET", "POST", "PUT"):
            await talk.request(method, query, None if method == "GET" else "40")
    await talk.open()
    await talk.request("PUT", f"?EIO=4&transport=polling&sid={talk.sid}", "40")
    await talk.request("GET", f"?EIO=3&transport=polling&sid={talk.sid}")
    await talk.request("GET", f"?EIO=4&transport=websocket&sid={talk.sid}")
    await talk.post("40")
    await talk.hear()
    await talk.post("40", **{"Content-Type": "application/octet-stream"})
    await talk.poll()


async def unreadable_upgrades(talk: Conversation) -> None:
    for query in ("?EIO=4&transport=pigeon", "?EIO=4&transport=websocket&sid=unknown"):
        await talk.connect("-", query)


BAD = [
    "",
    "x",
    "4",
    "49",
    "2",
    "3",
    "0",
    "5",
    "6",
    '42["connect"]',
    '42{"a":1}',
    "42[}",
    "42[]",
    '40["x"]',
    "40",
    "40null",
]
BAD += [
    "41[]",
    "44",
    '42/admin,["echo"]',
    '451["a"]',
    '450-["a"]',
    '4511-["a"]',
    f'451-["a",{PLACEHOLDER % 1}]',
    "bAAAA",
]
BAD += ['43{"a":1}', "43[]", "42", '42[1,"a"]', "1"]


async def bad_packets_by_polling(talk: Conversation) -> None:
    for packet in BAD:
        talk.note(packet)
        await talk.open()
        await talk.post("40")
        await talk.hear()
        await talk.post(packet, *(["bAAAA"] if packet.startswith("451-[") else []))
        await talk.post('420["echo"]')
        await talk.hear()


async def bad_packets_by_socket(talk: Conversation) -> None:
    for packet in BAD[:-1]:
        talk.note(packet)
        await talk.connect()
        await talk.send("40")
        await talk.receive()
        await talk.send(packet, *([b"x"] if packet.startswith("451-[") else []), '420["echo"]')
        await talk.receive()
    for messages in (
        [b"stray"],
        [f'451-["echo",{PLACEHOLDER % 0}]', "42[]"],
        [f'452-["echo",{PLACEHOLDER % 0}]', b"", "3"],
    ):
        talk.note(messages)
        await talk.connect()
        await talk.send("40")
        await talk.receive()
        await talk.send(*messages, '420["echo"]')
        await talk.receive()


async def event_before_joining(talk: Conversation) -> None:
    await talk.connect()
    await talk.send('420["echo"]')
    await talk.receive()


async def ping_is_answered_then_not(talk: Conversation) -> None:
    await talk.connect()
    await talk.send("40")
    await talk.receive(2)
    await talk.send("3")
    await talk.receive(2)


async def ping_by_polling_is_answered_then_not(talk: Conversation) -> None:
    await talk.open()
    await talk.hear()
    await talk.post("3", "40")
    await talk.hear(2)
    await talk.poll()
    await talk.poll()


SCENARIOS: list[Scenario] = [
    poll_and_ack,
    poll_waits_for_something_to_say,
    poll_disconnect_and_join_again,
    poll_client_closes,
    socket_and_ack,
    upgrade,
    upgrade_before_joining,
    upgrade_is_tried_twice_at_once,
    upgrade_fails_and_the_client_polls_on,
    polls_after_the_upgrade,
    namespaces,
    namespace_without_the_main_one,
    binary_by_polling,
    binary_by_socket,
    acks_of_the_client,
    two_polls_at_once,
    two_posts_at_once,
    poll_is_abandoned,
    oversized_post,
    largest_post,
    oversized_message,
    unreadable_requests,
    unreadable_upgrades,
    bad_packets_by_polling,
    bad_packets_by_socket,
    event_before_joining,
]
PINGED: list[Scenario] = [ping_is_answered_then_not, ping_by_polling_is_answered_then_not]

_ANSWER = ("43", "", "0", [])
#: Scenario -> (official, ours) for each entry of the transcripts that differs.
DIFFERENCES: dict[str, list[tuple[Any, Any]]] = {
    # An upgraded session is not remembered by the id it polled with: that would cost each one memory for its life.
    "polls_after_the_upgrade": [(("poll", 400, "Bad request"), ("poll", 400, "Session ID unknown"))],
    # An ack of nothing, an event without a name and one whose name is a number: the protocol has none of them, the
    # official server ignores them, we close.
    "bad_packets_by_polling": [(("heard", _ANSWER), ("heard", "1"))] * 3,
    "bad_packets_by_socket": [(("received", _ANSWER), ("received", "closed"))] * 3,
}


# --- the two servers -----------------------------------------------------------------------------------------------


async def _application(request: web.Request) -> web.Response:
    """The application of `differential_server.js`, behind the gateway."""
    message = await request.json()
    event, args = message["event"], message["args"]
    emit: list[dict[str, Any]] = []
    if message.get("acknowledged"):
        emit = [{"event": "answered", "args": args}]
    elif event == "tell":
        emit = [{"event": "told", "args": args}]
    elif event == "ask":
        emit = [{"event": "question", "args": args, "ack": True}]
    return web.json_response({"args": args if event == "echo" else [], "emit": emit})


@asynccontextmanager
async def _gateway(ping_interval_s: float, ping_timeout_s: float) -> AsyncIterator[str]:
    application = web.Application(client_max_size=8 << 20)
    application.router.add_post("/v1/messages", _application)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    settings = Settings(
        api_url=f"http://127.0.0.1:{runner.addresses[0][1]}",
        namespaces=frozenset({"/admin"}),
        ping_interval_s=ping_interval_s,
        ping_timeout_s=ping_timeout_s,
    )
    node = Node(settings, MemoryBroker())
    try:
        yield f"http://127.0.0.1:{await node.listen()}"
        await node.drain()
    finally:
        await node.close()
        await runner.cleanup()


async def _talk(base: str, scenario: Scenario) -> list[Any]:
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=10)) as http:
        talk = Conversation(base, http)
        try:
            await scenario(talk)
        finally:
            await talk.end()
        return talk.transcript


def _compare(official: ForeignTarget, scenarios: list[Scenario], *pings_s: float) -> None:
    async def body() -> dict[str, tuple[list[Any], list[Any]]]:
        async with _gateway(*pings_s) as ours:
            return {
                scenario.__name__: (await _talk(official.http_url, scenario), await _talk(ours, scenario))
                for scenario in scenarios
            }

    for name, (theirs, ours) in asyncio.run(body()).items():
        found = [(one, other) for one, other in zip_longest(theirs, ours) if one != other]
        assert found == DIFFERENCES.get(name, []), f"{name}: (official, ours)"


def test_gateway_says_what_the_official_server_says(node_modules: Path, start_target: StartTarget) -> None:
    argv = ["node", str(TARGETS / "differential_server.js"), "25000", "20000"]
    _compare(start_target("differential", argv, {"NODE_PATH": str(node_modules)}), SCENARIOS, 25.0, 20.0)


def test_gateway_pings_as_the_official_server_does(node_modules: Path, start_target: StartTarget) -> None:
    argv = ["node", str(TARGETS / "differential_server.js"), "400", "300"]
    _compare(start_target("pinged", argv, {"NODE_PATH": str(node_modules)}), PINGED, 0.4, 0.3)
