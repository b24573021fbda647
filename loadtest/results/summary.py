"""Build `run.json` from what the run knows at its end, and decide its verdict.

    RunFacts --complete, plain--> figures --thresholds--> outcomes --> verdict, reasons --> exit code

The law of this file, first match wins:

    interrupted   somebody ended the run early
    fail          the target could not be reached: there was nothing to measure
    invalid       the generator was the narrowest pipe, or workers were lost or stood still
    fail          a threshold is FAIL or NO_DATA
    pass          otherwise

The generator's rule (METRICS): the publish lateness p99 or loop lag p99 of its worst worker exceeds 10 % of a *gated*
percentile, that is of the value *measured* for a threshold on `fanout.latency.*`. Measured, not the bar: the bar says
what the target may take, the measured figure is the one that the generator's own delay is a part of. Without such a
threshold the smallest gated time of connecting or recovery counts, or else the measured fan-out p99; delays below
250 ms are then let pass.

Its receive queue is another matter: a message to everybody at once waits there by nature, since one reader reads one
connection after the other. It only ever adds to a latency, so a run that passes with it would pass without. It makes
a run invalid when it exceeds those 10 % and

    the worker was busy     80 % of a core or more in its worst interval: it could not keep up with what arrived
    or it decides           a threshold on a time of fan-out fails, and would hold if that time were shorter by it

Else its share is told (`report.generator`), no more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtest.errors import ExitCode
from loadtest.metrics.thresholds import Outcome, Threshold, evaluate
from loadtest.results.plain import plain
from loadtest.results.schema import SCHEMA, complete

GENERATOR_SHARE = 0.10
"""The largest part of a gated percentile that the generator's own delay may be."""

UNGATED_MS = 250.0
"""Delay of the generator that no run may have, whatever it gates.

Far above that of a busy but healthy worker (10 to 20 ms), also of many that share a core and work in rounds, since
what such a run judges are counts, and recoveries of seconds, of which a quarter of a second is a tenth. A fan-out time
that nobody gated, but somebody reads, is graded beside it: `report.generator.trust`.
"""

STOOD_STILL_S = 10.0
STOOD_STILL_S_PER_WORKER = 5.0
"""Without a report for this long a worker stood still: reports come once a second, also from a busy one. Workers that
share a core wait for each other in a storm: so much for each of them, if that is longer."""

FULL_CORE_PERCENT = 80.0
"""From here on a worker counts as busy with its own work."""

_UNITS = {"ms": " ms", "s": " s", "percent": " %", "ratio": "", "count": ""}
_MS_OF = {"ms": 1.0, "s": 1000.0}
_TIMES_OF_THE_TARGET = ("fanout.", "connections.", "events.")
_DELAYS = (("lateness_p99_ms", "publish lateness p99"), ("loop_lag_p99_ms", "event-loop lag p99"))


