"""What godserver answers; a pure function of the request and of three things it holds: fleet, cohorts, flags.

GET /v1/bootstrap?client=ID -> 200 {"gateway": {"url", "version"}, "flags": {..}}
GET /v1/shares              -> 200 {"sync": 0.5, "bifrost-1": 0.5}
PUT /v1/shares              -> 200 the same; 400 wrong shares, 401 without the control token
PUT /v1/fleet               -> 200 {"sync": ["ws://..", ..], ..}, the nodes from now on; 400, 401
GET /healthz                -> 200 {"ok", "nodes": [{"url", "version", "healthy", "load"}], "answered"}
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from reference_gateway.errors import SettingError
from reference_gateway.godserver.cohort import Cohorts
from reference_gateway.godserver.fleet import Fleet
from reference_gateway.godserver.http import response

MAX_CLIENT_BYTES: Final = 256
_UNAUTHORIZED = response(401, {"error": "the control token is missing or wrong"})
_NOT_FOUND = response(404, {"error": "no such path: there is /v1/bootstrap, /v1/shares, /v1/fleet, /healthz"})
_NO_METHOD = response(405, {"error": "this method is not allowed here"})
_NO_CLIENT = response(400, {"error": f"give the client's id: /v1/bootstrap?client=ID, 1 to {MAX_CLIENT_BYTES} bytes"})


class Godserver:
    """The first call of every client, and the control of the rollout."""

    def __init__(self, fleet: Fleet, shares: Mapping[str, float], flags: Mapping[str, Any], token: str) -> None:
        """Serve `fleet`; `flags` reach every client, `token` may change the shares.

        Raises:
            SettingError: the shares do not fit the fleet.
        """
        self._fleet = fleet
        self._cohorts = Cohorts(shares, fleet.versions)
        self._expected = f"Bearer {token}".encode()
        self._flags = dict(flags)
        self.fleet_changed: Callable[[], None] = lambda: None  # called after it was replaced
        self.answered = 0
        self._prepare_answers()

    def _prepare_answers(self) -> None:
        """Make one answer per node: a request only chooses."""
        self._answers = {
            node.url: response(200, {"gateway": {"url": node.url, "version": node.version}, "flags": self._flags})
            for node in self._fleet.nodes
        }

    def handle(self, method: bytes, path: bytes, query: bytes, authorization: bytes, body: bytes) -> bytes:
        """Return the whole response to one request.

        Cost: 2 us for a bootstrap, most of it the hash.
        """
        if path == b"/v1/bootstrap":
            return self._bootstrap(query) if method == b"GET" else _NO_METHOD
        if path == b"/v1/shares":
            return self._shares(method, authorization, body)
        if path == b"/v1/fleet":
            return self._replace_fleet(method, authorization, body)
        if path == b"/healthz":
            return response(200, self._health())
        return _NOT_FOUND

    def _bootstrap(self, query: bytes) -> bytes:
        client = _client_of(query)
        if not 0 < len(client) <= MAX_CLIENT_BYTES:
            return _NO_CLIENT
        self.answered += 1
        return self._answers[self._fleet.next_node(self._cohorts.version_of(client)).url]

    def _replace_fleet(self, method: bytes, authorization: bytes, body: bytes) -> bytes:
        if method != b"PUT":
            return _NO_METHOD
        if not hmac.compare_digest(authorization, self._expected):
            return _UNAUTHORIZED
        try:
            urls = json.loads(body)
            self._fleet.replace(urls)
        except (SettingError, ValueError, AttributeError, TypeError) as error:
            return response(400, {"error": str(error)})
        self._prepare_answers()
        self.fleet_changed()
        return response(200, urls)

    def _shares(self, method: bytes, authorization: bytes, body: bytes) -> bytes:
        if method == b"PUT":
            if not hmac.compare_digest(authorization, self._expected):
                return _UNAUTHORIZED
            try:
                self._cohorts = Cohorts(json.loads(body), self._fleet.versions)
            except (SettingError, ValueError) as error:
                return response(400, {"error": str(error)})
        elif method != b"GET":
            return _NO_METHOD
        return response(200, self._cohorts.shares)

    def _health(self) -> dict[str, Any]:
        nodes = [
            {"url": node.url, "version": node.version, "healthy": node.healthy, "load": node.load}
            for node in self._fleet.nodes
        ]
        return {"ok": True, "nodes": nodes, "answered": self.answered}


def _client_of(query: bytes) -> bytes:
    for pair in query.split(b"&"):
        if pair.startswith(b"client="):
            value = pair[7:]
            return unquote_to_bytes(value.replace(b"+", b" ")) if b"%" in value or b"+" in value else value
    return b""
