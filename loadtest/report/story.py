"""Tell a run in one sentence, from run.json alone; terminal and page show the same one.

    held -> each event: when, how many it dropped, when they were back -> what was delivered

A recovery that did not happen is said in words; a figure that is missing is left out rather than guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.report import wording as w

EVENTS_TOLD = 2


def story(run: Mapping[str, Any]) -> str:
    """Return one sentence (no markup; text of the profile in it is not escaped) that tells what happened."""
    clauses = [_held(run)]
    events = w.items(run, "events")
    clauses += [_event(event) for event in events[:EVENTS_TOLD]]
    if len(events) > EVENTS_TOLD:
        more = len(events) - EVENTS_TOLD
        clauses.append(f"{more} more {'event' if more == 1 else 'events'} followed")
    clauses.append(_delivered(run))
    told = "; ".join(clause for clause in clauses if clause)
    if w.text(run, "verdict") == "interrupted":
        told = f"Interrupted before its end: {told}" if told else "Interrupted before anything was measured"
    return f"{told or 'Nothing was measured'}."


def _held(run: Mapping[str, Any]) -> str:
    target, peak = w.number(run, "connections", "target"), w.number(run, "connections", "peak")
    if peak is None:
        return ""
    if target is None or peak >= target:
        return f"{w.count(peak)} clients held"
    return f"{w.count(peak)} of {w.count(target)} clients held at the peak"


def _event(event: object) -> str:
    name, at_s = w.plain(w.text(event, "name") or "an event", 60), w.number(event, "at_s")
    when = f"{name} at {w.seconds(at_s)}" if at_s is not None else name
    population, dropped = w.number(event, "population"), w.number(event, "dropped")
    if dropped == 0:
        return f"{when} dropped nobody"
    if dropped is None or not population:
        return f"{when}: how many it dropped was not measured"
    return f"{when} dropped {w.percent(min(1.0, dropped / population))}; {back(event)}"


def back(event: object) -> str:
    """Say when the clients of one event were subscribed again, and which part of them never was."""
    times = {step: w.number(event, "recovery", "t_sub_s", step) for step in w.RECOVERY_STEPS}
    reached = [step for step in w.RECOVERY_STEPS if times[step] is not None]
    if w.dig(event, "recovery", "t_sub_s") is None:
        return "its recovery was not measured"
    if not reached:
        return "fewer than half of the clients came back before the run ended (not recovered)"
    best = reached[-1]
    if best != "100":
        return f"{best} % were back after {w.seconds(times[best])}, the rest not recovered when the run ended"
    if times["99"] is None or times["99"] == times["100"]:
        return f"all were back after {w.seconds(times['100'])}"
    return f"99 % were back after {w.seconds(times['99'])}, all after {w.seconds(times['100'])}"


def _delivered(run: Mapping[str, Any]) -> str:
    expected, delivered = w.number(run, "fanout", "expected"), w.number(run, "fanout", "delivered")
    if not expected or delivered is None:
        return ""
    lost = w.number(run, "fanout", "lost") or 0
    if delivered >= expected:
        told = f"all {w.count(expected)} deliveries arrived"
    elif lost:
        told = f"{w.count(lost)} of {w.count(expected)} deliveries were lost"
    else:
        told = f"{w.count(delivered)} of {w.count(expected)} deliveries arrived"
    p99 = w.number(run, "fanout", "latency_ms", "p99")
    return told if p99 is None else f"{told}, fan-out p99 {w.milliseconds(p99)}"
