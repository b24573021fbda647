"""The relay: accepts clients, connects each on to its gateway, carries bytes both ways through two lanes.

    client <--socket--> Lane up   --> <--socket--> gateway
                        Lane down <--

Laws: in fine weather a chunk that was read is written at once, in the same turn of the loop. A side that closes is told
to the other once its lane is empty (FIN as FIN, anything else as RST). A gateway that refuses is told to the client as
a RST. Everything ends with the process. One thread, one epoll, no callbacks kept per connection.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from loadtest.clock import NS_PER_S, Clock, now_ns
from loadtest.relay.conditions import DOWN, UP, Conditions, Impairment
from loadtest.relay.lane import Lane

READ_BYTES = 65_536
MAX_EVENTS = 512
BACKLOG = 4096
PER_SOURCE = 12_000
"""Connections that leave from one loopback address: see `herd.addresses`."""
IP_BIND_ADDRESS_NO_PORT = 24
_RESET = struct.pack("ii", 1, 0)
_IN, _OUT, _GONE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP | select.EPOLLERR

Address = tuple[str, int]


class _End:
    """One socket of a pair: what is read here goes through `lane` to `other`.

    eof: its stream has ended. shut: it was told that the other's has. blocked: it has no room for what it should take.
    gone: reset, which a stalled network has not told the other side yet. due_ns: when to look at its lane; 0: never.
    """

    __slots__ = ("blocked", "due_ns", "eof", "fd", "gone", "lane", "mask", "other", "pair", "shut", "sock")

    def __init__(self, sock: socket.socket, pair: _Pair, lane: Lane) -> None:
        self.sock, self.pair, self.lane = sock, pair, lane
        self.fd = sock.fileno()
        self.mask = self.due_ns = 0
        self.eof = self.shut = self.blocked = self.gone = False
        self.other: _End = self


class _Pair:
    """A client and its gateway."""

    __slots__ = ("client", "closed", "gateway", "number", "stands")

    def __init__(self, number: int, client: socket.socket, gateway: socket.socket) -> None:
        self.number = number
        self.stands = self.closed = False
        self.client = _End(client, self, Lane(f"{number}/up"))
        self.gateway = _End(gateway, self, Lane(f"{number}/down"))
        self.client.other, self.gateway.other = self.gateway, self.client


class Relay:
    """Carry between listeners and the gateways behind them.

    Args:
        routes: (listening socket, address of its gateway). number: of this process among the run's relays.
    """

    def __init__(self, routes: Sequence[tuple[socket.socket, Address]], number: int = 0, clock: Clock = now_ns) -> None:
        self.conditions = Conditions()
        self.poller = select.epoll()
        self.counts = {"connections": 0, "accepted": 0, "refused": 0, "cut": 0, "up_bytes": 0, "down_bytes": 0}
        self._number, self._clock = number, clock
        self._gateways = {listener.fileno(): (listener, address) for listener, address in routes}
        self._ends: dict[int, _End] = {}
        self._pairs: dict[int, _Pair] = {}
        self._closed: set[int] = set()
        self._due: list[tuple[int, int, _End]] = []
        self._accepted = self._pushed = 0
        self._doors_open = True
        for fd in self._gateways:
            self.poller.register(fd, _IN)

    # --- the loop ----------------------------------------------------------------------------------------------------

    def turn(self, timeout_s: float) -> list[int]:
        """Do what can be done, waiting `timeout_s` for it at most; return descriptors that are not the relay's."""
        if self._due:
            timeout_s = min(timeout_s, max(0.0, (self._due[0][0] - self._clock()) / NS_PER_S))
        others = []
        self._closed.clear()
        for fd, mask in self.poller.poll(timeout_s, MAX_EVENTS):
            end = self._ends.get(fd)
            if fd in self._closed:
                continue  # of a connection that ended in this turn, whoever has its descriptor now
            if end is not None:
                self._attend(end, mask)
            elif fd in self._gateways:
                self._accept(*self._gateways[fd])
            else:
                others.append(fd)
        now = self._clock()
        while self._due and self._due[0][0] <= now:
            due_ns, _, end = heappop(self._due)
            if end.due_ns == due_ns and not end.pair.closed:
                end.due_ns = 0
                self._carry(end)
        return others

    def _attend(self, end: _End, mask: int) -> None:
        pair = end.pair
        if end is pair.gateway and not pair.stands:
            if (code := end.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)) != 0:
                self.counts["refused"] += 1
                self._close(pair, reset=code != 0)
                return
            pair.stands = True
            self._watch(pair.client)
        if mask & _GONE and (mask & select.EPOLLERR or end.eof or end.lane.is_full):
            self._lose(end)
            return
        if mask & (_IN | _GONE) and not end.eof:
            self._read(end)
        if mask & _OUT and not pair.closed:
            end.blocked = False
            self._carry(end.other)
        if not pair.closed:
            self._watch(end)

    def _lose(self, end: _End) -> None:
        """One side is gone by a reset: so is the other, unless the network keeps it from knowing."""
        if end.lane.weather.stalled:
            end.gone = True
            self.poller.unregister(end.fd)
        else:
            self._close(end.pair, reset=True)

    def _read(self, end: _End) -> None:
        """Read once and pass it on; at the end of the stream tell the other side when all has gone."""
        if end.lane.is_full:
            return
        try:
            data = end.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._close(end.pair, reset=True)
            return
        lane = end.lane
        if not data:
            end.eof = True
        elif lane.is_clear:
            self._write(end, data)
            return
        else:
            lane.push(data, self._clock())
        self._carry(end)

    def _carry(self, end: _End) -> None:
        """Write what may leave `end`'s lane to the other side."""
        lane = end.lane
        if not end.other.blocked and (data := lane.ready(self._clock())):
            self._write(end, data)
        if end.pair.closed:
            return
        next_ns = lane.next_ns()
        if next_ns is not None:
            if not end.other.blocked and not 0 < end.due_ns <= next_ns:
                end.due_ns = next_ns
                self._pushed += 1
                heappush(self._due, (next_ns, self._pushed, end))
        elif end.eof and not lane.waiting_bytes and not end.other.shut:
            end.other.shut = True
            if end.other.eof:
                self._close(end.pair)
                return
            with contextlib.suppress(OSError):  # it has gone by itself meanwhile
                end.other.sock.shutdown(socket.SHUT_WR)
        self._watch(end)

    def _write(self, end: _End, data: bytes) -> None:
        other = end.other
        try:
            sent = other.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(end.pair, reset=True)
            return
        self.counts["up_bytes" if end is end.pair.client else "down_bytes"] += sent
        if sent < len(data):
            end.lane.put_back(data[sent:])
            other.blocked = True
            self._watch(other)

    def _watch(self, end: _End) -> None:
        """Ask for what is of use: bytes unless the lane is full or at its end, room only while something waits for it.

        A pair whose gateway has not answered yet is not read: its client's words wait in the kernel.
        """
        pair, mask = end.pair, 0
        if pair.closed:
            return
        if pair.stands and not end.eof and not end.lane.is_full:
            mask |= _IN
        if end.blocked or (end is pair.gateway and not pair.stands):
            mask |= _OUT
        self._set_mask(end, mask)

    def _set_mask(self, end: _End, mask: int) -> None:
        if mask != end.mask and not end.gone:
            end.mask = mask
            self.poller.modify(end.fd, mask)

    # --- coming and going --------------------------------------------------------------------------------------------

    def _accept(self, listener: socket.socket, gateway: Address) -> None:
        for _ in range(MAX_EVENTS):
            try:
                client, _address = listener.accept()
            except BlockingIOError:
                return
            except OSError:  # no descriptor left: who waits in the backlog waits until somebody leaves
                self._open_doors(False)
                return
            self._accepted += 1
            number = self._accepted
            self.counts["accepted"] += 1
            if self.conditions.is_cut(number):
                self.counts["cut"] += 1
                _end(client, reset=True)
                continue
            self._connect(number, client, gateway)

    def _open_doors(self, are_open: bool) -> None:
        """Hear of new clients, or not: a full relay would hear of the same one again and again."""
        self._doors_open = are_open
        for fd in self._gateways:
            self.poller.modify(fd, _IN if are_open else 0)

    def _connect(self, number: int, client: socket.socket, gateway: Address) -> None:
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            onward = socket.socket(socket.AF_INET6 if ":" in gateway[0] else socket.AF_INET, socket.SOCK_STREAM)
        except OSError:
            self.counts["refused"] += 1
            _end(client, reset=True)
            return
        onward.setblocking(False)
        try:
            onward.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if gateway[0].startswith("127."):
                onward.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                onward.bind((f"127.200.{self._number % 250}.{1 + len(self._pairs) // PER_SOURCE}", 0))
            code = onward.connect_ex(gateway)
        except OSError as error:
            code = error.errno or errno.EINVAL
        if code not in (0, errno.EINPROGRESS):
            self.counts["refused"] += 1
            _end(client, reset=True)
            onward.close()
            return
        pair = self._pairs[number] = _Pair(number, client, onward)
        self.counts["connections"] += 1
        self._expose(pair)
        for end, mask in ((pair.client, 0), (pair.gateway, _OUT)):
            self._ends[end.fd] = end
            end.mask = mask
            self.poller.register(end.fd, mask)

    def _close(self, pair: _Pair, *, reset: bool = False) -> None:
        if pair.closed:
            return
        pair.closed = True
        del self._pairs[pair.number]
        self.counts["connections"] -= 1
        for end in (pair.client, pair.gateway):
            del self._ends[end.fd]
            self._closed.add(end.fd)
            _end(end.sock, reset=reset)
        if not self._doors_open:
            self._open_doors(True)

    # --- weather -----------------------------------------------------------------------------------------------------

    def place(self, name: str, impairment: Impairment) -> int:
        """Put an impairment in place; return how many of the present connections it strikes."""
        self.conditions.present[name] = impairment
        struck = [pair for pair in self._pairs.values() if impairment.strikes(pair.number)]
        if impairment.kind == "cut":
            for pair in struck:
                self.counts["cut"] += 1
                self._close(pair, reset=True)
        self._expose_all()
        return len(struck)

    def clear(self, name: str) -> None:
        """Take an impairment away; harmless when it is not there."""
        if self.conditions.present.pop(name, None) is not None:
            self._expose_all()

    def _expose_all(self) -> None:
        for pair in list(self._pairs.values()):
            self._expose(pair)
            if pair.stands:
                for end in (pair.client, pair.gateway):
                    if end.gone and not end.lane.weather.stalled:
                        self._close(pair, reset=True)
                    elif not pair.closed:
                        self._carry(end)

    def _expose(self, pair: _Pair) -> None:
        pair.client.lane.change(self.conditions.of(pair.number, UP))
        pair.gateway.lane.change(self.conditions.of(pair.number, DOWN))

    def stop(self) -> None:
        """Close everything."""
        for pair in list(self._pairs.values()):
            self._close(pair, reset=True)
        for listener, _ in self._gateways.values():
            listener.close()
        self.poller.close()

    def obey(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out an order of the control socket: {"do": "place" | "clear" | "count", "name", ...}.

        Raises:
            ValueError: it is none.
        """
        do, name = order.get("do"), str(order.get("name", ""))
        if do == "place":
            return {"struck": self.place(name, Impairment.read(order))}
        if do == "clear":
            self.clear(name)
            return {}
        if do == "count":
            return dict(self.counts)
        raise ValueError(f"no order: {do!r}")


def _end(sock: socket.socket, *, reset: bool = False) -> None:
    if reset:
        with contextlib.suppress(OSError):  # the peer was quicker
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()
