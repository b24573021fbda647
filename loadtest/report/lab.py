"""The storm lab: scaled runs of several versions side by side, in the real system's time, predictions beside them.

    [ReportData, ...] --tell--> Lab --> lab_html: one page | lab_markdown: the same tables

    versions    one row per version, against the capacity that most runs have
    sweep       runs of one version against other capacities, or at another scale: the model's curve through the points
    faults      events that were no storm: a broker killed

Law: a time of the real system is the run's time multiplied by its scale, nothing else; the scale stands beside it. What
is a rate of a client or a count (attempts, secondary drops, lost) is the run's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.errors import UsageError
from loadtest.model.planning import recovery_by_number
from loadtest.model.profiled import real_storm
from loadtest.profile import parse_profile
from loadtest.report import wording as w
from loadtest.report.blast import others
from loadtest.report.data import ReportData
from loadtest.report.prediction import is_scaled
from loadtest.report.summary_sections import threshold_rows, verdict_words

VERSIONS_HEAD = (
    "Version",
    "99 % back",
    "Predicted",
    "Ratio",
    "T_rec",
    "Attempts each",
    "Predicted",
    "Secondary drops",
    "Lost",
    "Scale",
    "Verdict",
)
SWEEP_HEAD = ("S", "Version", "Scale", "99 % back", "Predicted", "Ratio", "Attempts each", "Predicted")
FAULTS_HEAD = ("Version", "Fault", "Sockets closed", "Lost", "Of deliveries", "Blast radius", "The others' p99")
THRESHOLDS_HEAD = ("Version", "Threshold", "Measured", "Outcome")

_CURVE_POINTS = 9


@dataclass(frozen=True, slots=True)
class Telling:
    """One scaled run and its storm: the first event that its prediction is about."""

    data: ReportData
    version: str

    @property
    def run(self) -> Mapping[str, Any]:
        """run.json."""
        return self.data.run

    @property
    def number(self) -> float:
        """S."""
        return w.number(self.run, "scale", "storm_number") or 0.0

    @property
    def capacity_per_s(self) -> float:
        """c of the real system."""
        return w.number(self.run, "scale", "real", "capacity_per_s") or 0.0

    @property
    def time(self) -> float:
        """Seconds of the real system in one of the run."""
        return w.number(self.run, "scale", "time") or 1.0

    @property
    def event(self) -> Mapping[str, Any]:
        """The storm, as measured in the run."""
        return next(iter(w.items(self.run, "events")), {})

    @property
    def real(self) -> Mapping[str, Any]:
        """The storm in the real system's time."""
        return next(iter(w.items(self.run, "scale", "events")), {})

    @property
    def ratio(self) -> float | None:
        """Measured / predicted of the time to 99 %."""
        return w.number(self.run, "prediction", "measured_to_predicted", w.text(self.event, "name"), "99")

    @property
    def scale_words(self) -> str:
        """How small, and how fast."""
        return f"{w.count(w.number(self.run, 'scale', 'connections'))} at {self.time:g} x"


@dataclass(frozen=True, slots=True)
class Lab:
    """What the page tells.

    Attributes:
        runs: all of them, in the order given.
        number: S of the storm that the versions share, as the clients of the first of them wait.
        versions: the first run of each version against the capacity that most runs have.
        sweep: runs of the swept version by storm number, the common one among them; empty if none was swept.
        model: (S, seconds to 99 %) of the model for the swept version's system.
    """

    number: float
    runs: list[Telling]
    versions: list[Telling]
    sweep: list[Telling]
    model: list[tuple[float, float | None]]


def tell(datas: Sequence[ReportData]) -> Lab:
    """Sort the runs into what the page tells.

    Raises:
        UsageError: a run is not scaled, or none had an event.
    """
    for data in datas:
        if not is_scaled(data.run):
            raise UsageError(f"the run {data.name} is of a profile without [scale]: it speaks for no larger system")
    told = [Telling(data, w.plain(w.text(data.run, "target", "version") or data.name, 60)) for data in datas]
    told = [one for one in told if one.event]
    if not told:
        raise UsageError("none of these runs had an event")
    ((common, _),) = Counter(one.capacity_per_s for one in told).most_common(1)
    versions: dict[str, Telling] = {}
    for one in told:
        if one.capacity_per_s == common:
            versions.setdefault(one.version, one)
    several = Counter(one.version for one in told)
    swept, count = several.most_common(1)[0]
    sweep = sorted((one for one in told if one.version == swept and count > 1), key=lambda one: (one.number, -one.time))
    return Lab(
        next(iter(versions.values())).number, told, list(versions.values()), sweep, _model(sweep) if sweep else []
    )


