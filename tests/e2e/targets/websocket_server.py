"""An application of its own on the `websockets` library: JSON messages on plain WebSocket.

    {"op": "join", "topic": T}            -> {"op": "joined", "topic": T}
    {"op": "say", "topic": T, "body": B}  -> to all of the topic {"op": "said", "topic": T, "body": B}
    anything else                         -> {"op": "error", "why": ...}

SIGUSR2 closes every connection with 1012 (service restart). First line on stdout: {"port": N}. With --tls CERT KEY it
speaks wss; with --client-ca CA too it talks only to clients that show a certificate of that authority. Listens on
127.0.0.1 or --host; imports nothing of the project.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import ssl
import sys
from collections import defaultdict
from http import HTTPStatus

from websockets.asyncio.server import Request, Response, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

topics: dict[str, set[ServerConnection]] = defaultdict(set)
everybody: set[ServerConnection] = set()


async def handle(peer: ServerConnection) -> None:
    everybody.add(peer)
    joined: set[str] = set()
    try:
        async for text in peer:
            await answer(peer, joined, text)
    except ConnectionClosed:
        return
    finally:
        everybody.discard(peer)
        for topic in joined:
            topics[topic].discard(peer)


async def answer(peer: ServerConnection, joined: set[str], text: str | bytes) -> None:
    try:
        message = json.loads(text)
        op, topic = message["op"], message["topic"]
    except (ValueError, TypeError, KeyError):
        await peer.send(json.dumps({"op": "error", "why": "a message is an object with op and topic"}))
        return
    if op == "join":
        topics[topic].add(peer)
        joined.add(topic)
        await peer.send(json.dumps({"op": "joined", "topic": topic}))
    elif op == "say":
        broadcast(topics[topic], json.dumps({"op": "said", "topic": topic, "body": message.get("body")}))
    else:
        await peer.send(json.dumps({"op": "error", "why": f"no op {op!r}"}))


def count(connection: ServerConnection, request: Request) -> Response | None:
    """Answer GET /count in place of an upgrade."""
    if request.path != "/count":
        return None
    sizes = {topic: len(members) for topic, members in topics.items() if members}
    return connection.respond(HTTPStatus.OK, json.dumps({"sockets": len(everybody), "topics": sizes}))


async def main(host: str, port: int, tls: list[str] | None, client_ca: str | None) -> None:
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        if client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
    loop, ending, dropping = asyncio.get_running_loop(), asyncio.Event(), set()

    def drop() -> None:
        for peer in tuple(everybody):
            task = loop.create_task(peer.close(1012, "restart"))
            dropping.add(task)
            task.add_done_callback(dropping.discard)

    loop.add_signal_handler(signal.SIGUSR2, drop)
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    options = {"compression": None, "ssl": context, "backlog": 4096, "ping_interval": None, "close_timeout": 0.5}
    async with serve(handle, host, port, process_request=count, **options) as server:
        sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
        sys.stdout.flush()
        await ending.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", nargs="?", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--client-ca", metavar="CA")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.host, arguments.port, arguments.tls, arguments.client_ca))
