"""A client of literal Engine.IO and Socket.IO packets, and the transcript of what a server says to it.

Two transcripts are equal if the servers behaved the same: session ids and ack ids are named in the order they appear,
JSON is compared as values, and how packets are spread over polls does not count.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
from typing import Any

import aiohttp

WAIT_S = 5.0
SEPARATOR = "\x1e"
_PACKET = re.compile(r"(4[0-6](?:\d+-)?)((?:/[^,]*,)?)(\d*)([\[{].*)?", re.DOTALL)
_NOOP = "6"


class Conversation:
    """Talk to the server at `base` (http://host:port); what it says is in `transcript`."""

    def __init__(self, base: str, http: aiohttp.ClientSession) -> None:
        self.transcript: list[Any] = []
        self.sid = ""
        self._base = f"{base}/socket.io/"
        self._http = http
        self._names: dict[str, str] = {}
        self._heard: list[str] = []
        self._polling: asyncio.Task[tuple[int, str]] | None = None
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []
        self.asked = ""  # the ack id of the last event that asks for one

    def note(self, *entry: Any) -> None:
        self.transcript.append(entry)

    # ---- HTTP

    async def request(self, method: str, query: str, body: str | None = None, **headers: str) -> None:
        """Send any request, and note the answer: its status, and its code if it is one of engine.io's errors."""
        status, text = await self._ask(method, query, body, headers)
        self.note(method, status, _reason(text) if status != 200 else text[:1])

    async def _ask(
        self, method: str, query: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        data = io.BytesIO(body.encode()) if isinstance(body, str) else body
        headers = {"Content-Type": "text/plain;charset=UTF-8", **(headers or {})}
        try:
            async with self._http.request(method, self._base + query, data=data, headers=headers) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, "cut"

    def _query(self) -> str:
        return f"?EIO=4&transport=polling&sid={self.sid}"

    async def open(self) -> None:
        """Handshake by polling."""
        status, text = await self._ask("GET", "?EIO=4&transport=polling")
        self._note_open(text, status)

    def _note_open(self, text: str, status: int) -> None:
        hello = json.loads(text[1:])
        self.sid = hello.pop("sid")
        self.note("open", status, text[0], hello)

    async def post(self, *packets: str, **headers: str) -> None:
        status, text = await self._ask("POST", self._query(), SEPARATOR.join(packets), headers)
        self.note("post", status, text if status == 200 else _reason(text))

    async def start_poll(self) -> None:
        """Send a GET whose answer is noted by `end_poll`, and give the server the time to see it."""
        self._polling = asyncio.create_task(self._ask("GET", self._query()))
        await asyncio.sleep(0.2)

    async def end_poll(self) -> None:
        assert self._polling is not None
        status, text = await asyncio.wait_for(self._polling, WAIT_S)
        self.note(
            "poll", status, [self._plain(each) for each in text.split(SEPARATOR)] if status == 200 else _reason(text)
        )

    async def poll(self) -> None:
        """GET, and note the answer as it is."""
        self._polling = asyncio.create_task(self._ask("GET", self._query()))
        await self.end_poll()

    async def hear(self, count: int = 1) -> None:
        """Poll until `count` packets have come, noops apart, and note those."""
        heard: list[Any] = []
        while len(heard) < count:
            status, text = await asyncio.wait_for(self._ask("GET", self._query()), WAIT_S)
            if status != 200:
                heard.append((status, _reason(text)))
                break
            heard += [self._plain(each) for each in text.split(SEPARATOR) if each != _NOOP]
        self.note("heard", *heard)

    # ---- WebSocket

    async def connect(self, sid: str = "", query: str = "?EIO=4&transport=websocket") -> None:
        """Open a WebSocket; without a session, note the OPEN packet."""
        try:
            socket = await self._http.ws_connect(self._base + query + (f"&sid={sid}" if sid else ""), max_msg_size=0)
        except aiohttp.WSServerHandshakeError as error:
            self.note("refused", error.status)
            return
        self._sockets.append(socket)
        if not sid:
            self._note_open(str((await socket.receive(WAIT_S)).data), 200)

    async def send(self, *messages: str | bytes, socket: int = -1) -> None:
        for message in messages:
            await (self._sockets[socket].send_str if isinstance(message, str) else self._sockets[socket].send_bytes)(
                message
            )

    async def receive(self, count: int = 1, socket: int = -1) -> None:
        """Note the next messages, or that the server has closed."""
        heard: list[Any] = []
        while len(heard) < count:
            message = await self._sockets[socket].receive(WAIT_S)
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                heard.append("closed")
                break
            heard.append(message.data if isinstance(message.data, bytes) else self._plain(str(message.data)))
        self.note("received", *heard)

    async def leave(self, socket: int = -1) -> None:
        await self._sockets[socket].close()

    async def end(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)
        for socket in self._sockets:
            await socket.close()

    # ---- what is the same

    def _plain(self, packet: str) -> Any:
        """Return a packet with its names made comparable."""
        match = _PACKET.fullmatch(packet)
        if match is None:
            return packet
        kind, namespace, ack, data = match.groups()
        if kind[1] in "25" and ack:
            self.asked, ack = ack, "<ack>"
        value = json.loads(data) if data else None
        if isinstance(value, dict) and "sid" in value:
            value["sid"] = self._names.setdefault(value["sid"], f"<sid {len(self._names)}>")
        return kind, namespace, ack, value


def _reason(text: str) -> str:
    """Return what engine.io says of a request, however the server writes it."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, TypeError, KeyError):
        return text
