"""Decide on one metric: better, worse, no difference, or cannot tell; first rule that applies.

    a group has no run with the metric                           cannot tell   nothing to compare
    every figure is the same                                     no difference
    so few runs that p cannot fall so low                        cannot tell   too few runs
    p over the family <= 4 %, effect >= the smallest that counts:
        not larger than the clocks' error                        cannot tell
        else by its direction                                    better | worse
    the interval of the ratio holds a doubling or a halving      cannot tell   too noisy, runs needed
    otherwise                                                    no difference

The law of this file: "no difference" says that a difference worth the name would have shown, never that too little was
looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from loadtest.compare import effect
from loadtest.compare.interval import Estimate
from loadtest.compare.permutation import ALPHA, runs_for_a_verdict, smallest_p
from loadtest.compare.sample import Pair, Scale

Verdict = Literal["better", "worse", "no difference", "cannot tell"]

SMALLEST_EFFECT = 0.05
"""Differences below 5 % are not called, however many runs show them."""

TOO_WIDE = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one metric.

    Attributes:
        metric, unit: as thresholds write them; `higher_is_better`: which way is good.
        baseline, candidate: the figure that stands for each group (`sample.centre`), None without a run that has it.
        values: every run's figure, baseline and candidate.
        scale: on which they were compared.
        difference, ratio: candidate - baseline and candidate / baseline, each with its 95 % interval.
        within: the intervals hold only what varies inside single runs (one run of each).
        delta: Cliff's. mde: smallest relative effect these runs would have shown. p: over all metrics judged.
        verdict, reason: the decision and, where it is no verdict by itself, a sentence.
        too_few: there were too few runs to decide anything.
    """

    metric: str
    unit: str
    higher_is_better: bool
    baseline: float | None
    candidate: float | None
    values: tuple[tuple[float | None, ...], tuple[float | None, ...]]
    scale: Scale
    difference: Estimate | None
    ratio: Estimate | None
    within: bool
    delta: float | None
    mde: float | None
    p: float
    verdict: Verdict
    reason: str
    too_few: bool = False

    @property
    def change(self) -> float | None:
        """Return the relative change, 0.2 for 20 % more; None where there is no ratio."""
        if self.ratio is not None:
            return self.ratio.value - 1
        if self.baseline and self.candidate is not None and math.isfinite(self.baseline + self.candidate):
            return self.candidate / self.baseline - 1
        return None

    def as_json(self) -> dict[str, Any]:
        """Return the entry of "findings" of a comparison; an infinite figure ("not recovered") is null."""
        return {
            "metric": self.metric,
            "unit": self.unit,
            "higher_is_better": self.higher_is_better,
            "baseline": self.baseline,
            "candidate": self.candidate,
            "values": [list(side) for side in self.values],
            "scale": self.scale,
            "difference": self.difference and self.difference.as_json(),
            "ratio": self.ratio and self.ratio.as_json(),
            "interval_within_runs": self.within,
            "cliffs_delta": self.delta,
            "minimum_detectable_effect": self.mde,
            "p": self.p,
            "verdict": self.verdict,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    reason: str = ""
    too_few: bool = False


def decide(
    pair: Pair,
    p: float,
    ratio: Estimate | None,
    variation: float | None,
    *,
    higher_is_better: bool,
    smallest_effect: float,
    share: float = 1.0,
    clock_error: float = 0.0,
) -> Decision:
    """Return the verdict on one metric.

    Args:
        p: of `permutation.families_p`, over a family with that `share`.
        variation: `sample.spread`.
        smallest_effect: relative differences below it are not called.
        clock_error: differences of the centres up to it are not ranked, in the metric's unit.
    """
    a, b = pair.a, pair.b
    if not a or not b:
        return Decision(
            "cannot tell", "no run of " + ("either version" if not a and not b else "one version") + " has it"
        )
    if smallest_p(len(a), len(b)) / share > ALPHA:
        wanted = runs_for_a_verdict(share)
        return Decision("cannot tell", f"too few runs: {len(a)} and {len(b)}, needed are {wanted} of each", True)
    if len(set(a + b)) == 1:
        return Decision("no difference", "the same in every run")
    middles = [_middle(side) for side in (a, b)]
    if p <= ALPHA and _relative(middles, ratio) >= smallest_effect:
        gap = abs(middles[1] - middles[0])
        if gap <= clock_error:
            return Decision("cannot tell", f"the difference is not larger than the clocks' error of {clock_error:g} ms")
        more = middles[1] > middles[0] if ratio is None else ratio.value > 1
        return Decision("better" if more == higher_is_better else "worse")
    wide = ratio is not None and ratio.low is not None and ratio.high is not None
    if wide and ratio and (ratio.low or 0) < 1 / TOO_WIDE and (ratio.high or 0) > TOO_WIDE:
        more_runs = "" if variation is None else f"; {effect.runs_needed(variation, 0.5)} runs of each would show 50 %"
        return Decision("cannot tell", f"too noisy: anything from a half to the double would fit{more_runs}")
    return Decision("no difference")


def _middle(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if any(map(math.isinf, ordered)) else sum(ordered) / len(ordered)


def _relative(middles: Sequence[float], ratio: Estimate | None) -> float:
    """Return how large the difference is, as a share of the smaller side; infinite from 0, or to "not recovered"."""
    if ratio is not None:
        return max(ratio.value, 1 / ratio.value) - 1
    low, high = sorted(map(abs, middles))
    if math.isinf(high):
        return 0.0 if math.isinf(low) else math.inf
    return math.inf if low == 0 < high else (high - low) / low if low else 0.0
