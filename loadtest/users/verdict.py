"""From the books to run.json: what was wrong with the run, gathered while it ran, and the summary at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from loadtest.clock import NS_PER_MS
from loadtest.herd import quick
from loadtest.metrics.books import Books
from loadtest.metrics.thresholds import Threshold
from loadtest.model.profiled import scaled_figures
from loadtest.profile.model import Profile
from loadtest.profile.redaction import safe
from loadtest.results.environment import harness_facts
from loadtest.results.folder import RunFolder
from loadtest.results.summary import RunFacts, build_summary

OURS = {
    "no_local_port": "this machine had no port left to leave from: more population.source_addresses, or a wider"
    " net.ipv4.ip_local_port_range",
    "no_file_descriptor": "a worker had no open file left: a higher ulimit -n, or more --workers",
    "no_buffer": "the kernel had no memory left for sockets: fewer connections, or a higher net.ipv4.tcp_mem",
    "template": "a template of the profile could not be filled in: loadtest profile check shows it as it would run",
}
"""Reasons of failed attempts that are the generator's own limits, not the target's: what they mean, what helps."""


def own_limits(failures: Mapping[str, int]) -> list[str]:
    """Return a sentence with the remedy for every limit of the generator that attempts failed at."""
    return [
        f"{failures[reason]:,} attempts to connect failed here, not at the target ({reason}): {meaning}."
        for reason, meaning in OURS.items()
        if failures.get(reason)
    ]


def _are_ours(failures: Mapping[str, int]) -> bool:
    """Whether most attempts failed at limits of the generator."""
    return sum(failures.get(reason, 0) for reason in OURS) > sum(failures.values()) / 2


@dataclass(slots=True)
class Verdict:
    """What is known of a run beyond its figures. Sentences, each ending with a full stop where it is a reason."""

    invalid: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    interrupted: str | None = None
    unreachable: str | None = None
    ramp_s: float | None = None
    hold_from_ns: int | None = None

    def short_ramp(self, books: Books, timeout_s: float) -> None:
        """Note that not everybody was there when the ramp's time was up, and whose fault it was."""
        failures = books.total.failures
        reasons = ", ".join(f"{reason} x {count}" for reason, count in failures.most_common(3)) or "no answer"
        sentence = (
            f"Only {books.subscribed:,} of {books.target:,} clients were subscribed after {timeout_s:g} s ({reasons})."
        )
        (self.invalid if _are_ours(failures) else self.failed).append(sentence)

    def nobody_came(self, books: Books, profile: Profile, seconds: float | None = None) -> str:
        """Note that not one client got through in `seconds` (default: the time of the ramp); return the sentence.

        The target is not unreachable when most attempts never left this machine.
        """
        failures = books.total.failures
        reasons = ", ".join(f"{reason} x {count}" for reason, count in failures.most_common(3)) or "no answer"
        urls = ", ".join(profile.target.urls[:3])
        within_s = profile.ramp.timeout_s if seconds is None else seconds
        sentence = f"{urls}: no client got through in {within_s:.3g} s ({reasons})."
        if _are_ours(failures):
            self.invalid.append(sentence)
        else:
            self.unreachable = sentence
        return sentence


def target_facts(profile: Profile) -> dict[str, Any]:
    """Return "target" of run.json."""
    return {
        "url": ", ".join(profile.target.urls),
        "dialect": profile.target.dialect,
        "version": profile.target.version,
        "nodes": profile.target.nodes if profile.target.stack else None,
    }


def _harness(workers: int) -> dict[str, Any]:
    return harness_facts(workers) | {"hot_path": quick.best().name}


def manifest_facts(profile: Profile, workers: int, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return what is known before the run begins, with the keys of run.json, without secrets."""
    known = {
        "profile": {"name": profile.name, "sha256": profile.sha256},
        "target": target_facts(profile),
        "harness": _harness(workers),
        "connections": {"target": profile.population.connections},
        "tags": dict(tags),
    }
    return dict(safe(known))


def live_figures(books: Books, now_ns: int, verdict: Verdict) -> dict[str, Any]:
    """Return the figures so far, with the keys of run.json that thresholds read. Clock errors are not among them."""
    return {
        "connections": books.connection_figures(verdict.ramp_s, None),
        "fanout": books.fanout_figures(),
        "events": [books.event_figures(event, now_ns, verdict.hold_from_ns) for event in books.events.values()],
        "generator": books.generator_figures(clock_error_ms=0.0),
        "phases": books.phases.figures(),
    }


def summarise(
    books: Books,
    verdict: Verdict,
    profile: Profile,
    folder: RunFolder,
    thresholds: Sequence[Threshold],
    facts: Mapping[str, Any],
    *,
    memory: tuple[float | None, float | None],
    end_ns: int,
    clock_error_ns: int = 0,
    clocks: Mapping[int, Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """Return run.json.

    Args:
        facts: what the launcher knows: `version`, `nodes`, `tags`.
        memory: bytes per held connection, of the workers and of the whole machine.
        clocks: each worker's clock, by number (`MasterBridge.clocks`).
    """
    invalid = [*verdict.invalid, *own_limits(books.total.failures)]
    if books.errors:
        invalid.append(f"The engine failed {books.errors} times; see the workers' logs.")
    if books.rejected:
        invalid.append(f"{books.rejected} reports of workers were refused, so figures are missing; see the run's log.")
    if books.total.ledger["announced_late"]:
        invalid.append(
            f"{books.total.ledger['announced_late']} announcements came too late, so nobody expected their messages."
        )
    fanout = books.fanout_figures()
    if fanout["imbalance"]:
        invalid.append(f"The books do not balance: {fanout['imbalance']} deliveries are unaccounted for.")
    generator = books.generator_figures(clock_error_ms=clock_error_ns / NS_PER_MS)
    for account in generator["workers"]:
        account.update((clocks or {}).get(account["worker"], {}))
    connections = books.connection_figures(verdict.ramp_s, memory[0])
    connections["machine_bytes_per_connection"] = memory[1]
    events = [books.event_figures(event, end_ns, verdict.hold_from_ns) for event in books.events.values()]
    return build_summary(
        RunFacts(
            run_id=folder.run_id,
            started_at=folder.started_at_iso,
            finished_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            profile={"name": profile.name, "sha256": profile.sha256},
            target=target_facts(profile),
            harness=_harness(len(books.workers)),
            connections=connections,
            fanout=fanout,
            generator=generator,
            events=events,
            thresholds=thresholds,
            invalid_reasons=invalid,
            failed_reasons=verdict.failed,
            interrupted=verdict.interrupted,
            unreachable=verdict.unreachable,
            extra={**facts, "phases": books.phases.figures(), **scaled_figures(profile, events)},
        )
    )
