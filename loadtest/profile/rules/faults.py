"""Rules of `[[faults]]`: a name each, a moment inside the run, a target that can have it, room beside the others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import combinations

from loadtest.profile.client_faults import Aim
from loadtest.profile.faults import Fault
from loadtest.profile.model import Profile
from loadtest.profile.network_faults import NetworkFault
from loadtest.profile.rules.objection import Objection, Rule, wrong_url
from loadtest.profile.wording import show, show_time


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
    """A fault has one moment, the run is still measuring then, and a fault that is to end does so before the run."""
    hold_s = profile.duration_s
    end_s = profile.ramp_s + profile.phases.warmup_s + hold_s
    for number, fault in enumerate(profile.faults):
        key = f"faults.{number}"
        if fault.at_s is not None and fault.after_steady_s is not None:
            yield Objection((f"{key}.at", f"{key}.after_steady"), "found at and after_steady; allowed: one of them")
        if fault.after_steady_s is not None and fault.after_steady_s >= hold_s:
            yield Objection(
                (f"{key}.after_steady", "duration"),
                f"found {show_time(fault.after_steady_s)}, allowed: less than duration, {show_time(hold_s)}",
            )
        if fault.at_s is not None and fault.at_s >= end_s:
            yield Objection(
                (f"{key}.at", "duration", "ramp.rate", "population.connections", "phases.warmup"),
                f"found {show_time(fault.at_s)}, allowed: less than {show_time(end_s)}, "
                "the ramp's schedule, the warm-up and duration together",
            )
        begin_s, over_s = _span(fault)
        limit_s = hold_s if fault.at_s is None else end_s
        if fault.lasts_s is not None and begin_s < limit_s < over_s:
            yield Objection(
                (f"{key}.duration", f"{key}.after_steady", f"{key}.at", "duration"),
                f"found {show_time(fault.lasts_s)}, allowed: at most {show_time(limit_s - begin_s)}, what is left of "
                "the run then; without it, the fault lasts to the end of the run",
            )


def faults_fit_the_target(profile: Profile) -> Iterator[Objection]:
    """Only a stack that we started can be deployed or have its parts broken; hooks need an address."""
    for number, fault in enumerate(profile.faults):
        key = f"faults.{number}"
        if fault.needs_stack and profile.target.stack != "reference":
            yield Objection(
                (f"{key}.kind", "target.stack"),
                f'found "{fault.kind}", which needs target.stack = "reference"'
                + ('; other targets deploy by "command" or "http"' if fault.kind == "deploy" else ""),
            )
        if fault.needs_links and profile.target.autoscale is not None:
            yield Objection(
                (f"{key}.kind", "target.autoscale"),
                f'found "{fault.kind}", whose ways to the broker are laid at the start; leave out [target.autoscale]',
            )
        if isinstance(fault, NetworkFault) and profile.relay is None:
            yield Objection(
                (f"{key}.kind", "relay"), f'found "{fault.kind}", which needs a [relay] for the clients to go through'
            )
        if fault.kind == "rollout":
            yield from _rollout_fits(profile, key)
        if fault.kind == "mute" and fault.after == "upgrade" and any(u.startswith("wss:") for u in profile.target.urls):
            yield Objection((f"{key}.after", "target.url"), 'found "upgrade", allowed with wss://: "connect"')
        if fault.kind == "http":
            wrong = wrong_url(fault.http.url, ("http", "https"))
            if wrong is not None:
                yield Objection((f"{key}.http.url",), wrong)


def _rollout_fits(profile: Profile, key: str) -> Iterator[Objection]:
    target = profile.target
    versions = (target.version or "").replace(",", "+").split("+")
    if target.stack != "reference" or len(versions) != 2:
        yield Objection(
            (f"{key}.kind", "target.version", "target.stack"),
            f'found "rollout" with version {show(target.version or "")}; '
            'needed: target.stack = "reference" with two versions, such as "sync+bifrost-1"',
        )
    elif target.bootstrap is None or target.bootstrap.every != "connect":
        yield Objection(
            (f"{key}.kind", "target.bootstrap"),
            'found "rollout" with clients that do not ask where to go; needed: [target.bootstrap], every = "connect"',
        )


def faults_have_one_aim(profile: Profile) -> Iterator[Objection]:
    """A fault at connections strikes a share or a number of them."""
    for number, fault in enumerate(profile.faults):
        if isinstance(fault, Aim) and fault.departs("share") and fault.number is not None:
            key = f"faults.{number}"
            yield Objection((f"{key}.share", f"{key}.number"), "found share and number; allowed: one of them")


def faults_leave_each_other_room(profile: Profile) -> Iterator[Objection]:
    """Two faults that hold the same thing are not in place at the same time, as far as the file can tell."""
    for (first, one), (second, other) in combinations(enumerate(profile.faults), 2):
        shared = one.holds & other.holds
        if shared and _meet(one, other):
            key = f"faults.{second}"
            yield Objection(
                (f"{key}.kind", f"{key}.at", f"{key}.after_steady", f"faults.{first}"),
                f'"{other.name}" would begin or end while "{one.name}" is in place, and both hold '
                f"{', '.join(sorted(shared))}; give one a duration and the other a later moment",
            )


def _meet(one: Fault, other: Fault) -> bool:
    """Whether two faults are in place at the same time; not when only the run can tell (different clocks)."""
    if (one.at_s is None) is not (other.at_s is None):
        return False
    (begin, end), (begins, _) = sorted((_span(one), _span(other)))
    return begins < end or begin == begins


def _span(fault: Fault) -> tuple[float, float]:
    begin_s = fault.at_s if fault.at_s is not None else fault.after_steady_s or 0.0
    return begin_s, begin_s + (math.inf if fault.lasts_s is None else fault.lasts_s)


RULES: tuple[Rule, ...] = (
    faults_have_names,
    faults_happen_in_the_run,
    faults_fit_the_target,
    faults_have_one_aim,
    faults_leave_each_other_room,
)
