"""Clients' messages on their way to the private API: one HTTP call each, pooled, bounded, in order.

    session --submit--> lane (session, collection) --POST {api}/v1/messages--> {"args": [...]} --answer--> session
                                                              "emit": [{"event", "args", "ack"}] --emit--> session

The law: a lane is a queue that one task empties, call by call, so the messages of one client about one collection
reach the API in the order they were sent, while different collections go in parallel. A lane exists only while it
has messages: an idle client costs nothing here. Everything is bounded: calls per client, calls in all, connections,
seconds. A call that cannot be made or fails is an ack that says so, never silence, and is never repeated.

The API may have events sent to the caller before the ack; what the client answers to one with `"ack": true` comes back
as a call with `"acknowledged": true`. Bytes are `{"$bytes": "<base64>"}` in either direction (`binary`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import aiohttp

from reference_gateway import wire
from reference_gateway.settings import POOL_IDLE_S

from . import packets
from .measures import Measures
from .settings import Settings

SETTLE_S: Final = 2.0
_LOOK_S: Final = 0.01

log = logging.getLogger(__name__)


class Caller(Protocol):
    """What the upstream knows of a session."""

    client: str
    calls: int

    @property
    def namespace(self) -> str:
        """Where it speaks."""
        ...

    def answer_all(self, ack: str | None, args: Sequence[object]) -> None:
        """Send an ack if one was asked for and the session still lives."""

    def emit(self, event: str, args: Sequence[object], *, ack: bool) -> None:
        """Send an event, if the session still lives."""


class _Emission(NamedTuple):
    event: str
    args: list[object]
    ack: bool


class _Answer(NamedTuple):
    args: list[object]
    emissions: list[_Emission]


class _Call(NamedTuple):
    event: str
    args: list[object]
    ack: str | None
    acknowledged: bool


class UpstreamError(Exception):
    """A call failed; the text may be sent to the client, `reason` is for counting."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Upstream:
    """The private API as seen from one node. Create it inside the event loop.

    Args:
        url: base URL of the API, without a trailing slash.
        connections: HTTP connections kept to it.
        outstanding, per_client: unanswered messages at most, of all clients and of one.
        timeout_s: for one call, waiting for a connection included.
    """

    def __init__(
        self,
        url: str,
        node: str,
        measures: Measures,
        *,
        connections: int,
        outstanding: int,
        per_client: int,
        timeout_s: float,
    ) -> None:
        self._url = f"{url}/v1/messages"
        self._node = node
        self._measures = measures
        self._outstanding = outstanding
        self._per_client = per_client
        self._lanes: dict[tuple[Caller, object], deque[_Call]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.in_flight = 0
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=POOL_IDLE_S),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def submit(
        self, session: Caller, event: str, args: list[object], ack: str | None, *, acknowledged: bool = False
    ) -> None:
        """Take one message of a client; its answer comes through `session.answer_all`.

        Args:
            acknowledged: whether it is the client's ack to an event of that name.
        """
        if session.calls >= self._per_client or self.in_flight >= self._outstanding:
            whose = "yours" if session.calls >= self._per_client else "all"
            self._measures.upstream_failures["full"] += 1
            session.answer_all(ack, [wire.refused(f"too many unanswered messages ({whose}), try again")])
            return
        session.calls += 1
        self.in_flight += 1
        subject = args[0].get("collection") if args and isinstance(args[0], dict) else None
        key = (session, subject if isinstance(subject, str) else None)
        lane = self._lanes.get(key)
        call = _Call(event, args, ack, acknowledged)
        if lane is not None:
            lane.append(call)
            return
        self._lanes[key] = deque([call])
        task = asyncio.get_running_loop().create_task(self._empty(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Return when every call is answered, at the latest after `SETTLE_S`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_S):
                while self.in_flight:
                    await asyncio.sleep(_LOOK_S)

    async def close(self) -> None:
        """Give up what is under way and close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    async def _empty(self, key: tuple[Caller, object]) -> None:
        session, lane = key[0], self._lanes[key]
        while lane:
            call = lane.popleft()
            self._measures.upstream_calls += 1
            try:
                answer = await self._post(session, call)
            except UpstreamError as error:
                self._measures.upstream_failures[error.reason] += 1
                log.warning("%s: %s", call.event, error)
                answer = _Answer([wire.refused(str(error))], [])
            session.calls -= 1
            self.in_flight -= 1
            for emission in answer.emissions:
                session.emit(emission.event, emission.args, ack=emission.ack)
            session.answer_all(call.ack, answer.args)
        del self._lanes[key]

    async def _post(self, session: Caller, call: _Call) -> _Answer:
        body: dict[str, object] = {"event": call.event, "args": call.args, "client": session.client, "node": self._node}
        if session.namespace != "/":
            body["namespace"] = session.namespace
        if call.acknowledged:
            body["acknowledged"] = True
        try:
            async with self._http.post(self._url, json=body) as response:
                answer = json.loads(await response.read())
                status = response.status
        except TimeoutError as error:
            raise UpstreamError("timeout", "the API did not answer in time") from error
        except aiohttp.ClientError as error:
            raise UpstreamError("unreachable", "the API cannot be reached") from error
        except ValueError as error:
            raise UpstreamError("malformed", "the API answered nonsense") from error
        if status != 200:
            raise UpstreamError("status", f"the API answered with status {status}")
        if not isinstance(answer, dict) or not isinstance(answer.get("args"), list):
            raise UpstreamError("malformed", "the API answered nonsense")
        try:
            emissions = [
                _Emission(packets.event_name(each["event"]), list(each["args"]), each.get("ack") is True)
                for each in answer.get("emit", ())
            ]
            return _Answer(answer["args"], emissions)
        except (AttributeError, KeyError, TypeError, packets.PacketError) as error:
            raise UpstreamError("malformed", "the API answered nonsense") from error


def open_upstream(settings: Settings, measures: Measures) -> Upstream:
    """Return the upstream that the settings ask for."""
    return Upstream(
        settings.api_url,
        settings.node,
        measures,
        connections=settings.upstream_connections,
        outstanding=settings.upstream_outstanding,
        per_client=settings.upstream_per_client,
        timeout_s=settings.upstream_timeout_s,
    )
