"""A connection held by another people's client library, seen by the herd as one of its slots.

    LibraryHerd (books, timers, reconnects)  --connect, subscribe, close-->  Link (the library's own client)
                                             <--joined, answered, delivered, ended--/

Laws: what is counted, when a lost client comes back and who is eligible is the herd's, unchanged, so that reports of
both kinds compare; the bytes, the heartbeats and the threads (greenlets, under Locust) are the library's. A receipt is
stamped where the library calls us. A link that was given up says nothing more.
"""

from __future__ import annotations

import importlib
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import gevent

from loadtest.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from loadtest.herd.clients import Clients
from loadtest.herd.herd import Herd
from loadtest.herd.opening import Opening, Step
from loadtest.herd.sockets import reason_of
from loadtest.herd.states import CONNECTING, IDLE, JOINING, LIVE, SUBSCRIBING
from loadtest.profile.model import Profile
from loadtest.protocol import jsontext
from loadtest.protocol.events import Acked, Closed, Delivered
from loadtest.protocol.frames import BINARY, TEXT, Frame, decode_text
from loadtest.protocol.marker import find_marker
from loadtest.protocol.path import Path, Rule
from loadtest.protocol.template import Template
from loadtest.users.build import make_dialect, tls_context

CLOSING_S = 2.0
MAX_ANSWER_BYTES = 65_536
CLOSE = 8


class LibraryHerd(Herd):
    """A herd whose connections are `Link`s instead of descriptors.

    Attributes:
        profile, link: how to make one; set before the first slot connects. links: the present one of each slot.
        named: the gateway that a bootstrap named for each slot.
    """

    profile: Profile
    link: type[Link]

    def __init__(self, *, clients: Clients, **parts: Any) -> None:
        super().__init__(clients=clients, **parts)
        self.links: dict[int, Link] = {}
        self.named: dict[int, str] = {}
        self._clients = clients
        self._opening = Linking(self, clients)

    @cached_property
    def tls(self) -> ssl.SSLContext | None:
        """The TLS context of all links; made once, for it reads the authorities from disk."""
        return tls_context(self.profile)

    def transmit(self, slot: int, frames: bytes) -> bool:  # noqa: ARG002 - the library writes its own bytes
        """Do nothing: `joined` asks the link instead."""
        return True

    def send(self, slot: int, frames: bytes) -> bool:  # noqa: ARG002 - the contract's arguments
        """Refuse: raw frames have no way through a library.

        Raises:
            LocalProtocolError: always.
        """
        raise LocalProtocolError("a library's client sends by its own methods: use self.connection")

    def joined(self, slot: int, now_ns: int) -> None:
        """Enter a session and ask for the client's channels."""
        link = self.links[slot]
        self.slots.set(slot, JOINING)
        self.outages.connected(slot, now_ns)
        super().joined(slot, now_ns)
        if self.slots.state[slot] == SUBSCRIBING:
            for group, channel in self._subscribing._wanted(slot):
                name = self._clients.channel_name(channel)
                link.subscribe(group, {**link.variables, "channel": name, "channel_index": channel})

    def heard_of(self, slot: int, event: Delivered | Acked, now_ns: int) -> None:
        """Enter what a link received."""
        self._listener._handle(slot, (event,), now_ns)

    def release(self, slots: Iterable[int]) -> None:
        """See `Herd.release`."""
        now = self._clock()
        for slot in slots:
            self._leave(slot, now)
            self.slots.set(slot, IDLE)
            self._timers.cancel(slot)

    def drop(self, slots: Iterable[int], *, reset: bool = False) -> int:  # noqa: ARG002 - the contract's argument
        """See `Herd.drop`; a library has no way to reset: it closes."""
        lost = [slot for slot in slots if self.slots.state[slot] == LIVE]
        for slot in lost:
            self.lose(slot, "fault_drop")
        return len(lost)

    def _leave(self, slot: int, now: int, *, reset: bool = False) -> None:
        super()._leave(slot, now, reset=reset)
        link = self.links.pop(slot, None)
        if link is not None:
            gevent.spawn(link.end)


class Linking(Opening):
    """Begin a connection by making a link; the rest of an opening is the library's."""

    def __init__(self, herd: LibraryHerd, clients: Clients) -> None:
        super().__init__(clients, ())
        self._herd = herd

    def begin(self, slot: int, index: int, source: str | None) -> Step:
        """See `Opening.begin`."""
        variables = self._variables[slot] = self._clients.variables(index)
        link = self._herd.links[slot] = self._herd.link(self._herd, slot, index, variables, source)
        gevent.spawn(link.run)
        return Step(CONNECTING)