@dataclass(slots=True)
class RunFacts:
    """What a run knows at its end; the mappings have the keys of `loadtest.run/1`, missing ones become null.

    Attributes:
        started_at: ISO-8601 with its offset; `finished_at` likewise, None when the end was not seen.
        profile: name, sha256. `target`: url, dialect, version, nodes. `harness`: see `environment.harness_facts`.
        thresholds: the parsed thresholds of the profile; they are judged here.
        invalid_reasons: sentences that say why the run measured the harness or the machine.
        failed_reasons: sentences that say how the target failed beyond the thresholds.
        interrupted: the sentence that says who ended the run early, or None.
        unreachable: the sentence that names the URL and the reason, or None.
        extra: further top-level keys of run.json.
    """

    run_id: str
    started_at: str
    finished_at: str | None
    profile: Mapping[str, Any]
    target: Mapping[str, Any]
    harness: Mapping[str, Any]
    connections: Mapping[str, Any]
    fanout: Mapping[str, Any]
    generator: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]] = ()
    thresholds: Sequence[Threshold] = ()
    invalid_reasons: Sequence[str] = ()
    failed_reasons: Sequence[str] = ()
    interrupted: str | None = None
    unreachable: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def build_summary(facts: RunFacts) -> dict[str, Any]:
    """Return run.json: every key present, no NaN, verdict and reasons decided.

    Beside the keys of METRICS it has `unreachable`: the sentence, or null.
    """
    figures: dict[str, Any] = complete(
        plain(
            {
                **facts.extra,
                "schema": SCHEMA,
                "run_id": facts.run_id,
                "started_at": facts.started_at,
                "finished_at": facts.finished_at,
                "unreachable": facts.unreachable,
                "profile": facts.profile,
                "target": facts.target,
                "harness": facts.harness,
                "connections": facts.connections,
                "fanout": facts.fanout,
                "events": facts.events,
                "generator": facts.generator,
            }
        )
    )
    outcomes = [evaluate(threshold, figures) for threshold in facts.thresholds]
    invalid = [*facts.invalid_reasons, *generator_faults(figures, facts.thresholds, outcomes)]
    judged = zip(facts.thresholds, outcomes, strict=True)
    failed = [*facts.failed_reasons, *(reason(threshold, outcome) for threshold, outcome in judged if outcome.failed)]
    if facts.interrupted:
        verdict = "interrupted"
    elif facts.unreachable:
        verdict = "fail"
    elif invalid:
        verdict = "invalid"
    else:
        verdict = "fail" if failed else "pass"
    ended = [sentence for sentence in (facts.interrupted, facts.unreachable) if sentence]
    reasons = [*ended, *invalid, *failed]
    return figures | {
        "verdict": verdict,
        "reasons": reasons,
        "thresholds": [plain(outcome.as_json()) for outcome in outcomes],
    }


def exit_code(run: Mapping[str, Any]) -> ExitCode:
    """Return the exit code of `loadtest run` for a finished run.json."""
    if run.get("verdict") == "interrupted":
        return ExitCode.INTERRUPTED
    if run.get("unreachable"):
        return ExitCode.UNREACHABLE
    codes = {"pass": ExitCode.PASS, "invalid": ExitCode.INVALID}
    return codes.get(str(run.get("verdict")), ExitCode.THRESHOLD_FAILED)


def generator_faults(
    figures: Mapping[str, Any], thresholds: Sequence[Threshold], outcomes: Sequence[Outcome]
) -> list[str]:
    """Return the sentences that make a run invalid by METRICS' rule on the generator."""
    generator = figures["generator"]
    lost = generator.get("workers_lost") or 0
    found = [f"{lost} {'worker was' if lost == 1 else 'workers were'} lost during the run."] if lost else []
    harness = figures["harness"]
    sharing = (harness.get("workers") or 1) / max(1, harness.get("cores") or 1)
    patience_s = max(STOOD_STILL_S, STOOD_STILL_S_PER_WORKER * sharing)
    found += [
        f"Worker {worker['worker']} stood still for {stood_s:.1f} s, until {worker['stood_until_s']:.0f} s: what"
        " reached it in that time is dated late or counted lost."
        for worker in generator.get("workers") or ()
        if (stood_s := worker.get("stood_s") or 0.0) > patience_s
    ]
    gated: dict[str, float] = {}
    for threshold, outcome in zip(thresholds, outcomes, strict=True):
        name, in_ms = re.split("[<>=!]", threshold.expr)[0].strip(), _MS_OF.get(threshold.metric.unit)
        if name.startswith(_TIMES_OF_THE_TARGET) and in_ms and outcome.value is not None:
            gated[name] = in_ms * outcome.value
    messages = [name for name in gated if name.startswith("fanout.latency.")]
    if messages or gated:
        name = min(messages or gated, key=lambda gate: gated[gate])
        limit_ms, words_of_limit = GENERATOR_SHARE * gated[name], f"10 % of {name} ({gated[name]:.6g} ms)"
    else:
        p99_ms = figures["fanout"]["latency_ms"]["p99"] or 0.0
        limit_ms, words_of_limit = GENERATOR_SHARE * p99_ms, f"10 % of the fan-out p99 ({p99_ms:.4g} ms)"
    if not messages and limit_ms < UNGATED_MS:
        limit_ms, words_of_limit = UNGATED_MS, f"{UNGATED_MS:.3g} ms"
    for key, words in _DELAYS:
        worst = max(generator.get("workers") or (), key=lambda worker: worker[key] or 0, default=None)
        delay_ms = max(generator.get(key) or 0, (worst or {}).get(key) or 0)
        if delay_ms > limit_ms:
            found.append(
                f"The generator's {words} of {delay_ms:.3g} ms exceeds {words_of_limit}:"
                f" the harness was the narrowest pipe.{_advice(worst)}"
            )
    queues = [worker for worker in generator.get("workers") or () if worker.get("receive_queue")]
    slowest = max(queues, key=lambda worker: worker["receive_queue"]["p99_ms"], default=None)
    if slowest is not None:
        queue = slowest["receive_queue"]
        if queue["p99_ms"] > limit_ms and queue["cpu_percent"] >= FULL_CORE_PERCENT:
            found.append(
                f"What arrived waited {queue['p99_ms']:.3g} ms (p99) in the generator's receive queue, more than"
                f" {words_of_limit}: the harness was the narrowest pipe. {_queue_at_its_worst(slowest)}:"
                " it could not keep up; give the run more workers or fewer connections."
            )
        found += _decided_by_the_queue(slowest, thresholds, outcomes)
    return found


