"""What stands against a comparison, as sentences: other profiles, other machines, another harness, clocks, order.

A warning changes no verdict. It says what else differs between the groups than the version that is meant to.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loadtest.compare.group import Group, run_id, section
from loadtest.results.reader import RunRecord

_MACHINE = ("kernel", "cores", "python")
_OF_A_VERSION = ("target", "name", "description", "thresholds")
"""Keys of a profile in which two versions may differ: who is loaded, not with what."""

_MOST_KEYS = 6


def caveats(baseline: Group, candidate: Group) -> list[str]:
    """Return what stands against comparing the two groups."""
    groups = (baseline, candidate)
    told = [f"{group.name}: {sentence}" for group in groups for sentence in group.left_out]
    told += [f"{group.name} has no run to compare." for group in groups if not group.runs]
    both = {record.path.resolve() for record in baseline.runs} & {record.path.resolve() for record in candidate.runs}
    if both:
        told.append(f"{len(both)} of the runs are in both groups.")
    told += _profiles(baseline, candidate)
    runs = [record.run for group in groups for record in group.runs]
    told += _differing("machines", [{key: section(run, "harness").get(key) for key in _MACHINE} for run in runs])
    told += _differing("harness", [{"version": section(run, "harness").get("version")} for run in runs])
    told += _differing("number of workers", [{"workers": section(run, "harness").get("workers")} for run in runs])
    told += _order(baseline, candidate)
    return told


def _profiles(baseline: Group, candidate: Group) -> list[str]:
    """Name the keys in which the profiles differ beyond the target."""
    shapes = [_settings(record) for group in (baseline, candidate) for record in group.runs]
    known = [shape for shape in shapes if shape is not None]
    told = []
    if len(known) < len(shapes):
        told.append(f"The profile of {len(shapes) - len(known)} runs is unknown.")
    keys = sorted({key for shape in known for key in shape if any(shape[key] != other.get(key) for other in known)})
    if keys:
        more = f" and {len(keys) - _MOST_KEYS} more" if len(keys) > _MOST_KEYS else ""
        values = [f"{key} ({_seen(known, key)})" for key in keys[:_MOST_KEYS]]
        told.append(f"The profiles differ in {', '.join(values)}{more}.")
    return told


def _settings(record: RunRecord) -> dict[str, Any] | None:
    try:
        content = tomllib.loads(record.profile_text)
    except tomllib.TOMLDecodeError:
        return None
    if not content:
        return None
    return dict(_flat({key: value for key, value in content.items() if key not in _OF_A_VERSION}))


def _flat(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _seen(shapes: Sequence[Mapping[str, Any]], key: str) -> str:
    texts = dict.fromkeys(_short(shape[key]) if key in shape else "not set" for shape in shapes)
    return " and ".join(texts)


def _short(value: object) -> str:
    if isinstance(value, list):  # of tables, such as faults: what each is called says enough for a sentence
        called = [
            str(each.get("name") or each.get("kind") or "one") if isinstance(each, dict) else str(each)
            for each in value
        ]
        value = ", ".join(called) or "none"
    text = str(value)
    return text if len(text) <= 40 else text[:39] + "\N{HORIZONTAL ELLIPSIS}"


def _differing(what: str, facts: Sequence[Mapping[str, Any]]) -> list[str]:
    told = []
    for key in facts[0] if facts else ():
        values = dict.fromkeys(str(fact[key]) for fact in facts)
        if len(values) > 1:
            told.append(f"Different {what}: {key} is {' and '.join(values)}.")
    return told


def _order(baseline: Group, candidate: Group) -> list[str]:
    """Say when all runs of one group came before all of the other: what drifts with time looks like a version."""
    times = [[str(record.run.get("started_at") or "") for record in group.runs] for group in (baseline, candidate)]
    if not all(len(of_group) > 1 and all(of_group) for of_group in times):
        return []
    if max(times[0]) < min(times[1]) or max(times[1]) < min(times[0]):
        return ["The versions ran one after the other, not interleaved: a drift of the machine looks like a version."]
    return []


def clock_error_ms(group: Group) -> float:
    """Return the largest clock error of the group's runs, 0 on one host."""
    errors = [section(record.run, "generator").get("clock_error_ms") for record in group.runs]
    return max((float(error) for error in errors if isinstance(error, int | float)), default=0.0)


def without(group: Group, present: Sequence[bool], metric: str) -> str | None:
    """Return the sentence that names the runs which do not have a metric; None when all have it."""
    lacking = [run_id(record) for record, there in zip(group.runs, present, strict=True) if not there]
    if not lacking:
        return None
    shown = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
    return f"{group.name}: no {metric} in {shown}."