class Link(ABC):
    """One attempt of one client, to its end.

    Attributes:
        library: the library's own client object, None before it is made.
    """

    module: ClassVar[str]

    def __init__(
        self, herd: LibraryHerd, slot: int, index: int, variables: Mapping[str, object], source: str | None = None
    ) -> None:
        profile = herd.profile
        self.herd = herd
        self.slot = slot
        self.variables = variables
        self.connection: Any = None
        self._profile = profile
        self._clock = herd._clock
        self._index = index
        self._source = source
        self._url = ""
        self._patience_s = profile.connect_timeout_s

    @property
    def current(self) -> bool:
        """Whether the slot is still this link's."""
        return self.herd.links.get(self.slot) is self

    def run(self) -> None:
        """Connect; what fails is counted by its reason."""
        try:
            self._url = self._gateway()
            self.connect(importlib.import_module(self.module))
        except OSError as error:
            self.ended(_reason(error))
        except ProtocolError as error:
            self.ended(error.reason)
        except Exception as error:  # noqa: BLE001 - the libraries' own classes: counted under their name
            self.ended(_reason(error.__cause__ or error))

    def _gateway(self) -> str:
        """Return where to connect to: one of the profile's, or what its bootstrap names."""
        target, named = self._profile.target, self.herd.named
        if target.bootstrap is None or target.bootstrap.url is None:
            return target.urls[self._index % len(target.urls)]
        if self.slot not in named or target.bootstrap.every != "once":
            url = str(Template(target.bootstrap.url).render(self.variables))
            try:
                context = self.herd.tls if url.startswith("https:") else None
                with urlopen(url, timeout=self._patience_s, context=context) as response:
                    body = decode_text(response.read(MAX_ANSWER_BYTES))
            except HTTPError as error:
                raise RemoteProtocolError(f"{url} answered {error.code}", f"bootstrap_http_{error.code}") from error
            gateway = Path(target.bootstrap.path).find(jsontext.load(body))
            if not isinstance(gateway, str) or not gateway.startswith(("ws://", "wss://")):
                raise RemoteProtocolError(f"{url} named no gateway", "bootstrap_answer")
            named[self.slot] = gateway
        return named[self.slot]

    def ended(self, reason: str) -> None:
        """Tell the herd that this connection failed or was lost."""
        if self.current:
            self.herd.lose(self.slot, reason)

    def end(self) -> None:
        """Close the connection, whatever state it is in."""
        with gevent.Timeout(CLOSING_S, False):
            try:
                self.close()
            except Exception as error:  # noqa: BLE001 - it is gone either way, and was counted before
                del error

    def rendered(self, pairs: Mapping[str, str]) -> dict[str, str]:
        """Fill in headers or query of the profile."""
        return {name: str(Template(value).render(self.variables)) for name, value in pairs.items()}

    def ssl_options(self) -> dict[str, Any]:
        """Return websocket-client's `sslopt` for a wss:// target."""
        context = self.herd.tls
        if context is None or not self._url.startswith("wss:"):
            return {}
        tls = self._profile.target.tls
        name = tls.server_name if tls else None
        return {"context": context} | ({"server_hostname": name} if name else {})

    def socket_options(self) -> dict[str, Any]:
        """Return websocket-client's options for the transport: TLS, or a socket that leaves from a chosen address."""
        tls = self.ssl_options()
        if self._source is None:
            return {"sslopt": tls} if tls else {}
        parts = urlsplit(self._url)
        secure = parts.scheme == "wss"
        end = parts.hostname or "", parts.port or (443 if secure else 80)
        plain = socket.create_connection(end, self._patience_s, source_address=(self._source, 0))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not secure:
            return {"socket": plain}
        return {"socket": tls["context"].wrap_socket(plain, server_hostname=tls.get("server_hostname", end[0]))}

    @abstractmethod
    def connect(self, library: Any) -> None:
        """Connect with `library`, the module, and have `herd.joined` called once in session."""

    @abstractmethod
    def subscribe(self, group: int, variables: Mapping[str, object]) -> None:
        """Ask for one channel; the answer goes to `herd.heard_of` as `Acked(group, ...)`."""

    @abstractmethod
    def close(self) -> None:
        """Close the library's client."""


