"""Carry a client's message to an internal service and its answer back, by the rule of the message's event.

    message -> rule -> HTTP call (pooled) -> 2xx: {"ok": true, reply..}   else: {"ok": false, "error"}

Law: whatever goes wrong, the client gets an ack with a sentence and the connection lives on. Failures are counted.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import aiohttp
from yarl import URL

from reference_gateway.api.rules import Call, Rule, RuleTable
from reference_gateway.api.template import MissingValueError
from reference_gateway.wire import refused

MAX_ANSWER_BYTES: Final = 1024 * 1024
_POOL: Final = 200
_IDLE_S: Final = 30.0

log = logging.getLogger(__name__)


def open_pool() -> aiohttp.ClientSession:
    """Return the connection pool to the internal services; close it when done."""
    connector = aiohttp.TCPConnector(limit=_POOL, keepalive_timeout=_IDLE_S)
    return aiohttp.ClientSession(connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())


class Calls:
    """Turns messages into calls over one pool."""

    def __init__(self, session: aiohttp.ClientSession, services: dict[str, str]) -> None:
        """Use `session` for calls to `services`, a base URL per placeholder."""
        self._session = session
        self._services = services
        self.carried = 0
        self.failed = 0

    async def carry(self, table: RuleTable, message: dict[str, Any]) -> dict[str, Any]:
        """Return the ack's one argument for `message` = {"event", "args", "client", "node"}."""
        event, args = message.get("event"), message.get("args")
        rule = table.rules.get(event) if isinstance(event, str) else None
        if rule is None:
            return refused(f"unknown event {str(event)[:80]!r}")
        if not isinstance(args, list) or len(args) > 1 or not all(isinstance(argument, dict) for argument in args):
            return refused(f"{event}: expected one argument, an object")
        values = {
            **(args[0] if args else {}),
            "client": message.get("client"),
            "node": message.get("node"),
            "event": event,
        }
        try:
            call = rule.call(values, self._services)
        except MissingValueError as missing:
            return refused(f"{event}: '{missing.name}' is missing")
        return await self._send(rule, call)

    async def _send(self, rule: Rule, call: Call) -> dict[str, Any]:
        try:
            async with self._session.request(
                call.method,
                URL(call.url, encoded=True),
                json=call.body,
                timeout=aiohttp.ClientTimeout(total=call.timeout_s),
                allow_redirects=False,
            ) as response:
                if (response.content_length or 0) > MAX_ANSWER_BYTES:
                    raise ValueError("answer too large")
                answer = await response.json(content_type=None)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            return self._fail(rule, f"{type(error).__name__} at the service")
        if not isinstance(answer, dict):
            return self._fail(rule, f"the service answered {status} without a JSON object")
        if not 200 <= status < 300:
            why = answer.get("error")
            return self._fail(rule, why if isinstance(why, str) else f"the service answered {status}")
        try:
            reply = rule.reply_of(answer)
        except MissingValueError as missing:
            return self._fail(rule, f"the service's answer has no '{missing.name}'")
        self.carried += 1
        return {"ok": True, **reply}

    def _fail(self, rule: Rule, why: str) -> dict[str, Any]:
        self.failed += 1
        log.info("%s failed: %s", rule.event, why)
        return refused(f"{rule.event}: {why}")