def _decided_by_the_queue(
    worker: Mapping[str, Any], thresholds: Sequence[Threshold], outcomes: Sequence[Outcome]
) -> list[str]:
    """Return a sentence for every time of fan-out that may have failed by the generator's receive queue alone."""
    p99_ms = worker["receive_queue"]["p99_ms"]
    return [
        f"{reason(threshold, outcome)[:-1]}, of which up to {p99_ms:.3g} ms (p99) are the generator's own receive"
        f" queue: without it the threshold may hold. {_queue_at_its_worst(worker)}: give the run more workers,"
        " so that each reads a smaller part of a burst."
        for threshold, outcome in zip(thresholds, outcomes, strict=True)
        if threshold.metric.name.startswith("fanout.")
        and threshold.metric.unit == "ms"
        and outcome.verdict == "FAIL"
        and outcome.value is not None
        and p99_ms > GENERATOR_SHARE * outcome.value
        and threshold.holds(max(0.0, outcome.value - p99_ms))
    ]


def _queue_at_its_worst(worker: Mapping[str, Any]) -> str:
    queue = worker["receive_queue"]
    return (
        f"Worker {worker['worker']} had it worst, {queue['worst_ms']:.3g} ms at {queue['worst_at_s']:.0f} s"
        f" with {queue['cpu_percent']:.0f} % CPU"
    )


def _advice(worker: Mapping[str, Any] | None) -> str:
    """Say which worker it was, when, and what to do."""
    if worker is None:
        return ""
    cpu = worker["cpu_max_percent"]
    cure = (
        "give the run more workers or fewer connections, or leave this machine to it"
        if cpu >= FULL_CORE_PERCENT
        else "something else takes its CPU or blocks its loop: leave this machine to the run, or take another"
    )
    return (
        f" Worker {worker['worker']} had it worst, {worker['worst_ms']:.3g} ms at {worker['worst_at_s']:.0f} s"
        f" with {cpu:.0f} % CPU at most: {cure}."
    )


def reason(threshold: Threshold, outcome: Outcome) -> str:
    """Return the sentence that says why a threshold failed."""
    if outcome.verdict == "NO_DATA":
        return f"{threshold.expr}: no data."
    if outcome.value is None:
        return f"{threshold.expr}: not recovered."
    if threshold.metric.unit == "ratio" and threshold.expr.rstrip().endswith("%"):
        return f"{threshold.expr}: measured {100 * outcome.value:.4g} %."
    return f"{threshold.expr}: measured {outcome.value:.6g}{_UNITS[threshold.metric.unit]}."
