"""`HerdUser`: one Locust user that owns many connections.

    from loadtest.users.api import HerdUser, attach
    attach()
    class Viewer(HerdUser):
        profile = "profiles/any-socketio.toml"        # or the same keys as a dict
        def on_connect(self, client): client.emit("hello", {"n": client.index})
        def on_message(self, client, message): ...
        @task
        def poke(self): self.pick().emit("poke", {})

Laws: Locust's semantics stay (users, weights, tasks, tags). The hooks of one user run one after the other in a greenlet
of their own, so they may block; what they cannot keep up with is counted (`hooks_skipped`), never piled up.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gevent
from gevent.event import Event
from locust import User
from locust.env import Environment

from loadtest.clock import NS_PER_S
from loadtest.herd.herd import Herd
from loadtest.herd.listener import FIRST_FREE_REQUEST
from loadtest.profile.model import Profile
from loadtest.protocol.events import Acked, Delivered
from loadtest.users.attach import bridge_of, profile_of
from loadtest.users.build import make_dialect

MAX_WAITING = 10_000
_HOOKS = ("on_connect", "on_message", "on_disconnect", "on_ack")


def hold(_: User) -> None:
    """Do nothing for an hour at a time: the task of a user that has none."""
    gevent.sleep(3600)


class Client:
    """One of a herd's connections, as a locustfile sees it. Cheap: made when asked for."""

    __slots__ = ("_user", "slot")

    def __init__(self, user: HerdUser, slot: int) -> None:
        self._user = user
        self.slot = slot

    @property
    def index(self) -> int:
        """Number of this client in the population."""
        return self._user.herd.index(self.slot)

    @property
    def connected(self) -> bool:
        """Whether it is in session."""
        return self._user.herd.is_live(self.slot)

    def emit(self, event: str, *args: object, ack: int | None = None) -> bool:
        """Send a Socket.IO event; `ack` (a number >= 0 of your choice) asks for an answer, which `on_ack` gets.

        Returns:
            False when the client is not connected.

        Raises:
            LocalProtocolError: the dialect has no events, or a value is not JSON.
        """
        number = None if ack is None else FIRST_FREE_REQUEST + ack
        return self._user.herd.send(self.slot, self._user.dialect.emit(event, args, number))

    def send(self, value: object) -> bool:
        """Send one plain message (JSON, or a string as it is); False when the client is not connected."""
        return self._user.herd.send(self.slot, self._user.dialect.send(value))


