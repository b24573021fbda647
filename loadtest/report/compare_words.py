"""A comparison in words: the rows that the terminal, Markdown and HTML share.

Metric | baseline | candidate | Change [95 %] | Difference [95 %] | Effect | Would show | Verdict
"""

from __future__ import annotations

import math
from collections.abc import Callable

from loadtest.compare.comparison import Versus, summary_line
from loadtest.compare.effect import in_words
from loadtest.compare.interval import Estimate
from loadtest.compare.verdict import Finding, Verdict
from loadtest.report import wording as w

NOTE = (
    "One figure per run; each group's is their geometric mean (mean where a figure is 0, median where one run never "
    "recovered). Intervals hold 95 % for each metric by itself; a verdict holds over all of them together."
)
WOULD_SHOW = ' "Would show" is the smallest change that as many runs find four times out of five.'
"""Belongs to the note where that column is shown."""
SIGNS: dict[Verdict, str] = {"better": "\N{BLACK UP-POINTING TRIANGLE}", "worse": "\N{BLACK DOWN-POINTING TRIANGLE}"}
SIGNS |= {"no difference": "=", "cannot tell": "?"}


def head(one: Versus) -> tuple[str, ...]:
    """Return the names of the columns."""
    names = (w.plain(group.name, 40) for group in (one.baseline, one.candidate))
    return ("Metric", *names, "Change [95 %]", "Difference [95 %]", "Effect", "Would show", "Verdict")


def row(finding: Finding) -> tuple[str, ...]:
    """Return the row of one metric."""
    return (
        w.plain(finding.metric, 60),
        *(_figure(value, finding) for value in (finding.baseline, finding.candidate)),
        change(finding),
        gap(finding),
        "-" if finding.delta is None else f"{in_words(finding.delta)} ({finding.delta:+.2f})",
        "-" if finding.mde is None else _percent(finding.mde),
        f"{SIGNS[finding.verdict]} {finding.verdict}",
    )


def shown(one: Versus) -> list[Finding]:
    """Return the findings that have a row: those whose figures are not the same in every run."""
    return [finding for finding in one.findings if not _same(finding)]


def remarks(one: Versus) -> list[str]:
    """Return what belongs below the table: why a verdict is none, what was the same, what a star means."""
    reasons: dict[str, list[str]] = {}
    for finding in one.of("cannot tell"):
        reasons.setdefault(finding.reason, []).append(finding.metric)
    told = [
        f"Cannot tell: {reason}" + (f" ({', '.join(metrics)})." if len(metrics) < len(one.findings) else ".")
        for reason, metrics in reasons.items()
    ]
    same = [f"{f.metric} ({_figure(f.baseline, f)})" for f in one.findings if _same(f)]
    if same:
        told.append(f"The same in every run: {', '.join(same)}.")
    leaning = [finding.metric for finding in one.of("no difference") if _leans(finding)]
    if leaning:
        alone = "itself" if len(leaning) == 1 else "themselves"
        told.append(
            f"By {alone} {', '.join(leaning)} would differ (the interval leaves out 0); over all metrics together that"
            " is no proof. More runs would tell."
        )
    if any(finding.within for finding in one.findings):
        told.append("* One run each: the interval holds only what varies inside these runs, and ranks nothing.")
    if one.interleaved:
        told.append("The versions ran interleaved: runs were compared with their neighbours in time.")
    return [w.plain(sentence, 1000) for sentence in told]


def _leans(finding: Finding) -> bool:
    """Whether a metric's own interval leaves out "the same"."""
    ratio = finding.ratio
    if ratio is None or ratio.low is None or ratio.high is None or finding.within:
        return False
    return ratio.low > 1 or ratio.high < 1


def _same(finding: Finding) -> bool:
    return len({value for side in finding.values for value in side}) == 1


def _figure(value: float | None, finding: Finding) -> str:
    return w.NOT_MEASURED if value is None else w.in_unit(value, finding.unit, finding.metric)


def change(finding: Finding) -> str:
    """Write the relative change with its interval, marked where it holds only what varies inside single runs."""
    if finding.ratio is not None:
        return _with_interval(finding.ratio, lambda value: _signed_percent(value - 1)) + _star(finding)
    return "-" if finding.change is None or finding.baseline == finding.candidate else _signed_percent(finding.change)


def gap(finding: Finding) -> str:
    """Write the difference with its interval."""
    if finding.difference is None:
        return "-"

    def written(value: float) -> str:
        sign = "-" if value < 0 else "+" if value > 0 else ""
        return sign + w.in_unit(abs(value), finding.unit, finding.metric)

    return _with_interval(finding.difference, written) + _star(finding)


def headline(one: Versus) -> str:
    """Return the verdict over all metrics as one sentence, naming the metrics that decided it."""
    said = summary_line(one)
    if one.verdict in ("better", "worse"):
        deciding = [w.plain(finding.metric, 60) for finding in one.of(one.verdict)]
        return w.plain(f"{said[0].upper()}{said[1:]}: {', '.join(deciding)}.", 600)
    counts = f"{len(one.baseline.runs)} and {len(one.candidate.runs)} runs"
    return w.plain(f"{said[0].upper()}{said[1:]} ({counts}).", 600)


def _star(finding: Finding) -> str:
    return " *" if finding.within else ""


def _with_interval(estimate: Estimate, written: Callable[[float], str]) -> str:
    value = written(estimate.value)
    if estimate.low is None or estimate.high is None:
        return value
    low, high = written(estimate.low), written(estimate.high)
    unit = value[value.rfind(" ") :]
    if low.endswith(unit) and high.endswith(unit):  # said once
        low, high = low.removesuffix(unit), high.removesuffix(unit)
    return f"{value} [{low}, {high}]"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.0995 else f"{100 * share:.0f} %"


def _signed_percent(share: float) -> str:
    if not math.isfinite(share):
        return "-"
    written = f"{100 * share:+.1f} %" if abs(share) < 0.0995 else f"{100 * share:+.0f} %"
    return "0 %" if float(written[:-2]) == 0 else written
