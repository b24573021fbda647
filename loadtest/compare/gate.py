"""The gate of a release pipeline: let a candidate through, stop it, or say that more runs are needed.

    any metric worse                   exit 1   which, by how much
    else any undecided for lack of     exit 5   how many runs there are and how many are needed
    else any that cannot be told       exit 5   which
    else                               exit 0

The law of this file: the reason is one sentence that a person reads in a failed build, with figures in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from loadtest.compare.comparison import Versus
from loadtest.compare.verdict import Finding
from loadtest.errors import ExitCode

_UNITS = {"ms": " ms", "s": " s", "percent": " %", "ratio": "", "count": ""}
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Passage:
    """What the gate says."""

    exit_code: ExitCode
    sentence: str


def pass_or_stop(one: Versus) -> Passage:
    """Decide on a candidate held against its baseline."""
    a, b = len(one.baseline.runs), len(one.candidate.runs)
    counted = f"{a} and {b} runs"
    worse = one.of("worse")
    if worse:
        told = "; ".join(change_words(finding) for finding in worse[:_MOST_NAMED])
        more = f"; and {len(worse) - _MOST_NAMED} more" if len(worse) > _MOST_NAMED else ""
        return Passage(
            ExitCode.THRESHOLD_FAILED, f"Regression: {one.candidate.name} against {one.baseline.name}: {told}{more}."
        )
    if one.too_few or not one.findings:
        why = next((finding.reason for finding in one.findings if finding.too_few), "nothing to compare")
        return Passage(ExitCode.TOO_FEW_RUNS, f"Too few runs to say: {counted} to compare ({why}).")
    untold = one.of("cannot tell")
    if untold:
        first = untold[0]
        return Passage(
            ExitCode.TOO_FEW_RUNS,
            f"Too few runs to say: {first.metric} cannot be told from {counted} ({first.reason}).",
        )
    better = one.of("better")
    gained = f"; better: {', '.join(finding.metric for finding in better[:_MOST_NAMED])}" if better else ""
    shown = [f"{finding.metric} from {100 * finding.mde:.0f} %" for finding in one.findings if finding.mde]
    power = f"; would have shown: {', '.join(shown[:_MOST_NAMED])}" if shown else ""
    return Passage(
        ExitCode.PASS, f"No regression: {one.candidate.name} against {one.baseline.name}, {counted}{gained}{power}."
    )


def change_words(finding: Finding) -> str:
    """Return how far a metric went, in words: `fanout.latency.p50 22 % up, from 2.1 ms to 2.56 ms`."""
    before, after = (_written(value, finding.unit) for value in (finding.baseline, finding.candidate))
    change = finding.change
    if change is None or not math.isfinite(change):
        return f"{finding.metric} from {before} to {after}"
    return f"{finding.metric} {abs(100 * change):.3g} % {'up' if change > 0 else 'down'}, from {before} to {after}"


def _written(value: float | None, unit: str) -> str:
    if value is None:
        return "nothing"
    return "not recovered" if math.isinf(value) else f"{value:.3g}{_UNITS[unit]}"
