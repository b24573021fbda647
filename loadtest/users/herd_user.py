"""`HerdUser`: one Locust user that owns many connections.

    from loadtest.users.api import HerdUser, attach
    attach()
    class Viewer(HerdUser):
        profile = "any-socketio.toml"                 # or the same keys as a dict
        def on_connect(self, client): client.emit("hello", {"n": client.index})
        def on_message(self, client, message): ...
        @task
        def poke(self): self.pick().emit("poke", {})

Laws: Locust's semantics stay (users, weights, tasks, tags). The hooks of one user run one after the other in a greenlet
of their own, so they may block; what they cannot keep up with is counted (`hooks_skipped`, in the run's log too), never
piled up.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn

import gevent
from gevent import GreenletExit
from gevent.event import Event
from locust import User
from locust.env import Environment

from loadtest.clock import NS_PER_S
from loadtest.errors import LoadtestError
from loadtest.herd.herd import Herd
from loadtest.herd.listener import FIRST_FREE_REQUEST
from loadtest.profile.model import Profile
from loadtest.protocol.events import Acked, Delivered
from loadtest.users.attach import bridge_of, profile_of
from loadtest.users.build import make_dialect

logger = logging.getLogger(__name__)

MAX_WAITING = 10_000
_given_up: set[type[User]] = set()
_HOOKS = ("on_connect", "on_message", "on_disconnect", "on_ack")


def hold(_: User) -> None:
    """Do nothing for an hour at a time: the task of a user that has none."""
    gevent.sleep(3600)


def own_tasks(user: User) -> list[Any]:
    """Return a user's tasks, `hold` only if there is no other."""
    return [task for task in user.tasks if task is not hold] or [hold]


