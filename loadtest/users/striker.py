"""Strikes with faults on the master: those of the profile when they are due, and others when a person says so.

    schedule --name--> strike \\
    a person --settings--> strike_now --> Striker --greenlet--> Fault.apply --duration--> Fault.undo
                                                                     end of the run ---------^

Laws: a fault that failed makes the run invalid, for what was to be measured did not happen. Whatever was begun is taken
back once, whatever happened. A fault is under way from the moment it is struck, so nobody who asks later can miss it.
Two faults that hold the same thing are never in place together.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import gevent
import gevent.event

from loadtest.clock import NS_PER_S, now_ns
from loadtest.errors import LoadtestError, UsageError
from loadtest.faults.fault import Control, Fault, FaultFailedError
from loadtest.faults.registry import build_faults
from loadtest.herd.affliction import merge_facts, told
from loadtest.profile import faults as tables
from loadtest.profile.model import Profile
from loadtest.relay.control import Remote
from loadtest.users.recorder import Recorder

logger = logging.getLogger(__name__)

UNDO_TIMEOUT_S = 5
ROOM_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 6.0


class Striker:
    """The context of one run's faults (`FaultContext`), and the hand that strikes.

    Args:
        faults: the profile's faults by name, built and checked.
        control: of a stack that was started for this run; None: a target that is not ours.
        relays: between clients and gateways.
    """

    def __init__(
        self,
        record: Recorder,
        faults: Mapping[str, Fault],
        control: Control | None,
        relays: Sequence[Remote] = (),
    ) -> None:
        self.relays = relays
        self._record = record
        self._control = control
        self._faults = dict(faults)
        self._settings: dict[str, tables.Fault] = {fault.name: fault for fault in record.profile.faults}
        self._begun: list[str] = []
        self._working: list[str] = []
        self._in_place: dict[str, gevent.event.Event] = {}
        self._greenlets: dict[str, gevent.Greenlet] = {}

    # --- the context of faults ---------------------------------------------------------------------------------------

    @property
    def control(self) -> Control | None:
        """Control of the stack under test, when it was started for this run."""
        return self._control

    @property
    def variables(self) -> Mapping[str, str]:
        """What a command fault finds in its environment."""
        return {"run": self._record.bridge.run, "folder": str(self._record.folder.path)}

    @property
    def profile(self) -> Profile:
        """The profile as it runs."""
        return self._record.profile

    def afflict(self, name: str, order: Mapping[str, object]) -> int:
        """Have all herds do something to connections of their own."""
        data = {"id": name, "seed": self.profile.seed, **order}
        return sum(answer.get("hit", 0) for answer in self._record.bridge.ask("afflict", data, ANSWER_TIMEOUT_S))

    def relieve(self, name: str) -> dict[str, object]:
        """Have all herds let go of the fault's connections; return what came of it."""
        answers = self._record.bridge.ask("relieve", {"id": name}, ANSWER_TIMEOUT_S)
        return told(merge_facts(answer.get("facts", {}) for answer in answers))

    def log(self, text: str) -> None:
        """Put a line into the run's log and the live view."""
        self._record.log(text)

    def report(self, name: str, facts: Mapping[str, object]) -> None:
        """Put figures into the fault's event."""
        event = self._record.books.events.get(name)
        if event is not None:
            event.facts.update(facts)

    # --- striking ----------------------------------------------------------------------------------------------------

    @property
    def under_way(self) -> tuple[str, ...]:
        """Names of the faults that are being applied or taken back."""
        return tuple(self._working)

    @property
    def in_place(self) -> tuple[str, ...]:
        """Names of the faults that last and have not been taken back."""
        return tuple(self._in_place)

    def strike(self, name: str) -> None:
        """Begin a fault of the profile."""
        self._working.append(name)
        self._greenlets[name] = gevent.spawn(self._live, name)

    def strike_now(self, settings: tables.Fault) -> str:
        """Begin a fault that the profile does not have; return its name, made unique in this run.

        Raises:
            UsageError: it cannot be applied to this target, or not beside what is in place; nothing was begun.
        """
        names = {*self._settings, *self._record.books.events}
        count = 1
        while (name := settings.name if count == 1 else f"{settings.name}-{count}") in names:
            count += 1
        named = settings.model_copy(update={"name": name})
        fault = build_faults([named])[name]
        refusals = [*fault.check(self), *self._in_the_way(named)]
        if refusals:
            raise UsageError("; ".join(refusals))
        self._faults[name], self._settings[name] = fault, named
        self.strike(name)
        return name

    def take_back(self, name: str) -> None:
        """Take back a fault that is in place, before its time.

        Raises:
            UsageError: it is not in place.
        """
        if name not in self._in_place:
            raise UsageError(f"{name} is not in place")
        self._in_place[name].set()

    def _in_the_way(self, settings: tables.Fault) -> list[str]:
        """Return a sentence for each fault at work or in place that holds what this one needs for itself."""
        others = [self._settings[name] for name in {*self._working, *self._in_place} if name != settings.name]
        return [
            f"fault {settings.name}: {', '.join(sorted(shared))} is held by {other.name}, which is in place"
            for other in others
            if (shared := settings.holds & other.holds)
        ]

    def _live(self, name: str) -> None:
        """Apply a fault, leave it in place as long as it lasts, take it back."""
        settings = self._settings[name]
        try:
            if not self._apply(name) or not settings.lasts:
                return
            self._in_place[name] = end = gevent.event.Event()
        finally:
            self._working.remove(name)
        end.wait(settings.lasts_s)
        self._working.append(name)
        try:
            self._undo(name)
        finally:
            self._working.remove(name)

    def _apply(self, name: str) -> bool:
        """Do it; return whether it is done."""
        settings = self._settings[name]
        self._await_room(settings)
        t0_ns = now_ns()
        self._record.follow(name, settings.kind, t0_ns, str(getattr(settings, "strategy", "") or settings.kind))
        event = self._record.books.events[name]
        event.lasts, event.at_work = settings.lasts, True
        try:
            if in_the_way := self._in_the_way(settings):
                raise FaultFailedError("; ".join(in_the_way))
            self._begun.append(name)
            self._faults[name].apply(self)
        except Exception as error:  # noqa: BLE001 - whatever it was, what was to be measured did not happen
            self._fail(name, error)
            self._undo(name)
            return False
        finally:
            event.applied(now_ns())
        self.log(f"{name}: applied in {(now_ns() - t0_ns) / NS_PER_S:.2f} s")
        return True

    def _await_room(self, settings: tables.Fault) -> None:
        """Give a fault that should be gone by now the time to be taken back: the file lets this one follow at once."""
        deadline_ns = now_ns() + round(ROOM_TIMEOUT_S * NS_PER_S)
        while self._in_the_way(settings) and now_ns() < deadline_ns:
            gevent.sleep(0.01)

    def _undo(self, name: str) -> None:
        """Take one fault back, if it was begun; once it is done, it is not done again."""
        if name in self._begun:
            try:
                self._faults[name].undo(self)
            except Exception as error:  # noqa: BLE001 - as in `_apply`
                self._fail(name, error)
            self._begun.remove(name)
        now = now_ns()
        event = self._record.books.events.get(name)
        if event is not None and event.lasts:
            event.undone(now)
        if self._in_place.pop(name, None) is not None:
            self.log(f"{name}: taken back")
            self._record.mark(self._record.elapsed_s(now), f"{name} taken back", "undo")

    def _fail(self, name: str, error: Exception) -> None:
        if not isinstance(error, LoadtestError):
            logger.exception("fault %s", name)
            error = FaultFailedError(f"fault {name}: {type(error).__name__}: {error}")
        self._record.verdict.invalid.append(f"{error}.")
        self.log(str(error))

    def undo(self) -> None:
        """Take back every fault that was begun, whatever happened, the last one first."""
        gevent.killall(list(self._greenlets.values()), block=True, timeout=UNDO_TIMEOUT_S)
        self._working.clear()
        for name in self._begun[::-1]:
            self._undo(name)
