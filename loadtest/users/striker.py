"""Strikes with faults on the master: those of the profile when they are due, and others when a person says so.

    schedule --name--> strike \\
    a person --settings--> strike_now --> Striker --greenlet--> Fault.apply       end of the run --> undo

Laws: a fault that failed makes the run invalid, for what was to be measured did not happen. Whatever was begun is taken
back, whatever happened. A fault is under way from the moment it is struck, so nobody who asks later can miss it.
"""

from __future__ import annotations

from collections.abc import Mapping

import gevent

from loadtest.clock import NS_PER_S, now_ns
from loadtest.errors import LoadtestError, UsageError
from loadtest.faults.fault import Control, Fault
from loadtest.faults.registry import build_faults
from loadtest.profile import faults as profile
from loadtest.users import messages
from loadtest.users.recorder import Recorder

UNDO_TIMEOUT_S = 5


class Striker:
    """The context of one run's faults (`FaultContext`), and the hand that strikes.

    Args:
        faults: the profile's faults by name, built and checked.
        control: of a stack that was started for this run; None: a target that is not ours.
    """

    def __init__(self, record: Recorder, faults: Mapping[str, Fault], control: Control | None) -> None:
        self._record = record
        self._control = control
        self._faults = dict(faults)
        self._settings: dict[str, profile.Fault] = {fault.name: fault for fault in record.profile.faults}
        self._begun: list[str] = []
        self._applying: dict[str, gevent.Greenlet] = {}

    # --- the context of faults ---------------------------------------------------------------------------------------

    @property
    def control(self) -> Control | None:
        """Control of the stack under test, when it was started for this run."""
        return self._control

    @property
    def variables(self) -> Mapping[str, str]:
        """What a command fault finds in its environment."""
        return {"run": self._record.bridge.run, "folder": str(self._record.folder.path)}

    def drop(self, share: float, how: str) -> None:
        """Have all herds close `share` of their own sockets."""
        self._record.bridge.tell(messages.DROP, {"share": share, "how": how})

    def log(self, text: str) -> None:
        """Put a line into the run's log and the live view."""
        self._record.log(text)

    # --- striking ----------------------------------------------------------------------------------------------------

    @property
    def under_way(self) -> tuple[str, ...]:
        """Names of the faults that are being applied."""
        return tuple(name for name, greenlet in self._applying.items() if not greenlet.dead)

    def strike(self, name: str) -> None:
        """Begin a fault of the profile."""
        self._begun.append(name)
        self._applying[name] = gevent.spawn(self._apply, name, now_ns())

    def strike_now(self, settings: profile.Fault) -> str:
        """Begin a fault that the profile does not have; return its name, made unique in this run.

        Raises:
            UsageError: it cannot be applied to this target; nothing was begun.
        """
        names = {*self._settings, *self._begun, *self._record.books.events}
        count = 1
        while (name := settings.name if count == 1 else f"{settings.name}-{count}") in names:
            count += 1
        named = settings.model_copy(update={"name": name})
        fault = build_faults([named])[name]
        refusals = fault.check(self)
        if refusals:
            raise UsageError("; ".join(refusals))
        self._faults[name], self._settings[name] = fault, named
        self.strike(name)
        return name

    def _apply(self, name: str, t0_ns: int) -> None:
        settings = self._settings[name]
        self._record.follow(name, settings.kind, t0_ns, str(getattr(settings, "strategy", "") or settings.kind))
        try:
            self._faults[name].apply(self)
        except LoadtestError as error:
            self._record.verdict.invalid.append(f"{error}.")
            self.log(str(error))
        else:
            self.log(f"{name}: applied in {(now_ns() - t0_ns) / NS_PER_S:.2f} s")

    def undo(self) -> None:
        """Take back every fault that was begun, whatever happened."""
        gevent.killall(list(self._applying.values()), block=True, timeout=UNDO_TIMEOUT_S)
        for name in self._begun:
            try:
                self._faults[name].undo(self)
            except LoadtestError as error:
                self._record.verdict.invalid.append(f"{error}.")