class SocketIOLink(Link):
    """A python-socketio client: `library` is a `socketio.Client`."""

    module = "socketio"

    def connect(self, library: Any) -> None:
        """See `Link.connect`."""
        client, namespace = self._profile.client, self._profile.client.namespace
        options = self.socket_options()
        sio = self.connection = library.Client(reconnection=False, handle_sigint=False, websocket_extra_options=options)
        subscribe = self._profile.subscribe
        self._path = Path(self._profile.publish.marker)
        ruled = subscribe is not None and (subscribe.ack_path or subscribe.ack_equals is not None)
        self._rule = Rule(Path(subscribe.ack_path), subscribe.ack_equals) if subscribe and ruled else None
        sio.on("connect", self._joined, namespace=namespace)
        sio.on("disconnect", self._left, namespace=namespace)
        sio.on("*", self._message, namespace=namespace)
        parts = urlsplit(self._url)
        query = self.rendered(client.query)
        address = parts._replace(path="", query="&".join(_encoded(parts.query, query))).geturl()
        sio.connect(
            address,
            headers=self.rendered(client.headers),
            auth=None if client.auth is None else Template(client.auth).render(self.variables),
            transports=["websocket"],
            namespaces=[namespace],
            socketio_path=parts.path.strip("/") or "socket.io",
            wait_timeout=self._patience_s,
        )

    def _joined(self) -> None:
        if self.current and self.herd.state(self.slot) == CONNECTING:
            self.herd.joined(self.slot, self._clock())

    def _left(self, reason: str) -> None:
        self.ended("disconnected_by_server" if reason == "server disconnect" else "eof")

    def _message(self, event: str, *args: object) -> None:
        now = self._clock()
        if self.current:
            data = [event, *args]
            marker = self._path.marker(data) if self._path.text else find_marker(str(data))
            self.herd.heard_of(self.slot, Delivered(marker, event, args), now)

    def subscribe(self, group: int, variables: Mapping[str, object]) -> None:
        """See `Link.subscribe`."""
        subscribe = self._profile.subscribe
        assert subscribe is not None
        assert subscribe.event is not None

        def answered(*args: object) -> None:
            now = self._clock()
            if self.current:
                ok = self._rule is None or self._rule.holds(list(args))
                self.herd.heard_of(self.slot, Acked(group, args, ok), now)

        values: Any = Template(list(subscribe.args)).render(variables)
        self.connection.emit(
            subscribe.event,
            tuple(values) or None,
            namespace=self._profile.client.namespace,
            callback=answered if subscribe.ack else None,
        )

    def close(self) -> None:
        """See `Link.close`."""
        if self.connection is not None:
            self.connection.disconnect()
            self.connection.eio.disconnect(abort=True)


class WebSocketLink(Link):
    """A websocket-client connection: `library` is a `websocket.WebSocket`."""

    module = "websocket"

    def connect(self, library: Any) -> None:
        """See `Link.connect`; stays to read until the connection ends."""
        client = self._profile.client
        parts = urlsplit(self._url)
        query = "&".join(_encoded(parts.query, self.rendered(client.query)))
        ws = self.connection = library.create_connection(
            parts._replace(query=query).geturl(),
            timeout=self._patience_s,
            header=[f"{name}: {value}" for name, value in self.rendered(client.headers).items()],
            enable_multithread=True,
            **self.socket_options(),
        )
        ws.settimeout(None)
        if client.hello is not None:
            ws.send(_text(client.hello, self.variables))
        if self.current:
            self.herd.joined(self.slot, self._clock())
        self._read(ws)

    def _read(self, ws: Any) -> None:
        dialect = make_dialect(self._profile)
        while self.current:
            opcode, data = ws.recv_data(control_frame=True)
            now = self._clock()
            if opcode not in (TEXT, BINARY, CLOSE) or not self.current:
                continue  # the library has answered the ping
            for event in dialect.decode(Frame(opcode, data)):
                if isinstance(event, Closed):
                    self.ended(f"close_{event.code}")
                elif isinstance(event, Delivered | Acked):
                    self.herd.heard_of(self.slot, event, now)

    def subscribe(self, group: int, variables: Mapping[str, object]) -> None:  # noqa: ARG002 - no numbers on this wire
        """See `Link.subscribe`."""
        subscribe = self._profile.subscribe
        assert subscribe is not None
        self.connection.send(_text(subscribe.message, variables))

    def close(self) -> None:
        """See `Link.close`."""
        if self.connection is not None:
            self.connection.close(timeout=CLOSING_S / 2)


def _text(message: object, variables: Mapping[str, object]) -> str:
    """Return a message as `WebSocketDialect` would send it: a string as it is, anything else as JSON."""
    template = Template(message)
    return str(template.render(variables)) if isinstance(message, str) else template.json(variables).decode()


def _encoded(given: str, more: Mapping[str, str]) -> list[str]:
    return [part for part in (given, urlencode(more)) if part]


def _reason(error: BaseException) -> str:
    """Return the class under which a library's failure is counted."""
    if isinstance(error, TimeoutError):
        return "timeout_connect"
    if isinstance(error, OSError) and error.errno:
        return reason_of(error.errno)
    name = type(error).__name__
    return {"WebSocketConnectionClosedException": "eof", "WebSocketBadStatusException": _status(error)}.get(
        name, "client_" + name.lower()
    )


def _status(error: BaseException) -> str:
    return f"http_{getattr(error, 'status_code', 0)}"