class Client:
    """One of a herd's connections, as a locustfile sees it. Cheap: made when asked for."""

    __slots__ = ("_user", "slot")

    def __init__(self, user: HerdUser, slot: int) -> None:
        self._user = user
        self.slot = slot

    @property
    def index(self) -> int:
        """Number of this client in the population."""
        return self._user.herd.slots.index[self.slot]

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
    tasks = [hold]  # noqa: RUF012 - Locust makes a list of its own for each class
    profile: ClassVar[str | Mapping[str, Any] | Profile | None] = None
    connections: ClassVar[int | None] = None

    herd: Herd

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.tasks = own_tasks(self)
        self.slots = range(0)
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
        """Return one of this user's connected clients at random; a disconnected one when there is no other.

        Raises:
            IndexError: the user has no clients: an `on_start` of one's own must call `super().on_start()`.
        """
        for _ in range(8):
            slot = random.choice(self.slots)
            if self.herd.is_live(slot):
                return Client(self, slot)
        live = [slot for slot in self.slots if self.herd.is_live(slot)]
        return Client(self, random.choice(live or self.slots))

    @classmethod
    def herd_kind(cls, profile: Profile) -> type[Herd]:  # noqa: ARG003 - other kinds of user depend on it
        """Return the class of herd that holds this class's connections."""
        return Herd

    # --- Locust ------------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Take slots in the herd and have them connected by the ramp."""
        try:
            self._take_slots()
        except LoadtestError as error:
            give_up(self, error)

    def _take_slots(self) -> None:
        bridge = bridge_of(self.environment)
        profile = profile_of(self.environment, type(self))
        size = herd_size(type(self), profile)
        wanted = [name for name in _HOOKS if getattr(type(self), name) is not getattr(HerdUser, name)]
        users = -(-profile.population.connections // size)
        share = -(-users // bridge.of) * size
        hooks = bridge.hooks.setdefault(type(self), HooksOfClass()) if wanted else None
        kind = self.herd_kind(profile)
        self.dialect = make_dialect(profile)
        if vacant := bridge.vacant.get(type(self)):
            self.herd, self.slots = vacant.pop()
        else:
            self.herd = bridge.herds.room(
                type(self), profile, listening=True, hooks=hooks, connections=share, size=size, kind=kind
            )
            self.slots = self.herd.add(self._enlist(size, profile))
        if isinstance(hooks, HooksOfClass):
            hooks.add(self)
            self._greenlet_of_hooks = gevent.spawn(self._run_hooks)
        rate = profile.ramp.rate_per_s
        bridge.when_go(lambda start_ns: self._connect(start_ns, rate))

    def _enlist(self, size: int, profile: Profile) -> range:
        """Return the client indexes of a new user. Under `loadtest run` the last herd may be a smaller one."""
        bridge = bridge_of(self.environment)
        if bridge.profile is not None:
            indexes = bridge.enlist(size)
            return range(indexes.start, max(indexes.start, min(indexes.stop, profile.population.connections)))
        kinds = [user for user in self.environment.user_classes if issubclass(user, HerdUser)]
        return bridge.enlist(size, max(herd_size(kind, profile_of(self.environment, kind)) for kind in kinds))

    def _connect(self, start_ns: int, rate_per_s: float) -> None:
        """Give every slot its place in the open-loop schedule: client i connects at i / rate.

        A herd that is spawned later than that joins the end of this worker's queue, at its share of the rate.
        """
        bridge = bridge_of(self.environment)
        now_ns = bridge.clock()
        if now_ns <= start_ns + NS_PER_S:
            times = [start_ns + round(self.herd.slots.index[slot] * NS_PER_S / rate_per_s) for slot in self.slots]
        else:
            base_ns, step_ns = max(now_ns, bridge.ramp_free_ns), bridge.of * NS_PER_S / rate_per_s
            times = [base_ns + round(place * step_ns) for place in range(len(self.slots))]
            bridge.ramp_free_ns = base_ns + round(len(self.slots) * step_ns)
        for slot, at_ns in zip(self.slots, times, strict=True):
            self.herd.schedule(slot, at_ns)

    def on_stop(self) -> None:
        """Leave: an orderly close for every client."""
        if self._greenlet_of_hooks is not None:
            self._greenlet_of_hooks.kill(block=False)
        if self.slots:
            self.herd.release(self.slots)
            bridge_of(self.environment).vacant.setdefault(type(self), []).append((self.herd, self.slots))

    # --- hooks -------------------------------------------------------------------------------------------------------

    def happened(self, what: str, slot: int, detail: Any) -> None:
        """Take a happening from the herd; it is handed to the hook later, in this user's own greenlet."""
        if len(self._happenings) >= MAX_WAITING:
            self.hooks_skipped += 1
            self.herd.account.counts["hooks_skipped"] += 1
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


def herd_size(kind: type[HerdUser], profile: Profile) -> int:
    """Return how many connections one user of a class holds."""
    return kind.connections or profile.population.herd_size


def give_up(user: User, error: LoadtestError) -> NoReturn:
    """End a user that cannot do its work: one line for all of its class, no traceback.

    Raises:
        GreenletExit: always; Locust takes it for an ordinary end.
    """
    if type(user) not in _given_up:
        _given_up.add(type(user))
        logger.error("%s cannot start: %s", type(user).__name__, error)
    raise GreenletExit from error


class HooksOfClass:
    """Implement `herd.clients.Hooks` for all users of one class on one worker: they share a herd."""

    def __init__(self) -> None:
        self._owner: list[HerdUser] = []

    def add(self, user: HerdUser) -> None:
        """Note whose the user's slots are; they may have been somebody else's before."""
        self._owner.extend([user] * (user.slots.stop - len(self._owner)))
        self._owner[user.slots.start : user.slots.stop] = [user] * len(user.slots)

    def connected(self, slot: int) -> None:
        self._owner[slot].happened("on_connect", slot, None)

    def message(self, slot: int, message: Delivered) -> None:
        self._owner[slot].happened("on_message", slot, message)

    def acked(self, slot: int, answer: Acked) -> None:
        number = None if answer.id is None else answer.id - FIRST_FREE_REQUEST
        self._owner[slot].happened("on_ack", slot, Acked(number, answer.args, answer.ok))

    def disconnected(self, slot: int, reason: str) -> None:
        self._owner[slot].happened("on_disconnect", slot, reason)
