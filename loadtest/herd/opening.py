"""From a TCP connection to an upgraded WebSocket: the part of a connection's life that speaks HTTP.

    begin -> CONNECTING -> [TLS] -> BOOTSTRAP -> (close, connect to the gateway it named) -> [TLS] -> UPGRADING -> done

Law: one object for all slots; what an unfinished opening must remember lives in dictionaries and is forgotten when the
session stands or fails. The common way, a single address without TLS or bootstrap whose good answer is known, remembers
no more than the key it was asked with (`_asked`, `welcomed`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from loadtest.errors import ProtocolError, RemoteProtocolError, UsageError
from loadtest.herd.clients import Bootstrap, Clients
from loadtest.herd.sockets import Target
from loadtest.herd.states import BOOTSTRAP, CONNECTING, JOINING, TLS, UPGRADING
from loadtest.herd.wires import Wires
from loadtest.protocol import jsontext
from loadtest.protocol.frames import decode_text
from loadtest.protocol.handshake import check_upgrade, get_request, new_key, parse_response, retry_after_s
from loadtest.protocol.path import Path
from loadtest.protocol.template import Template

_KEYS = 32
"""Handshake keys drawn at the start and used in turn: each is a random nonce (RFC 6455 4.1), and answers repeat."""
_MOST_WELCOMES = 1024
_MOST_WELCOME_BYTES = 1024
"""Good answers kept: so many, of so many bytes each. When full they are forgotten: one that holds the date is old."""


class Step(NamedTuple):
    """Where an opening has got to: its state, or why it failed; after the upgrade also the bytes that came behind it,
    and why the connection has ended behind them; after a refusal when the server wants to be asked again."""

    state: int
    rest: bytes = b""
    failed: str | None = None
    end: str | None = None
    hint_s: float | None = None


ASKED = Step(UPGRADING)
"""The common way: the connection stood at once, and its upgrade has been asked for."""


@dataclass(slots=True)
class _Progress:
    target: Target
    source: str | None
    bootstrap: bool
    untried: tuple[Target, ...] = ()
    request: bytes = b""
    key: bytes = b""
    received: bytes = b""


class Opening:
    """Open connections for a herd.

    Args:
        targets: gateways; client i goes to number i modulo their count, unless a bootstrap names another.
        resolve: makes a Target of a URL that a bootstrap named (looked up once per URL).
    """

    def __init__(
        self, clients: Clients, targets: Sequence[Target], bootstrap: Bootstrap | None = None, resolve: Any = Target.of
    ) -> None:
        self._clients = clients
        self._targets = tuple(targets)
        self._bootstrap = bootstrap
        self._bootstrap_path = Template(bootstrap.target.path) if bootstrap else None
        self._resolve = resolve
        self._named: dict[str, Target] = {}
        self._answering: dict[str, Target] = {}
        self._chosen: dict[int, Target] = {}
        self._progress: dict[int, _Progress] = {}
        self._asked: dict[int, tuple[Target, bytes]] = {}
        self._variables: dict[int, Mapping[str, object]] = {}
        self._welcomes: dict[bytes, bytes] = {}
        self._keys = [new_key(os.urandom(16)) for _ in range(_KEYS)]
        self._turn = 0
        self._wires: Wires

    def use(self, wires: Wires) -> None:
        """Take the wires of the herd this belongs to."""
        self._wires = wires

    def variables(self, slot: int) -> Mapping[str, object]:
        """Return the placeholders of the client that is opening on `slot`."""
        return self._variables[slot]

    def gateway(self, index: int) -> Target | None:
        """Return the gateway of client `index`; None where only a bootstrap could name it."""
        return self._targets[index % len(self._targets)] if self._targets else None

    def upgrade(self, target: Target, index: int) -> bytes:
        """Return the request with which client `index` would open its WebSocket.

        Raises:
            ProtocolError: a template that cannot be filled in.
        """
        return self._clients.upgrade(target, self._clients.variables(index), self._keys[0])

    def begin(self, slot: int, index: int, source: str | None) -> Step:
        """Begin to connect; return how far that went at once."""
        variables = self._variables[slot] = self._clients.variables(index)
        if self._bootstrap is None:
            target = self._targets[index % len(self._targets)]
            if target.tls is None and not target.others:
                return self._begin_simply(slot, target, source, variables)
        chosen = self._chosen.get(slot)
        bootstrap = self._bootstrap is not None and chosen is None
        if bootstrap:
            assert self._bootstrap is not None
            target = self._bootstrap.target
        else:
            target = chosen or self._targets[index % len(self._targets)]
        self._progress[slot] = _Progress(target, source, bootstrap)
        return self._dial(slot, target)

    def _begin_simply(self, slot: int, target: Target, source: str | None, variables: Mapping[str, object]) -> Step:
        """As `_dial`, where there is one address and nothing comes before the upgrade."""
        key = self._next_key()
        try:
            request = self._clients.upgrade(target, variables, key)
        except ProtocolError as error:
            return Step(CONNECTING, failed=error.reason)
        asked, reason = self._wires.open(slot, target, source, request)
        if asked:
            self._progress.pop(slot, None)
            self._asked[slot] = target, key
            return ASKED
        if reason is None:
            self._progress[slot] = _Progress(target, source, bootstrap=False, request=request, key=key)
        return Step(CONNECTING, failed=reason)

    def _next_key(self) -> bytes:
        self._turn = (self._turn + 1) % _KEYS
        return self._keys[self._turn]

    def _dial(self, slot: int, target: Target) -> Step:
        """Connect to `target`: at the address that answered last, then at its others."""
        progress = self._progress[slot]
        try:
            progress.request = self._request(slot, progress)
        except ProtocolError as error:
            return Step(CONNECTING, failed=error.reason)
        ends: tuple[Target, ...] = (target,)
        if target.others:
            best = self._answering.get(target.url, target)
            ends = (best, *(end for end in (target, *target.others) if end.address != best.address))
        progress.untried = ends
        return self._dial_next(slot)

    def _dial_next(self, slot: int) -> Step:
        """Connect to the next untried address; where the connection stands at once, the request is out already."""
        progress = self._progress[slot]
        reason: str | None = None
        while progress.untried:
            progress.target, *untried = progress.untried
            progress.untried = tuple(untried)
            first = progress.request if progress.target.tls is None else b""
            asked, reason = self._wires.open(slot, progress.target, progress.source, first)
            if asked:
                self._settle_on(progress)
                return Step(BOOTSTRAP if progress.bootstrap else UPGRADING)
            if reason is None:
                break
        return Step(CONNECTING, failed=reason)

    def _settle_on(self, progress: _Progress) -> None:
        """Remember the address that answered, where a host has several."""
        if progress.untried or progress.target.url in self._answering:
            self._answering[progress.target.url] = progress.target
            progress.untried = ()

    def forget(self, slot: int) -> None:
        """Drop what was remembered of an opening, finished or not."""
        self._asked.pop(slot, None)
        progress = self._progress.pop(slot, None)
        if progress is not None and progress.untried:  # given up waiting for this address: begin with the next one
            self._answering[progress.target.url] = progress.untried[0]
        self._variables.pop(slot, None)

    def advance(self, slot: int, state: int, *, ended: bool = True) -> Step:
        """Do what can be done now for a slot whose descriptor is ready.

        Args:
            ended: whether the poller told of a hang-up.
        """
        if state == CONNECTING:
            return self._connected(slot, self._progress[slot])
        data, end = self._wires.receive(slot, to_the_end=ended)
        return self.take(slot, state, data, end)

    def welcomed(self, slot: int, data: bytes) -> bytes | None:
        """Return what follows the answer in the first chunk that came, if it is a good one seen before; else None."""
        asked = self._asked.get(slot)
        if asked is None:
            return None
        used = data.find(b"\r\n\r\n") + 4
        if used <= 4 or self._welcomes.get(data[:used]) != asked[1]:  # keys repeat, so good answers do
            return None
        del self._asked[slot]
        return data[used:]

    def take(self, slot: int, state: int, data: bytes, end: str | None) -> Step:
        """Take what was read, out of its TLS; `end`: why the connection has ended behind it."""
        progress = self._progress.get(slot)
        if progress is None:
            target, key = self._asked.pop(slot)
            progress = self._progress[slot] = _Progress(target, None, bootstrap=False, key=key)
        if state == TLS:
            if end is not None:
                return Step(state, failed=_during("tls", end))
            return self._ask(slot, progress) if self._wires.is_secure(slot) else Step(state)
        progress.received += data
        try:
            if state == BOOTSTRAP:
                return self._read_bootstrap(slot, progress, end)
            return self._read_upgrade(slot, progress, end)
        except RemoteProtocolError as error:
            return Step(state, failed=f"bootstrap_{error.reason}" if state == BOOTSTRAP else error.reason)

    def _connected(self, slot: int, progress: _Progress) -> Step:
        """The poller says that the connection stands, or has failed."""
        reason = self._wires.error(slot)
        if reason is not None:
            if not progress.untried:
                return Step(CONNECTING, failed=reason)
            self._wires.close(slot)
            return self._dial_next(slot)
        self._settle_on(progress)
        if progress.target.tls is not None:
            return Step(TLS, failed=self._wires.begin_tls(slot, progress.target))
        return self._ask(slot, progress)

    def _ask(self, slot: int, progress: _Progress) -> Step:
        """Send the HTTP request: the transport stands."""
        state = BOOTSTRAP if progress.bootstrap else UPGRADING
        return Step(state, failed=self._wires.send(slot, progress.request))

    def _request(self, slot: int, progress: _Progress) -> bytes:
        """Compose the HTTP request, once for all addresses of its target."""
        variables = self._variables[slot]
        if progress.bootstrap:
            assert self._bootstrap_path is not None
            path = str(self._bootstrap_path.render(variables))
            return get_request(progress.target.host_header, path, ())
        progress.key = self._next_key()
        return self._clients.upgrade(progress.target, variables, progress.key)

    def _read_upgrade(self, slot: int, progress: _Progress, end: str | None) -> Step:
        received = progress.received
        used = received.find(b"\r\n\r\n") + 4
        if used > 4 and self._welcomes.get(received[:used]) == progress.key:
            del self._progress[slot]
            return Step(JOINING, rest=received[used:], end=end)
        parsed = parse_response(received, head_only=True)
        if parsed is None:
            return Step(UPGRADING, failed=end and _during("upgrade", end))
        response, used = parsed
        if response.status != 101:
            return Step(UPGRADING, failed=f"http_{response.status}", hint_s=retry_after_s(response))
        check_upgrade(response, progress.key)
        if used <= _MOST_WELCOME_BYTES:
            if len(self._welcomes) >= _MOST_WELCOMES:
                self._welcomes.clear()
            self._welcomes[received[:used]] = progress.key
        del self._progress[slot]
        return Step(JOINING, rest=received[used:], end=end)

    def _read_bootstrap(self, slot: int, progress: _Progress, end: str | None) -> Step:
        parsed = parse_response(progress.received)
        if parsed is None and end == "eof" and progress.received:
            parsed = parse_response(progress.received, eof=True)  # a body without a length ends here
        if parsed is None:
            return Step(BOOTSTRAP, failed=end and _during("bootstrap", end))
        response, _ = parsed
        if response.status != 200:
            return Step(BOOTSTRAP, failed=f"bootstrap_http_{response.status}", hint_s=retry_after_s(response))
        target = self._target_named(response.body)
        if target is None:
            return Step(BOOTSTRAP, failed="bootstrap_answer")
        assert self._bootstrap is not None
        if self._bootstrap.once:
            self._chosen[slot] = target
        self._wires.close(slot)
        self._progress[slot] = _Progress(target, progress.source, bootstrap=False)
        return self._dial(slot, target)

    def _target_named(self, body: bytes) -> Target | None:
        assert self._bootstrap is not None
        try:
            value = Path(".".join(self._bootstrap.path)).find(jsontext.load(decode_text(body)))
        except RemoteProtocolError:
            return None
        if not isinstance(value, str) or not value.lower().startswith(("ws://", "wss://")):
            return None
        target = self._named.get(value)
        if target is None:
            if len(self._named) >= 1024:
                return None
            try:
                target = self._named[value] = self._resolve(value)
            except UsageError:
                return None
        return target


def _during(what: str, end: str) -> str:
    """Return the class of a connection's end during a step; what TLS says is a class of its own, whenever it comes."""
    return end if end.startswith("tls_") else f"{what}_{end}"
