"""Connections beside the population that keep a server waiting: bounded in number, and in nobody's books.

    mute       connects (or upgrades as well) and never says a word
    slowloris  sends its request byte by byte, and never ends it: after the upgrade's lines come others, without end;
               to a wss:// target it is the TLS ClientHello that comes so slowly

Law: a stranger is tried once and never comes back. What the server does about it is all that is counted: `opened`, how
many of the `refused` never stood, and after how long the server closed one (`closed`), from when it was tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loadtest.clock import NS_PER_S
from loadtest.errors import ProtocolError
from loadtest.herd import sockets
from loadtest.herd.affliction import LOOK_NS, Delays
from loadtest.herd.tls import TlsSession

if TYPE_CHECKING:
    from loadtest.herd.herd import Herd

_ENDLESS = b"X-Patience: 1\r\n"
FIRST_INDEX = 1 << 32
"""Client number of the first stranger of the first worker: far behind the population and its publishers."""


class _Stranger:
    __slots__ = ("begun_ns", "fd", "sent", "stands", "words")

    def __init__(self, fd: int, begun_ns: int, words: bytes) -> None:
        self.fd, self.begun_ns, self.words = fd, begun_ns, words
        self.sent = 0
        self.stands = False


class Strangers:
    """One fault's strangers, opened by one herd from its own addresses.

    Args:
        order: `count`, how many; `open_per_s`, how fast they come; `says`: "nothing", "upgrade" (a whole one) or
            "endless" (an upgrade that never ends); `byte_every_ns`: 0: they say it at once, else a byte at a time;
            `place`: number of the worker, which tells the strangers of one from another's.
    """

    def __init__(self, herd: Herd, order: Mapping[str, Any], now_ns: int) -> None:
        self._herd = herd
        self.hit: int = order["count"]
        self._open_per_s: float = order["open_per_s"]
        self._says: str = order["says"]
        self._byte_every_ns: int = order["byte_every_ns"]
        self._first_index = FIRST_INDEX * (1 + order["place"])
        self._began_ns = self._next_look_ns = now_ns
        self._tried = self._opened = self._refused = 0
        self._here: list[_Stranger] = []
        self._closed = Delays()
        self._relieved = False

    def tick(self, now_ns: int) -> None:
        """See `Affliction.tick`."""
        due = int((now_ns - self._began_ns) * self._open_per_s / NS_PER_S) + 1
        while not self._relieved and self._tried < min(due, self.hit):
            self._try(self._tried, now_ns)
            self._tried += 1
        if now_ns >= self._next_look_ns:
            self._next_look_ns = now_ns + LOOK_NS
            self._here = [stranger for stranger in self._here if self._look(stranger, now_ns)]
        if self._byte_every_ns:
            for stranger in self._here:
                if stranger.stands:
                    self._go_on(stranger, now_ns)

    def _try(self, number: int, now_ns: int) -> None:
        index = self._first_index + number
        target = self._herd._opening.gateway(index)
        assert target is not None
        words = b""
        try:
            if target.tls is not None and self._says != "nothing":
                session = TlsSession(target.tls, target.server_name)
                session.feed(b"")
                words = session.pending()
            elif self._says != "nothing":
                words = self._herd._opening.upgrade(target, index)
        except ProtocolError:  # a template that cannot be filled in for a client outside the population
            self._refused += 1
            return
        if self._says == "endless" and target.tls is None:
            words = words.removesuffix(b"\r\n")
        fd, reason = sockets.connect(target, self._herd._sources.take())
        if reason is not None:
            self._refused += 1
            return
        self._here.append(_Stranger(fd, now_ns, words))

    def _look(self, stranger: _Stranger, now_ns: int) -> bool:
        """See how far one has got; return whether it is still there."""
        if sockets.is_ended(stranger.fd):
            if stranger.stands or sockets.pending_error(stranger.fd) is None:
                self._opened += not stranger.stands
                self._closed.enter((now_ns - stranger.begun_ns) / NS_PER_S)
            else:
                self._refused += 1
            sockets.close(stranger.fd)
            return False
        if not stranger.stands and sockets.is_established(stranger.fd):
            stranger.stands = True
            self._opened += 1
            if not self._byte_every_ns and stranger.words:
                sockets.write(stranger.fd, stranger.words)
        return True

    def _go_on(self, stranger: _Stranger, now_ns: int) -> None:
        """Send the next byte of one when it is due."""
        if now_ns < stranger.begun_ns + stranger.sent * self._byte_every_ns:
            return
        words, sent = stranger.words, stranger.sent
        if sent < len(words):
            byte = words[sent : sent + 1]
        elif self._says == "endless" and words[:4] == b"GET ":
            at = (sent - len(words)) % len(_ENDLESS)
            byte = _ENDLESS[at : at + 1]
        else:
            return
        stranger.sent += sockets.write(stranger.fd, byte)[0]

    def forget(self, slot: int) -> None:
        """See `Affliction.forget`: strangers have no slots."""

    def relieve(self, now_ns: int) -> None:
        """See `Affliction.relieve`."""
        if self._relieved:
            return
        self._next_look_ns = now_ns
        self._relieved = True
        self.tick(now_ns)
        for stranger in self._here:
            self._refused += not stranger.stands
            sockets.close(stranger.fd)
        self._here = []

    @property
    def settled(self) -> bool:
        """See `Affliction.settled`."""
        return self._relieved

    def facts(self) -> dict[str, float]:
        """See `Affliction.facts`."""
        counts = {"tried": self._tried, "opened": self._opened, "refused": self._refused}
        return counts | self._closed.facts("closed")
