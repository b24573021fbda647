"""The contract between the herd and an application protocol: messages <-> bytes, and nothing else.

    TCP/TLS -> upgrade(target) -> greeting -> [Opened -> join -> Joined] -> subscribe -> [Acked] -> Delivered ...
                                               session dialects only         if acked_subscribe

Laws every implementation keeps (tests/protocol/test_dialect.py runs them all):
1. Stateless: equal arguments give equal results, so results may be cached and shared by all connections.
2. Every method that returns bytes returns zero or more complete client frames (masked), ready for the socket.
3. `decode` raises ProtocolError and nothing else, whatever the bytes; the connection is then given up.
4. A request numbered `request_id` is answered by `Acked(id=request_id)`, or by `Acked(id=None)` in a dialect without
   numbers. The caller chooses the numbers, >= 0; small repeating ones make equal answers, decoded once.
5. What the application says that the profile did not describe is `Delivered(marker=None)`, never an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from loadtest.protocol.events import Event, Partial
from loadtest.protocol.frames import Frame

Variables = Mapping[str, object]
"""Values of the placeholders of one client (and channel, or publish)."""


class Resumption(NamedTuple):
    """What a client that comes back offers: the name of its session, and the last offset it has (None: none yet)."""

    pid: str
    offset: str | None


class Dialect(Protocol):
    """One application protocol over WebSocket, configured by a profile."""

    @property
    def name(self) -> str:
        """Name in profiles and results."""

    @property
    def opens_with_upgrade(self) -> bool:
        """True when the HTTP upgrade alone admits the client; False when `Opened` and `Joined` follow."""

    @property
    def acked_subscribe(self) -> bool:
        """True when a subscription is answered with `Acked`."""

    @property
    def acked_publish(self) -> bool:
        """True when a publish is answered with `Acked`."""

    @property
    def subscribe_names(self) -> frozenset[str]:
        """The placeholders that `subscribe` uses."""

    def target(self, path: str, query: Mapping[str, str]) -> str:
        """Build the request target of the upgrade from a URL's path (which may hold a query) and more parameters."""

    def greeting(self, variables: Variables) -> bytes:
        """Return what to send right after the upgrade; b"" is nothing, as always where it does not admit the client."""

    def join(self, variables: Variables, resumption: Resumption | None = None) -> bytes:
        """Return the answer to `Opened`; b"" in dialects that open with the upgrade.

        Args:
            resumption: to have the last session recovered, in dialects that know how.
        """

    def subscribe(self, variables: Variables, request_id: int) -> bytes:
        """Return the request for one channel; b"" when the profile describes none.

        Raises:
            TemplateError: a placeholder without a value.
        """

    def publish(self, variables: Variables, request_id: int) -> bytes:
        """Return one message to a channel; `variables["marker"]` is its token. Raises as `subscribe`, and
        LocalProtocolError when the profile describes no message."""

    def emit(self, event: str, args: Sequence[object], request_id: int | None = None) -> bytes:
        """Return a named event, for locustfiles; an acknowledgement is asked for unless `request_id` is None.

        Raises:
            LocalProtocolError: the dialect has no events, or a value cannot be encoded.
        """

    def send(self, value: object) -> bytes:
        """Return one plain message, for locustfiles. Raises LocalProtocolError for a value that cannot be encoded."""

    def ping(self) -> bytes:
        """Return a WebSocket ping, whose answer is `Ignored`: it proves the peer's transport, not its application."""

    def close(self, code: int = 1000, reason: str = "") -> bytes:
        """Return the close frame that begins an orderly goodbye."""

    def decode(self, frame: Frame) -> tuple[Event, ...]:
        """Read one whole message (fin, not a continuation; fragments go through `MessageReader` first).

        Raises:
            RemoteProtocolError: `reason` in malformed_packet, bad_utf8, bad_close.
            LocalProtocolError: the frame is a fragment.
        """

    def decode_binary(self, partial: Partial, attachments: Sequence[bytes]) -> tuple[Event, ...]:
        """Finish a packet announced by `Partial` with the payloads of the binary frames that followed, in order.

        Text messages that arrive before all attachments did break the protocol; the caller gives the connection up.

        Raises:
            RemoteProtocolError: `reason` malformed_packet.
        """
