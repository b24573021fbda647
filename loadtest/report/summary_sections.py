"""The top of the page: verdict, story, key figures, thresholds; and its foot: failures and environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.report import prediction
from loadtest.report import wording as w
from loadtest.report.blast import blast_figures
from loadtest.report.data import ReportData
from loadtest.report.markup import Html, el, join, table
from loadtest.report.story import story

VERDICTS = {
    "pass": ("Pass", "\N{CHECK MARK}", "Every threshold holds."),
    "fail": ("Fail", "\N{MULTIPLICATION X}", "At least one threshold does not hold."),
    "invalid": ("Invalid", "!", "The run measured the harness, not the target."),
    "interrupted": ("Interrupted", "\N{DOUBLE VERTICAL LINE}", "The run was ended early; what ran is below."),
}
"""Verdict of run.json -> word, sign, and the sentence shown where the run gives no reason."""

OUTCOMES = {"PASS": "holds", "FAIL": "fails", "NO_DATA": "no data"}

FAILURES_SHOWN = 30


def verdict_words(run: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return (word, sign, default sentence) of the run's verdict; an unknown verdict is shown as it is."""
    verdict = w.text(run, "verdict")
    return VERDICTS.get(verdict, (w.plain(verdict, 40) or "No verdict", "?", "The run folder holds no verdict."))


def banner(run: Mapping[str, Any]) -> Html:
    """Return the verdict with its reasons and the story."""
    verdict = w.text(run, "verdict")
    word, sign, default = verdict_words(run)
    reasons = [w.plain(reason) for reason in w.items(run, "reasons")]
    said = el("ul", *(el("li", reason) for reason in reasons)) if reasons else el("p", default)
    return el(
        "section",
        el("h2", el("span", sign, class_="sign", aria_hidden="true"), word, id="verdict"),
        el("div", said, class_="reasons"),
        class_=f"verdict verdict-{verdict if verdict in VERDICTS else 'unknown'}",
        aria_labelledby="verdict",
    )


def story_paragraph(run: Mapping[str, Any]) -> Html:
    """Return the run in one sentence."""
    return el("p", story(run), class_="story")


