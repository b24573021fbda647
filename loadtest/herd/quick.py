"""The steps of a herd that are done once per message and once per connect, here in Python and in `_quick.c`.

    sweep:  poller --ready--> read, find the chunk among the parcels --books--> held, times      (the hot loop)
                      \\-----------------------------------------------\\------> other            (everything else)
    dial:   socket, options, bind, connect, write what goes first, watch
    ack_at_once: what comes from now on is acknowledged in the moment it comes

Law: both ways do exactly the same; which one a process has changes its speed and nothing else. The compiled one is made
when the project is installed, where there is a C compiler; `LOADTEST_COMPILED=0` leaves it unused.
"""

from __future__ import annotations

import _socket
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from loadtest.clock import Clock, now_ns
from loadtest.herd import sockets
from loadtest.herd.interner import Parcel
from loadtest.herd.poller import EPOLLERR, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP, Poller
from loadtest.herd.sockets import Target
from loadtest.metrics.book import Book

try:
    from loadtest.herd import _quick
except ImportError:  # no compiler when it was installed
    _quick = None  # type: ignore[assignment]

VARIABLE = "LOADTEST_COMPILED"
MAX_EVENTS = 256
READ_BYTES = 16_384
LISTENING = EPOLLIN | EPOLLRDHUP | EPOLLET
WATCHED = LISTENING | EPOLLOUT
ENDED = EPOLLRDHUP | EPOLLHUP | EPOLLERR

Enter = Callable[[int, int, Book, int], None]
"""(slot, subscription, book, now): a delivery that is not simply the next in order."""

Other = Callable[[int, int, int, bytes | int | None, int | None], None]
"""(fd, mask, slot, data, now). slot -1: not quick, nothing was read. data: a chunk of other things than known books,
b"" an end, a number an errno; None: its deliveries are entered, but there may be more to read."""


Sweep = Callable[[Mapping[bytes, Parcel]], int]
"""Handle what is ready, and what becomes ready meanwhile, 256 events at most; return how many there were. The argument
is what is known of chunks. Raises what `clock`, `enter` or `other` raised; the events behind that one are lost."""


class Sweeper(Protocol):
    """Make the sweep of one herd: what stays the same is looked up once, not once a turn."""

    def __call__(
        self,
        poller: Poller,
        quick: list[int],
        held: list[Book | None],
        groups: int,
        clock: Clock,
        enter: Enter,
        other: Other,
        /,
    ) -> Sweep:
        """Return it.

        Args:
            quick: the slot of each descriptor that may be read here, else -1; may change while it goes on.
            held: the last book of each subscription, slot * groups + group.
        """


class Dial(Protocol):
    """Begin a connection."""

    def __call__(
        self, poller: Poller, target: Target, source: str | None, late_acks: bool, first: bytes, /
    ) -> tuple[int, int, str | None]:
        """Connect, write `first` if the connection stands at once, and have the poller watch.

        Returns:
            (descriptor, bytes of `first` sent, None) or (-1, 0, why it failed). The poller tells of room to write too,
            unless all of `first` is sent.
        """


class AckAtOnce(Protocol):
    """End what `late_acks` began.

    An acknowledgement that waits for data is sent by a timer 40 ms later if none comes, when neither end's state is in
    any cache: that costs more than in the moment of the arrival. So a conversation is acknowledged late, and what comes
    after it at once. Source: tcp(7), TCP_QUICKACK.
    """

    def __call__(self, fd: int, /) -> None:
        """Do so for a connection.

        Raises:
            OSError: it is none.
        """


@dataclass(frozen=True, slots=True)
class Quick:
    """One way to do them all."""

    name: str
    sweeper: Sweeper
    dial: Dial
    ack_at_once: AckAtOnce


def _sweep(
    poller: Poller,
    quick: list[int],
    held: list[Book | None],
    groups: int,
    clock: Clock,
    enter: Enter,
    other: Other,
    parcels: Mapping[bytes, Parcel],
    /,
) -> int:
    read = os.read
    handled = 0
    while handled < MAX_EVENTS and (ready := poller.poll(0, MAX_EVENTS - handled)):
        handled += len(ready)
        for fd, mask in ready:
            slot = quick[fd] if fd < len(quick) else -1
            if slot < 0:
                other(fd, mask, -1, None, None)
                continue
            try:
                data = read(fd, READ_BYTES)
            except OSError as error:
                other(fd, mask, slot, error.errno, None)
                continue
            if not data:
                other(fd, mask, slot, data, None)
                continue
            now = clock()
            parcel = parcels.get(data)
            if parcel is None or parcel.books is None:
                other(fd, mask, slot, data, now)
                continue
            for book in parcel.books:
                subscription = slot * groups + book.group
                if held[subscription] is book.prev:
                    held[subscription] = book
                    book.times.append(now)
                else:
                    enter(slot, subscription, book, now)
            if mask & ENDED or len(data) == READ_BYTES:
                other(fd, mask, slot, None, now)
    return handled


def _dial(
    poller: Poller, target: Target, source: str | None, late_acks: bool, first: bytes, /
) -> tuple[int, int, str | None]:
    fd, reason = sockets.connect(target, source, late_acks=late_acks)
    if reason is not None:
        return -1, 0, reason
    sent, reason = sockets.write(fd, first) if first else (0, None)
    if reason is None:
        try:
            poller.register(fd, LISTENING if sent == len(first) > 0 else WATCHED)
        except OSError as error:
            reason = sockets.reason_of(error.errno)
    if reason is not None:
        sockets.close(fd)
        return -1, 0, reason
    return fd, sent, None


def _sweeper(*known: Any) -> Sweep:
    return partial(_sweep, *known)


def _compiled_sweeper(poller: Poller, quick: list[int], held: list[Book | None], groups: int, *calls: Any) -> Sweep:
    clock, enter, other = calls
    own = None if clock is now_ns else clock  # the monotonic clock is read without a call
    return partial(_quick.sweep, poller.fileno(), quick, held, groups, own, enter, other)


def _compiled_dial(
    poller: Poller, target: Target, source: str | None, late_acks: bool, first: bytes, /
) -> tuple[int, int, str | None]:
    if target.family != _socket.AF_INET:
        return _dial(poller, target, source, late_acks, first)
    if source is not None and ":" in source:
        source = None
    host, port = target.address
    congestion = sockets.congestion_of(host)
    fd, sent = _quick.dial(
        host, port, source, late_acks, congestion, first, poller.fileno(), LISTENING, WATCHED, sockets.RESERVED_FILES
    )
    return (fd, sent, None) if fd >= 0 else (-1, 0, sockets.reason_of(-fd))


INTERPRETED = Quick("python", _sweeper, _dial, sockets.ack_at_once)
COMPILED = Quick("c", _compiled_sweeper, _compiled_dial, _quick.ack_at_once) if _quick is not None else None


def best() -> Quick:
    """Return the quickest way this process has."""
    return COMPILED if COMPILED is not None and os.environ.get(VARIABLE, "1") != "0" else INTERPRETED
