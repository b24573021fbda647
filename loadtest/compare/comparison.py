"""Compare groups of runs, each with the first: one finding per metric, one verdict over all of them.

    Group, Group --figures by run--> Pair per metric --family_p--> p --decide--> Finding
                                                  Findings, caveats --> Versus --as_json--> loadtest.compare/1

The verdict over all is "worse" if any metric is; else "better" if any is; else "cannot tell" where runs are too few or
no metric could be judged; else "no difference".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.compare import effect
from loadtest.compare.blocks import blocks
from loadtest.compare.caveats import caveats, clock_error_ms, without
from loadtest.compare.group import Group, distinct, run_id
from loadtest.compare.headline import headline, higher_is_better, resolve, shares
from loadtest.compare.interval import Estimate, difference, ratio
from loadtest.compare.permutation import families_p
from loadtest.compare.sample import Pair, centre, spread
from loadtest.compare.verdict import SMALLEST_EFFECT, Finding, Verdict, decide
from loadtest.compare.within import percentile_draws
from loadtest.errors import ResultsError, UsageError
from loadtest.metrics.thresholds import Metric, figure
from loadtest.results.reader import RunRecord

SCHEMA = "loadtest.compare/1"

_ONE_WAY = "fanout."
_WITHIN = {"fanout.latency.p50": 50.0, "fanout.latency.p90": 90.0, "fanout.latency.p99": 99.0}


@dataclass(frozen=True, slots=True)
class Versus:
    """One version held against the baseline.

    `interleaved`: runs were compared within blocks of neighbours in time, so that drift is taken out (`blocks`).
    """

    baseline: Group
    candidate: Group
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    interleaved: bool = False

    @property
    def verdict(self) -> Verdict:
        """The verdict over all metrics."""
        verdicts = {finding.verdict for finding in self.findings}
        if "worse" in verdicts:
            return "worse"
        if "better" in verdicts:
            return "better"
        if self.too_few or "no difference" not in verdicts:
            return "cannot tell"
        return "no difference"

    @property
    def too_few(self) -> bool:
        """Whether a metric could not be decided because runs are too few."""
        return any(finding.too_few for finding in self.findings)

    def of(self, verdict: Verdict) -> list[Finding]:
        """Return the findings with one verdict."""
        return [finding for finding in self.findings if finding.verdict == verdict]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All versions: the groups, the baseline first, and each other one against it."""

    groups: tuple[Group, ...]
    versus: tuple[Versus, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as `loadtest.compare/1`."""
        return {
            "schema": SCHEMA,
            "groups": [
                {
                    "name": group.name,
                    "runs": [run_id(record) for record in group.runs],
                    "left_out": list(group.left_out),
                }
                for group in self.groups
            ],
            "comparisons": [
                {
                    "baseline": one.baseline.name,
                    "candidate": one.candidate.name,
                    "verdict": one.verdict,
                    "interleaved": one.interleaved,
                    "warnings": list(one.warnings),
                    "findings": [finding.as_json() for finding in one.findings],
                }
                for one in self.versus
            ],
        }


def compare(
    groups: Sequence[Group], metrics: Sequence[str] = (), *, smallest_effect: float = SMALLEST_EFFECT
) -> Comparison:
    """Compare each group with the first.

    Args:
        metrics: names to judge; none: the headline.
        smallest_effect: relative differences below it are not called.

    Raises:
        UsageError: fewer than two groups, or no metric of that name.
        ResultsError: a metric that was asked for is in no run at all.
    """
    if len(groups) < 2:
        raise UsageError("a comparison needs at least two versions")
    named = distinct(groups)
    wanted = resolve(metrics or headline(named))
    if metrics:
        for name, metric, event in wanted:
            runs = [record.run for group in named for record in group.runs]
            if runs and all(figure(run, metric, event) is None for run in runs):
                raise ResultsError(f"{name}: none of the {len(runs)} runs has it")
    return Comparison(tuple(named), tuple(_against(named[0], other, wanted, smallest_effect) for other in named[1:]))


def _against(
    baseline: Group, candidate: Group, wanted: Sequence[tuple[str, Metric, str | None]], smallest_effect: float
) -> Versus:
    times = [str(record.run.get("started_at") or "") for record in (*baseline.runs, *candidate.runs)]
    of_block = blocks(times, len(baseline.runs))
    pairs = [
        Pair(_figures(baseline, metric, event), _figures(candidate, metric, event), of_block)
        for _, metric, event in wanted
    ]
    there = [(entry, pair) for entry, pair in zip(wanted, pairs, strict=True) if pair.a or pair.b]
    families = shares([name for (name, *_), _ in there])
    chances = families_p([pair.scaled() for _, pair in there], families, len(baseline.runs), of_block)
    told = caveats(baseline, candidate)
    findings = []
    for (entry, pair), p, (_, share) in zip(there, chances, families, strict=True):
        for group, values in ((baseline, pair.baseline), (candidate, pair.candidate)):
            lacking = without(group, [value is not None for value in values], entry[0])
            if lacking:
                told.append(lacking)
        findings.append(_finding(entry, pair, p, share, baseline, candidate, smallest_effect))
    return Versus(baseline, candidate, tuple(findings), tuple(told), len(set(of_block)) > 1)


def _figures(group: Group, metric: Metric, event: str | None) -> tuple[float | None, ...]:
    return tuple(figure(record.run, metric, event) for record in group.runs)


def _finding(
    entry: tuple[str, Metric, str | None],
    pair: Pair,
    p: float,
    share: float,
    baseline: Group,
    candidate: Group,
    smallest_effect: float,
) -> Finding:
    name, metric, _ = entry
    quotient, gap, variation = ratio(pair), difference(pair), spread(pair)
    clocks = clock_error_ms(baseline) + clock_error_ms(candidate) if name.startswith(_ONE_WAY) else 0.0
    decision = decide(
        pair,
        p,
        quotient,
        variation,
        higher_is_better=higher_is_better(metric),
        share=share,
        smallest_effect=smallest_effect,
        clock_error=clocks,
    )
    inside = _within(name, baseline.runs, candidate.runs)
    if inside is not None and gap is not None and quotient is not None:
        gap, quotient = (Estimate(whole.value, *limits) for whole, limits in zip((gap, quotient), inside, strict=True))
    return Finding(
        metric=name,
        unit=metric.unit,
        higher_is_better=higher_is_better(metric),
        baseline=centre(pair.a, pair.scale),
        candidate=centre(pair.b, pair.scale),
        values=(pair.baseline, pair.candidate),
        scale=pair.scale,
        difference=gap,
        ratio=quotient,
        within=inside is not None,
        delta=effect.cliffs_delta(pair.a, pair.b),
        mde=effect.minimum_detectable(variation, len(pair.a), len(pair.b)),
        p=p,
        verdict=decision.verdict,
        reason=decision.reason,
        too_few=decision.too_few,
    )


def _within(
    name: str, a: Sequence[RunRecord], b: Sequence[RunRecord]
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the intervals of difference and ratio from the insides of one run of each; None where it cannot."""
    if name not in _WITHIN or len(a) != 1 or len(b) != 1:
        return None
    draws = [percentile_draws(record.intervals, _WITHIN[name], seed) for seed, record in enumerate((*a, *b), 1)]
    if not all(draws):
        return None
    gaps = sorted(y - x for x, y in zip(*draws, strict=True))
    ratios = sorted(y / x for x, y in zip(*draws, strict=True))
    return _middle_95(gaps), _middle_95(ratios)


def _middle_95(ordered: Sequence[float]) -> tuple[float, float]:
    cut = round(0.025 * len(ordered))
    return ordered[cut], ordered[-1 - cut]


def summary_line(one: Versus) -> str:
    """Return the verdict of one comparison as a sentence without figures."""
    told: Mapping[Verdict, str] = {
        "worse": f"{one.candidate.name} is worse than {one.baseline.name}",
        "better": f"{one.candidate.name} is better than {one.baseline.name}",
        "no difference": f"no difference between {one.baseline.name} and {one.candidate.name}",
        "cannot tell": f"cannot tell {one.baseline.name} and {one.candidate.name} apart or alike",
    }
    return told[one.verdict]
