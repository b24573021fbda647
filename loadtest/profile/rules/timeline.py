"""Rules of `[ramp]`, `[reconnect]`, `[recovery]` and thresholds.

The ramp ends, policies take their own keys, a canary reaches everybody, events exist.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from loadtest.profile.model import Profile
from loadtest.profile.rules.objection import Objection, Rule
from loadtest.profile.timeline import POLICY_KEYS
from loadtest.profile.wording import show, show_time
from loadtest.units import format_rate


def ramp_can_end(profile: Profile) -> Iterator[Objection]:
    """The schedule of the ramp fits into its time limit."""
    ramp, connections = profile.ramp, profile.population.connections
    if profile.ramp_s > ramp.timeout_s:
        yield Objection(
            ("ramp.timeout", "ramp.rate", "population.connections"),
            f"found {show_time(ramp.timeout_s)}, but {connections:,} connections at "
            f"{format_rate(ramp.rate_per_s)} take {show_time(profile.ramp_s)}; allow longer, or a higher ramp.rate",
        )


def reconnect_keys_fit(profile: Profile) -> Iterator[Objection]:
    """A policy takes its own parameters only, and its cap is not below its base."""
    reconnect = profile.reconnect
    allowed = POLICY_KEYS[reconnect.policy]
    for key in ("base", "cap", "jitter", "spread", "delay"):
        value = getattr(reconnect, key if key == "jitter" else f"{key}_s")
        if value is not None and key not in allowed:
            yield Objection(
                (f"reconnect.{key}", "reconnect.policy"),
                f'not a key of policy "{reconnect.policy}"; allowed: {", ".join(allowed) or "none"}',
            )
    if reconnect.base_s is not None and reconnect.cap_s is not None and reconnect.cap_s < reconnect.base_s:
        yield Objection(
            ("reconnect.cap", "reconnect.base"),
            f"found {show_time(reconnect.cap_s)}, allowed: at least base, {show_time(reconnect.base_s)}",
        )


def canary_reaches_everybody(profile: Profile) -> Iterator[Objection]:
    """The canary names a group of channels that every client is in; its other keys go with it."""
    recovery, connections = profile.recovery, profile.population.connections
    if recovery.canary is None:
        for key in ("canary_at", "canary_every"):
            if recovery.departs(key if key == "canary_at" else f"{key}_s"):
                yield Objection((f"recovery.{key}", "recovery.canary"), "allowed only with recovery.canary")
        return
    keys = ("recovery.canary", "population.channels", "population.connections")
    clients = dict(
        zip((group.name for group in profile.population.channels), profile.channels.spans, strict=True),
    )
    whole = [name for name, span in clients.items() if span.clients == connections]
    allowed = ", ".join(map(show, whole)) or (
        "a group of population.channels that every client is in"
        if clients
        else "a group of population.channels, and there is none"
    )
    if recovery.canary not in clients:
        close = difflib.get_close_matches(recovery.canary, whole, n=1)
        hint = f"did you mean {show(close[0])}? " if close else ""
        yield Objection(keys, f"found {show(recovery.canary)}, {hint}allowed: {allowed}")
    elif recovery.canary not in whole:
        yield Objection(
            keys,
            f"found {show(recovery.canary)}, which reaches {clients[recovery.canary].clients:,} of {connections:,}"
            f" clients: the others would never count as recovered; allowed: {allowed}",
        )


def thresholds_name_real_events(profile: Profile) -> Iterator[Objection]:
    """A threshold on an event needs a fault of that name; otherwise it could only ever have no data."""
    names = [fault.name for fault in profile.faults]
    for number, text in enumerate(profile.thresholds):
        head, _, rest = text.strip().partition(".")
        event = rest.split(".", 1)[0]
        if head == "events" and event and event not in names:
            yield Objection(
                (f"thresholds.{number}", "faults"),
                f'found the event "{event}", which no fault is named; allowed: {", ".join(names) or "none"}',
            )


RULES: tuple[Rule, ...] = (
    ramp_can_end,
    reconnect_keys_fit,
    canary_reaches_everybody,
    thresholds_name_real_events,
)
