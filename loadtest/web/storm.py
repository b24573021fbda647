"""The fault buttons: what a person may do to a run under way, and what happens when two persons do it at once.

    press(order) --nothing under way--> Striker.strike_now --> {"event": "deploy-2", "joined": false}
                 --the same, just now--> {"event": "deploy-2", "joined": true}     both pages see the one event
                 --something else-----> refused, with its name

Laws: one fault is applied at a time. A press within `TOGETHER_S` of the last one of its kind, or while that is still
being applied, joins it. What lasts and is struck from a page has a duration, so that nobody forgets it, and can be
taken back before. Commands and HTTP hooks are never taken from a page: only those that the profile names can be struck.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from pydantic import TypeAdapter, ValidationError

from loadtest.clock import NS_PER_S, Clock, now_ns
from loadtest.errors import UsageError
from loadtest.pacing.phases import Phase
from loadtest.profile import faults as profile
from loadtest.web.watch import Watch

TOGETHER_S = 3.0
_KEYS: dict[str, tuple[str, ...]] = {
    "deploy": ("strategy", "drain_seconds"),
    "drop": ("share", "how"),
    "blackhole": ("share", "duration"),
    "half-open": ("share", "duration"),
    "slow-reader": ("share", "bytes_per_s", "duration"),
    "mute": ("number", "duration"),
    "slowloris": ("number", "duration"),
    "network-delay": ("share", "delay", "duration"),
    "network-jitter": ("share", "jitter", "duration"),
    "network-bandwidth": ("share", "bytes_per_s", "duration"),
    "network-stall": ("share", "duration"),
    "network-cut": ("share", "duration"),
}
"""What of each kind a page may say; of those that last, all of it."""
_OF_PARTS: dict[str, tuple[str, ...]] = {
    "kill": ("part",),
    "down": ("part", "duration"),
    "freeze": ("part", "duration"),
    "slow": ("part", "share", "duration"),
    "database-slow": ("part", "delay", "duration"),
    "database-down": ("part", "duration"),
    "partition": ("part", "how", "duration"),
    "replica-lag": ("part", "delay", "duration"),
    "failover": ("part",),
}
"""The same of the kinds that happen to a part of a stack that was started for the run."""
_NO_LINKS = "its stack has relays before the broker only with a profile that has partition or replica-lag"
_WHY_NOT = {
    "partition": _NO_LINKS,
    "replica-lag": f"the broker has no replica before bifrost-6, and {_NO_LINKS}",
    "failover": "the broker has no replica before bifrost-6",
}
_NODES = "gateway-*"
_ADAPTER: TypeAdapter[profile.Fault] = TypeAdapter(profile.Fault)


class Storm:
    """Take presses for the run that `watch` watches."""

    def __init__(self, watch: Watch, clock: Clock = now_ns) -> None:
        self._watch = watch
        self._clock = clock
        self._last: tuple[object, str, str, int] | None = None

    def choices(self) -> list[dict[str, str]]:
        """Return the profile's own faults, which can be struck once more."""
        recorder = self._watch.recorder
        if recorder is None:
            return []
        return [{"name": fault.name, "kind": fault.kind} for fault in recorder.profile.faults]

    def offer(self) -> dict[str, Any]:
        """Return what there is to press: `choices`, `lasting`, `of_parts`, `in_place`."""
        return {
            "choices": self.choices(),
            "lasting": self.lasting(),
            "of_parts": self.of_parts(),
            "in_place": self.in_place(),
        }

    def lasting(self) -> list[dict[str, Any]]:
        """Return the kinds that last and can be struck in this run, each with its keys."""
        striker = self._watch.striker
        relayed = striker is not None and bool(striker.relays)
        return [
            {"kind": kind, "keys": list(keys)}
            for kind, keys in _KEYS.items()
            if "duration" in keys and (relayed or not kind.startswith("network-"))
        ]

    def of_parts(self) -> list[dict[str, Any]]:
        """Return the kinds that happen to parts: its keys, the parts that can have it here, or why none of them can."""
        striker = self._watch.striker
        if striker is None or striker.control is None:
            return []
        known = striker.control.faults
        found = []
        for kind, keys in _OF_PARTS.items():
            parts = [part for part, kinds in known.items() if kind in kinds]
            if sum(fnmatchcase(part, _NODES) for part in parts) > 1:
                parts.append(_NODES)
            why_not = "" if parts else _WHY_NOT.get(kind, "no part of this target can have it")
            found.append({"kind": kind, "keys": list(keys), "parts": parts, "why_not": why_not})
        return found

    def in_place(self) -> list[str]:
        """Return the names of the faults that can be taken back."""
        return [] if self._watch.striker is None else list(self._watch.striker.in_place)

    def press(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Strike, or join what was struck just now.

        Args:
            order: {"kind": one of `_KEYS` or `_OF_PARTS`, its parameters}, {"kind": "again", "name": a fault of the
                profile} or {"kind": "back", "name": a fault in place}.

        Raises:
            UsageError: there is nothing to strike, the order is wrong, or another fault is under way.
        """
        watch, striker = self._watch, self._watch.striker
        if striker is None or watch.recorder is None or not watch.recorder.began:
            raise UsageError("no run is under way")
        if watch.line.get("phase") == str(Phase.DRAIN):
            raise UsageError("the run is in its drain: nothing is published that a fault could disturb")
        if order.get("kind") == "back":
            striker.take_back(str(order.get("name")))
            return {"event": order["name"], "joined": False, "ago_s": 0.0, "back": True}
        settings = self._settings(order)
        now = self._clock()
        if self._last is not None and self._last[0] is striker:
            _, kind, event, at_ns = self._last
            recent = now - at_ns < TOGETHER_S * NS_PER_S or event in striker.under_way
            if recent and kind == settings.kind:
                return {"event": event, "joined": True, "ago_s": round((now - at_ns) / NS_PER_S, 1)}
        if striker.under_way:
            raise UsageError(f"{', '.join(striker.under_way)} is still being applied; one fault at a time")
        event = striker.strike_now(settings)
        self._last = striker, settings.kind, event, now
        return {"event": event, "joined": False, "ago_s": 0.0}

    def _settings(self, order: Mapping[str, Any]) -> profile.Fault:
        kind = order.get("kind")
        if kind == "again":
            assert self._watch.recorder is not None
            for fault in self._watch.recorder.profile.faults:
                if fault.name == order.get("name"):
                    return fault
            raise UsageError("the profile has no such fault")
        known = _KEYS | _OF_PARTS
        if not isinstance(kind, str) or kind not in known:
            listed = ", ".join(f'"{each}"' for each in known)
            raise UsageError(f"a fault struck from the page is {listed}, or one of the profile")
        if "duration" in known[kind] and not order.get("duration"):
            raise UsageError("duration: a fault that lasts and is struck from the page has one")
        given = {key: order[key] for key in known[kind] if key in order}
        try:
            return _ADAPTER.validate_python({"kind": kind, **given})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"][1:])
            raise UsageError(f"{where}: {first['msg']}") from error
