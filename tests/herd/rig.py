"""A whole herd on a real epoll, facing a `Server` in the same thread, with a clock that moves only when told to."""

from __future__ import annotations

import os
import random
import select
import socket
from collections.abc import Callable, Sequence
from typing import Any

from loadtest.clock import NS_PER_S, FakeClock
from loadtest.herd.clients import Hooks, Settings
from loadtest.herd.herd import Herd
from loadtest.herd.opening import Opening
from loadtest.herd.sockets import Target
from loadtest.herd.states import CONNECTING, UPGRADING
from loadtest.metrics.ledger import Announced, Ledger
from loadtest.pacing.reconnect import Fixed, ReconnectPolicy
from loadtest.protocol.dialect import Dialect
from loadtest.protocol.events import Acked, Delivered
from loadtest.protocol.socketio_dialect import SocketIODialect
from tests.herd.peers import RUN, FewClients, Peer, Server

MOST_ROUNDS = 400


def socketio() -> SocketIODialect:
    return SocketIODialect(
        subscribe_event="subscribe",
        subscribe_args=[{"collection": "{channel}"}],
        ack_path="0.ok",
        ack_equals=True,
        marker_path="1.text",
    )


class Notes:
    """Hooks that write down what they are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, Any]] = []

    def connected(self, slot: int) -> None:
        self.told.append(("connected", slot, None))

    def message(self, slot: int, message: Delivered) -> None:
        self.told.append(("message", slot, message.event))

    def acked(self, slot: int, answer: Acked) -> None:
        self.told.append(("acked", slot, answer.id))

    def disconnected(self, slot: int, reason: str) -> None:
        self.told.append(("disconnected", slot, reason))


class Rig:
    """A herd of `size` slots and its server; `dialect` and the rest as `Herd` wants them.

    Connections over loopback stand at once, and the herd asks at once; with `at_once` False it is told that they do
    not, as by a network: everything then goes by the poller. Of so few connections all would be sampled for the
    receive queue's delay, and none be read the quick way: only if `sampled`.
    """

    def __init__(
        self,
        size: int = 1,
        *,
        dialect: Dialect | None = None,
        clients: FewClients | None = None,
        policy: ReconnectPolicy | None = None,
        hooks: Hooks | None = None,
        listening: bool = True,
        at_once: bool = True,
        sampled: bool = False,
        **settings: Any,
    ) -> None:
        self.server = Server()
        self.clock = FakeClock()
        self.poller = select.epoll()
        clients = clients or FewClients(groups=(lambda index: 0,) if listening else ())
        self.ledger = Ledger([0, 1] if clients.groups > 1 else [0, 0], 5 * NS_PER_S) if listening else None
        self.herd = Herd(
            poller=self.poller,
            dialect=dialect or socketio(),
            clients=clients,
            opening=Opening(clients, [Target.of(self.server.url)]),
            policy=policy or Fixed(1.0),
            sources=(),
            settings=Settings(RUN, **settings),
            ledger=self.ledger,
            rng=random.Random(7),
            hooks=hooks,
            clock=self.clock,
        )
        if not sampled:
            self.herd.queue_delay.grow = lambda slots: None  # type: ignore[method-assign]
        if not at_once:
            wires, connect = self.herd._wires, self.herd._wires.open
            wires.open = lambda slot, target, source, first=b"": connect(slot, target, source)  # type: ignore[method-assign]
        self.begun = UPGRADING if at_once else CONNECTING
        self.slots = self.herd.add(range(size))

    def stop(self) -> None:
        self.herd.release(self.slots)
        self.server.stop()
        self.poller.close()

    # --- moving on ---------------------------------------------------------------------------------------------------

    def pump(self, until: Callable[[], bool]) -> None:
        """Let both sides work until `until` holds; the clock stands still."""
        for _ in range(MOST_ROUNDS):
            self.server.step()
            self.herd.turn()
            self.herd.tick()
            if until():
                return
            select.select([self.poller.fileno(), *self.server.readables], [], [], 0.01)
        raise AssertionError(
            f"not reached; population {self.herd.slots.population}, account {self.herd.account.take()}"
        )

    def idle(self, rounds: int = 3) -> None:
        """Let both sides work for some rounds in which nothing need happen."""
        for _ in range(rounds):
            self.server.step()
            self.herd.turn()
            self.herd.tick()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.herd.tick()

    def go(self, slots: Sequence[int] | None = None) -> None:
        """Begin to connect now: timers fire at the next tick."""
        for slot in self.slots if slots is None else slots:
            self.herd.schedule(slot, self.clock.now_ns)
        self.advance(0.01)

    def all_live(self) -> bool:
        return all(self.herd.is_live(slot) for slot in self.slots)

    def come(self) -> list[Peer]:
        """Connect everybody; return the server's ends."""
        self.go()
        self.pump(self.all_live)
        return self.server.peers

    def arrive(self, peers: Sequence[Peer], event: int = select.POLLIN) -> None:
        """Wait until what `peers` sent has reached the herd's sockets: loopback is quick, not instant."""
        waiting = {peer.sock.getpeername() for peer in peers}
        fds = []
        for fd in self.herd._wires._fd:
            if fd >= 0:
                with socket.socket(fileno=os.dup(fd)) as sock:
                    if sock.getsockname() in waiting:
                        fds.append(fd)
        for fd in fds:
            poll = select.poll()
            poll.register(fd, event)
            assert poll.poll(2000), "what was sent did not arrive"

    def say(self, peers: Sequence[Peer], *packets: str) -> None:
        """Have `peers` send packets, each in one write, and the herd read them."""
        for peer in peers:
            peer.say(*packets)
        self.arrive(peers)
        while self.herd.turn():
            pass

    # --- looking -----------------------------------------------------------------------------------------------------

    @property
    def peer(self) -> Peer:
        """The only connection, or the newest."""
        return self.server.peers[-1]

    def state(self, slot: int = 0) -> int:
        return self.herd.state(slot)

    def failures(self) -> dict[str, int]:
        return dict(self.herd.account.failures)

    def drops(self) -> dict[str, int]:
        return dict(self.herd.account.drops)

    def publish(self, *seqs: int, sched_ns: int, channel: int = 0) -> None:
        """Announce messages as sent."""
        assert self.ledger is not None
        for seq in seqs:
            self.ledger.announce(Announced(channel, 0, seq, sched_ns, 0))

    def books(self) -> dict[str, int]:
        """Close everything and return the ledger's counts."""
        assert self.ledger is not None
        self.ledger.close(self.clock.now_ns + 60 * NS_PER_S)
        return {name: count for name, count in self.ledger.take()["counts"].items() if count}