def _model(sweep: Sequence[Telling]) -> list[tuple[float, float | None]]:
    """Return the model's curve over the storm numbers of the sweep, and a little beyond."""
    numbers = [one.number for one in sweep]
    low, high = 0.9 * min(numbers), 1.04 * max(numbers)
    between = [low + (high - low) * step / (_CURVE_POINTS - 1) for step in range(_CURVE_POINTS)]
    profile = parse_profile(sweep[0].data.profile_text, sweep[0].data.name, Path())
    return recovery_by_number(real_storm(profile), sorted({*between, *numbers}))


def sentence(lab: Lab) -> str:
    """Say in one sentence how long each version's storm lasted."""
    clients = w.count(w.number(lab.versions[0].run, "scale", "real", "clients"))
    told = [f"{one.version} {w.recovered(one.real, 't_sub_s', '99')}" for one in lab.versions]
    return f"{clients} clients, all dropped at once; 99 % of them were back after: {', '.join(told)}."


def version_rows(lab: Lab) -> list[list[str]]:
    """Return a row for each version."""
    return [
        [
            one.version,
            w.recovered(one.real, "t_sub_s", "99"),
            w.recovered(one.run, "prediction", "t_sub_s", "99"),
            ratio_words(one),
            w.recovered(one.real, "t_rec_s"),
            *_attempts(one),
            w.count(w.number(one.event, "recovery", "secondary_drops")),
            w.count(w.number(one.event, "recovery", "lost")),
            one.scale_words,
            verdict_words(one.run)[0],
        ]
        for one in lab.versions
    ]


def sweep_rows(lab: Lab) -> list[list[str]]:
    """Return a row for each run of the sweep."""
    return [
        [
            f"{one.number:.3g}",
            one.version,
            one.scale_words,
            w.recovered(one.real, "t_sub_s", "99"),
            w.recovered(one.run, "prediction", "t_sub_s", "99"),
            ratio_words(one),
            *_attempts(one),
        ]
        for one in lab.sweep
    ]


def fault_rows(lab: Lab) -> list[list[str]]:
    """Return a row for each fault beside the storm: what it closed, and what it lost."""
    return [
        [
            one.version,
            w.plain(w.text(event, "name") or "event", 40),
            w.count(_closed(event)),
            w.count(w.number(event, "recovery", "lost")),
            w.count(w.number(one.run, "fanout", "expected")),
            w.percent(w.number(event, "recovery", "blast_radius")),
            others(event),
        ]
        for one in lab.runs
        for event in w.items(one.run, "events")[1:]
        if w.dig(event, "announced") is not False  # a paced drain looks like a mass disconnect that nobody announced
    ]


def threshold_lines(lab: Lab) -> list[list[str]]:
    """Return a row for each threshold of each version, in the run's own time."""
    return [[one.version, *row] for one in lab.versions for row in threshold_rows(one.run)]


def scale_sentences(lab: Lab) -> list[str]:
    """Say how small the runs were, and why."""
    one = lab.versions[0]
    real, small = w.dig(one.run, "scale", "real") or {}, w.dig(one.run, "scale", "small") or {}
    return [
        f"The real system: {w.count(w.number(real, 'clients'))} clients that give up an attempt after"
        f" {w.seconds(w.number(real, 'give_up_s'))} and wait {w.seconds(w.number(real, 'mean_backoff_s'))} on the mean,"
        f" against {w.count(w.number(real, 'capacity_per_s'))} connects per second in"
        f" {w.count(w.number(real, 'stages'))} stages, of which steady traffic takes"
        f" {w.percent(w.number(real, 'steady_share'))} once all are back: S = N / (c (T + B)) = {lab.number:.3g}.",
        f"The run of {one.version}: {w.count(w.number(small, 'clients'))} connections that give up after"
        f" {w.seconds(w.number(small, 'give_up_s'))}, against {w.count(w.number(small, 'capacity_per_s'))} connects per"
        " second. Times are multiplied by the scale; counts are those of the run.",
        "Why not more: a storm of n connections at k times the speed makes n k / (T + B) attempts a second, and a crowd"
        " that knocks in waves makes them at once. What a machine takes to accept a wave is not scaled, and has to stay"
        " well below the give-up time.",
    ]


def ratio_words(one: Telling) -> str:
    """Write measured / predicted."""
    return w.NOT_MEASURED if one.ratio is None else f"{one.ratio:.2f}"


def _attempts(one: Telling) -> list[str]:
    return [
        w.factor(value).removesuffix(" x")
        for value in (
            w.number(one.event, "recovery", "amplification"),
            w.number(one.run, "prediction", "amplification"),
        )
    ]


def _closed(event: Mapping[str, Any]) -> float | None:
    dropped, again = w.number(event, "dropped"), w.number(event, "recovery", "secondary_drops")
    return None if dropped is None else dropped + (again or 0)