class HerdUser(User):
    """Hold `profile.population.herd_size` connections (or `connections`, if set).

    Attributes:
        profile: path of a profile, or its content as a dict. connections: sockets of this user; None = herd_size.
        herd: the engine's herd that holds them. slots: which rows of it are this user's.
    """

    abstract = True
    profile: ClassVar[str | Mapping[str, Any] | Profile | None] = None
    connections: ClassVar[int | None] = None

    herd: Herd
    slots: range

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        if not self.tasks:
            self.tasks = [hold]
        self._arrived = Event()
        self._happenings: list[tuple[str, int, Any]] = []
        self._greenlet_of_hooks: gevent.Greenlet | None = None
        self.hooks_skipped = 0

    # --- for people's own classes ------------------------------------------------------------------------------------

    def on_connect(self, client: Client) -> None:
        """A client is in session and subscribed. Override me."""

    def on_message(self, client: Client, message: Delivered) -> None:
        """A client got an application message (`message.event`, `message.args`). Override me: it costs speed."""

    def on_ack(self, client: Client, answer: Acked) -> None:
        """The answer to `emit(..., ack=n)`: `answer.id` is n, `answer.args` its content. Override me."""

    def on_disconnect(self, client: Client, reason: str) -> None:
        """A client lost its connection. Override me."""

    def client(self, slot: int) -> Client:
        """Return the client of a slot."""
        return Client(self, slot)

    def pick(self) -> Client:
        """Return one of this user's connected clients at random; a disconnected one when there is no other."""
        for _ in range(8):
            slot = random.choice(self.slots)
            if self.herd.is_live(slot):
                return Client(self, slot)
        live = [slot for slot in self.slots if self.herd.is_live(slot)]
        return Client(self, random.choice(live or self.slots))

    # --- Locust ------------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Take slots in the herd and have them connected by the ramp."""
        bridge = bridge_of(self.environment)
        profile = profile_of(self.environment, type(self).profile)
        size = self.connections or profile.population.herd_size
        wanted = [name for name in _HOOKS if getattr(type(self), name) is not getattr(HerdUser, name)]
        everybody = profile.population.connections
        share = -(-everybody // bridge.of) + size
        hooks = bridge.hooks.setdefault(type(self), HooksOfClass()) if wanted else None
        self.herd = bridge.herd(type(self), profile, listening=True, hooks=hooks, connections=share)
        self.dialect = make_dialect(profile)
        indexes = bridge.enlist(size)
        indexes = range(indexes.start, min(indexes.stop, max(everybody, indexes.start)))
        self.slots = self.herd.add(indexes)
        if isinstance(hooks, HooksOfClass):
            hooks.add(self)
            self._greenlet_of_hooks = gevent.spawn(self._run_hooks)
        rate = profile.ramp.rate_per_s
        bridge.when_go(lambda start_ns: self._connect(start_ns, rate))

    def _connect(self, start_ns: int, rate_per_s: float) -> None:
        """Give every slot its place in the open-loop schedule: client i connects at i / rate."""
        now_ns = bridge_of(self.environment).clock()
        late = now_ns > start_ns + NS_PER_S
        first = self.herd.index(self.slots.start) if late and self.slots else 0
        base_ns = now_ns if late else start_ns
        for slot in self.slots:
            place = self.herd.index(slot) - first
            self.herd.schedule(slot, base_ns + round(place * NS_PER_S / rate_per_s))

    def on_stop(self) -> None:
        """Leave: an orderly close for every client."""
        if self._greenlet_of_hooks is not None:
            self._greenlet_of_hooks.kill(block=False)
        self.herd.release(self.slots)

    # --- hooks -------------------------------------------------------------------------------------------------------

    def happened(self, what: str, slot: int, detail: Any) -> None:
        """Take a happening from the herd; it is handed to the hook later, in this user's own greenlet."""
        if len(self._happenings) >= MAX_WAITING:
            self.hooks_skipped += 1
            return
        self._happenings.append((what, slot, detail))
        self._arrived.set()

    def _run_hooks(self) -> None:
        while True:
            self._arrived.wait()
            self._arrived.clear()
            happenings, self._happenings = self._happenings, []
            for what, slot, detail in happenings:
                arguments: Sequence[Any] = (Client(self, slot),) if detail is None else (Client(self, slot), detail)
                try:
                    getattr(self, what)(*arguments)
                except Exception as error:  # noqa: BLE001 - people's own code: Locust shows it, the herd lives on
                    self.environment.events.user_error.fire(user_instance=self, exception=error, tb=error.__traceback__)


class HooksOfClass:
    """Implement `herd.clients.Hooks` for all users of one class on one worker: they share a herd."""

    def __init__(self) -> None:
        self._owner: list[HerdUser] = []

    def add(self, user: HerdUser) -> None:
        """Note whose the user's slots are."""
        self._owner.extend([user] * (user.slots.stop - len(self._owner)))

    def connected(self, slot: int) -> None:
        self._owner[slot].happened("on_connect", slot, None)

    def message(self, slot: int, message: Delivered) -> None:
        self._owner[slot].happened("on_message", slot, message)

    def acked(self, slot: int, answer: Acked) -> None:
        number = None if answer.id is None else answer.id - FIRST_FREE_REQUEST
        self._owner[slot].happened("on_ack", slot, Acked(number, answer.args, answer.ok))

    def disconnected(self, slot: int, reason: str) -> None:
        self._owner[slot].happened("on_disconnect", slot, reason)
