"""A comparison as one HTML file: verdict first, then the table, then the curves laid over each other, then the runs."""

from __future__ import annotations

from typing import TextIO

from loadtest.compare.comparison import Comparison, Versus
from loadtest.compare.group import Group, run_id
from loadtest.compare.verdict import Verdict
from loadtest.report import compare_words as words
from loadtest.report import wording as w
from loadtest.report.chart import Chart
from loadtest.report.compare_charts import changes_chart, distribution_chart, percentiles_chart, recovery_charts
from loadtest.report.markup import Html, el, join, table
from loadtest.report.page import figure, page, section
from loadtest.report.summary_sections import verdict_words

_TONES: dict[Verdict, str] = {
    "better": "pass",
    "worse": "fail",
    "no difference": "interrupted",
    "cannot tell": "invalid",
}


def write_comparison_html(comparison: Comparison, writer: TextIO) -> None:
    """Write the comparison as an HTML document.

    Raises:
        UsageError: plotly is not installed.
    """
    groups = comparison.groups
    changes = [changes_chart(one, position) for position, one in enumerate(comparison.versus)]
    recoveries = recovery_charts(groups)
    percentiles, distribution = percentiles_chart(groups), distribution_chart(groups)
    names = [w.plain(group.name, 60) for group in groups]
    body = [
        el(
            "header",
            el("p", "Gateway load test", class_="overline"),
            el("h1", " and ".join(names)),
            el("p", *(el("span", f"{w.plain(g.name, 60)}: {_runs(len(g.runs))}") for g in groups), class_="meta"),
        ),
        *(_banner(one) for one in comparison.versus),
        *(
            section(
                f"metrics-{position}",
                f"{w.plain(one.candidate.name, 60)} against {w.plain(one.baseline.name, 60)}",
                _metrics(one),
                *(el("p", remark) for remark in words.remarks(one)),
                el("p", words.NOTE + words.WOULD_SHOW, class_="muted"),
                _place(changes[position]),
            )
            for position, one in enumerate(comparison.versus)
        ),
        section("recovery", "Recovery", *map(figure, recoveries)) if recoveries else None,
        section("fan-out", "Fan-out", _place(percentiles), _place(distribution)),
        section("runs", "The runs", *(_runs_table(group) for group in groups)),
    ]
    charts = [chart for chart in (*changes, *recoveries, percentiles, distribution) if chart is not None]
    writer.write(page(f"Comparison: {', '.join(names)}", body, charts))


def _metrics(one: Versus) -> Html:
    """Return the table of the metrics, each verdict beside its metric: on a phone the rest is scrolled to."""
    *head, verdict = words.head(one)
    rows = []
    for finding in words.shown(one):
        *row, said = words.row(finding)
        broken = join(row[0].split("."), Html(".<wbr>"))
        outcome = el("span", said, class_=f"finding-{_TONES[finding.verdict]}")
        rows.append([broken, outcome, *row[1:]])
    return table([head[0], verdict, *head[1:]], rows, words.headline(one), class_="metrics")


def _banner(one: Versus) -> Html:
    verdict = el(
        "h2", el("span", words.SIGNS[one.verdict], class_="sign", aria_hidden="true"), one.verdict.capitalize()
    )
    told = [el("p", words.headline(one))]
    if one.warnings:
        told.append(el("ul", *(el("li", w.plain(warning)) for warning in one.warnings), aria_label="Warnings"))
    return el(
        "section",
        verdict,
        el("div", *told, class_="reasons"),
        class_=f"verdict verdict-{_TONES[one.verdict]}",
        aria_label=f"Verdict on {w.plain(one.candidate.name, 60)}",
    )


def _runs_table(group: Group) -> Html:
    rows = [
        [
            w.plain(run_id(record), 80),
            w.moment(w.text(record.run, "started_at")),
            verdict_words(record.run)[0],
            w.milliseconds(w.number(record.run, "fanout", "latency_ms", "p50")),
            w.milliseconds(w.number(record.run, "fanout", "latency_ms", "p99")),
            w.percent(w.number(record.run, "fanout", "completeness")),
        ]
        for record in group.runs
    ]
    head = ("Run", "Started", "Verdict", "Fan-out p50", "Fan-out p99", "Complete")
    return table(head, rows, f"Runs of {w.plain(group.name, 60)}")


def _runs(count: int) -> str:
    return f"{count} {'run' if count == 1 else 'runs'}"


def _place(chart: Chart | None) -> Html | None:
    return None if chart is None else figure(chart)