def key_figures(run: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (name, value, note) of the figures a reader looks for first; the terminal shows the same."""
    target, at_end = w.number(run, "connections", "target"), w.number(run, "connections", "at_end")
    figures = [
        (
            "Clients held",
            w.count(w.number(run, "connections", "peak")),
            f"of {w.count(target)}; {w.count(at_end)} at the end",
        ),
        (
            "Ramp",
            w.seconds(w.number(run, "connections", "ramp_seconds")),
            f"connect p99 {w.milliseconds(w.number(run, 'connections', 'connect_ms', 'p99'))}",
        ),
    ]
    for event in w.items(run, "events")[:2]:
        r = w.dig(event, "recovery")
        name = w.plain(w.text(event, "name") or "event", 24)
        attempts = w.factor(w.number(r, "amplification")).removesuffix(" x")
        figures.append(
            (
                f"99.9 % back after {name}",
                w.recovered(r, "t_sub_s", "99.9"),
                f"99 % {w.recovered(r, 't_sub_s', '99')}; {attempts} attempts each",
            )
        )
        figures += blast_figures(event)
    figures += prediction.key_figures(run)
    published = w.number(run, "fanout", "published")
    if published:
        p50 = w.number(run, "fanout", "latency_ms", "p50")
        lost = w.number(run, "fanout", "lost")
        figures += [
            ("Fan-out p99", w.milliseconds(w.number(run, "fanout", "latency_ms", "p99")), f"p50 {w.milliseconds(p50)}"),
            (
                "Delivered",
                w.percent(w.number(run, "fanout", "completeness")),
                f"{w.count(lost)} lost of {w.count(w.number(run, 'fanout', 'expected'))}",
            ),
        ]
    return figures


def tiles(run: Mapping[str, Any]) -> Html:
    """Return the key figures as a description list that flows into tiles."""
    return el(
        "dl",
        *(
            el("div", el("dt", name), el("dd", value, class_="value"), el("dd", note, class_="note"))
            for name, value, note in key_figures(run)
        ),
        class_="tiles",
        aria_label="Key figures",
    )


def threshold_rows(run: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (expression, measured value, outcome in words) of every threshold."""
    rows = []
    for threshold in w.items(run, "thresholds"):
        expr, verdict = w.text(threshold, "expr"), w.text(threshold, "verdict")
        measured = w.threshold_value(expr, w.number(threshold, "value"), verdict)
        rows.append((w.plain(expr), measured, OUTCOMES.get(verdict, w.plain(verdict, 40))))
    return rows


def thresholds_table(run: Mapping[str, Any]) -> Html:
    """Return the thresholds, or the sentence that there were none."""
    rows = threshold_rows(run)
    if not rows:
        return el("p", "The profile sets no thresholds, so nothing was gated.", class_="muted")
    shown = [
        (el("code", expr), value, el("span", outcome, class_=f"outcome outcome-{outcome.replace(' ', '-')}"))
        if outcome in OUTCOMES.values()
        else (el("code", expr), value, outcome)
        for expr, value, outcome in rows
    ]
    return table(("Threshold", "Measured", "Outcome"), shown, "Thresholds", "thresholds")


def failures_table(run: Mapping[str, Any]) -> Html:
    """Return failed connects by reason, most frequent first, each with a bar of its share."""
    failures = w.dig(run, "connections", "failures")
    counted = (
        {w.plain(reason, 160): w.number(failures, reason) or 0 for reason in failures}
        if isinstance(failures, Mapping)
        else {}
    )
    ordered = sorted(((n, reason) for reason, n in counted.items() if n), key=lambda pair: (-pair[0], pair[1]))
    attempts = w.number(run, "connections", "attempts")
    if not ordered:
        return el("p", f"No connect failed, of {w.count(attempts)} attempts.", class_="muted")
    total, most = sum(n for n, _ in ordered), ordered[0][0]
    rows: list[tuple[object, ...]] = [
        (reason, w.count(n), w.percent(n / attempts) if attempts else w.NOT_MEASURED, _bar(n / most))
        for n, reason in ordered[:FAILURES_SHOWN]
    ]
    rest = ordered[FAILURES_SHOWN:]
    if rest:
        left = sum(n for n, _ in rest)
        rows.append(
            (
                f"{len(rest)} more reasons",
                w.count(left),
                w.percent(left / attempts) if attempts else "",
                _bar(left / most),
            )
        )
    rows.append(("in all", w.count(total), w.percent(total / attempts) if attempts else w.NOT_MEASURED, ""))
    bars = el("span", "relative", class_="visually-hidden")
    return table(("Reason", "Failures", "Share of attempts", bars), rows, "Failed connects by reason", "failures")


def _bar(share: float) -> Html:
    return el("span", class_="bar", style=f"width:{min(1.0, share) * 100:.1f}%", aria_hidden="true")


def environment(data: ReportData) -> Html:
    """Return what ran against what, where; and the profile as run."""
    run = data.run
    cores, workers = w.number(run, "harness", "cores"), w.number(run, "harness", "workers")
    nodes, held = w.number(run, "target", "nodes"), w.number(run, "connections", "bytes_per_connection")
    facts = (
        ("Target", w.text(run, "target", "url")),
        ("Version", w.text(run, "target", "version")),
        ("Dialect", w.text(run, "target", "dialect")),
        ("Nodes", "" if nodes is None else w.count(nodes)),
        ("Harness", _joined("loadtest", w.text(run, "harness", "version"))),
        ("Locust", w.text(run, "harness", "locust")),
        ("Python", w.text(run, "harness", "python")),
        ("Hot path", {"c": "compiled", "python": "interpreted"}.get(w.text(run, "harness", "hot_path"), "")),
        ("Workers", "" if workers is None else w.count(workers)),
        ("Cores", "" if cores is None else w.count(cores)),
        ("Kernel", w.text(run, "harness", "kernel")),
        ("Memory per connection", "" if held is None else w.size(held)),
        ("Started", w.moment(w.text(run, "started_at"))),
        ("Finished", w.moment(w.text(run, "finished_at")) or "did not finish"),
        ("Run", w.text(run, "run_id")),
        ("Profile SHA-256", w.text(run, "profile", "sha256")),
    )
    listed = [el("div", el("dt", name), el("dd", w.plain(value))) for name, value in facts if value]
    profile = (
        el("details", el("summary", "The profile as run"), el("pre", el("code", data.profile_text)), class_="profile")
        if data.profile_text
        else None
    )
    return join([el("dl", *listed, class_="facts"), profile])


def _joined(*words: str) -> str:
    return " ".join(words) if all(words) else ""
