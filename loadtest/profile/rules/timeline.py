"""Rules of `[ramp]`, `[reconnect]`, `[[faults]]` and thresholds: everything happens inside the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from loadtest.profile.model import Profile
from loadtest.profile.rules.objection import Objection, Rule, wrong_url
from loadtest.profile.timeline import POLICY_KEYS
from loadtest.units import format_duration, format_rate


def _text(seconds: float) -> str:
    return f'"{format_duration(round(seconds, 3))}"'


def ramp_can_end(profile: Profile) -> Iterator[Objection]:
    """The schedule of the ramp fits into its time limit."""
    ramp, connections = profile.ramp, profile.population.connections
    if profile.ramp_s > ramp.timeout_s:
        yield Objection(
            ("ramp.timeout", "ramp.rate", "population.connections"),
            f"found {_text(ramp.timeout_s)}, but {connections:,} connections at "
            f"{format_rate(ramp.rate_per_s)} take {_text(profile.ramp_s)}; allow longer, or a higher ramp.rate",
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
            f"found {_text(reconnect.cap_s)}, allowed: at least base, {_text(reconnect.base_s)}",
        )


def faults_have_names(profile: Profile) -> Iterator[Objection]:
    """Reports and thresholds speak of a fault by its name."""
    times = Counter(fault.name for fault in profile.faults)
    for number, fault in enumerate(profile.faults):
        if times[fault.name] > 1:
            yield Objection(
                (f"faults.{number}.name",),
                f'found "{fault.name}" {times[fault.name]} times; give each fault a name of its own',
            )


def faults_happen_in_the_run(profile: Profile) -> Iterator[Objection]:
    """A fault has one moment, and the run is still measuring then."""
    hold_s = profile.duration_s
    end_s = profile.ramp_s + profile.phases.warmup_s + hold_s
    for number, fault in enumerate(profile.faults):
        key = f"faults.{number}"
        if fault.at_s is not None and fault.after_steady_s is not None:
            yield Objection((f"{key}.at", f"{key}.after_steady"), "found at and after_steady; allowed: one of them")
        if fault.after_steady_s is not None and fault.after_steady_s >= hold_s:
            yield Objection(
                (f"{key}.after_steady", "duration"),
                f"found {_text(fault.after_steady_s)}, allowed: less than duration, {_text(hold_s)}",
            )
        if fault.at_s is not None and fault.at_s >= end_s:
            yield Objection(
                (f"{key}.at", "duration", "ramp.rate", "population.connections", "phases.warmup"),
                f"found {_text(fault.at_s)}, allowed: less than {_text(end_s)}, "
                "the ramp's schedule, the warm-up and duration together",
            )


def faults_fit_the_target(profile: Profile) -> Iterator[Objection]:
    """Only a stack that we started can be deployed; hooks need an address."""
    for number, fault in enumerate(profile.faults):
        key = f"faults.{number}"
        if fault.kind == "deploy" and profile.target.stack != "reference":
            yield Objection(
                (f"{key}.kind", "target.stack"),
                'found "deploy", which needs target.stack = "reference"; allowed otherwise: "command", "http", "drop"',
            )
        if fault.kind == "http":
            wrong = wrong_url(fault.http.url, ("http", "https"))
            if wrong is not None:
                yield Objection((f"{key}.http.url",), wrong)


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
    faults_have_names,
    faults_happen_in_the_run,
    faults_fit_the_target,
    thresholds_name_real_events,
)
