"""Which metrics a comparison judges, and which way each is better.

The headline is short on purpose: the more metrics are judged together, the larger a difference must be to count. Any
other name of `metrics.thresholds` can be asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from loadtest.compare.group import Group
from loadtest.errors import UsageError
from loadtest.metrics.thresholds import METRICS, Metric, find

OF_A_RUN = (
    "fanout.latency.p50",
    "fanout.latency.p90",
    "fanout.latency.p99",
    "delivery.loss",
    "delivery.duplication",
    "connections.connect.p99",
    "connections.failures.rate",
)
OF_AN_EVENT = ("t_sub.50", "t_sub.99", "t_rec", "outage", "amplification")
OF_THE_OTHERS = ("blast_radius", "others_p99_ratio")
"""Of events that left anybody connected."""

_HIGHER_IS_BETTER = frozenset({"connections.peak", "fanout.completeness", "fanout.published"})


def headline(groups: Sequence[Group]) -> list[str]:
    """Return the names that are judged by default: those of a run, and those of each event that any run had."""
    partial: dict[str, bool] = {}
    for event in (event for group in groups for record in group.runs for event in record.run.get("events") or ()):
        name, radius = str(event.get("name")), (event.get("recovery") or {}).get("blast_radius")
        partial[name] = partial.get(name, False) or (radius is not None and 0 < radius < 1)
    return [
        *OF_A_RUN,
        *(f"events.{name}.{tail}" for name in partial for tail in OF_AN_EVENT),
        *(f"events.{name}.{tail}" for name in partial if partial[name] for tail in OF_THE_OTHERS),
    ]


def resolve(names: Iterable[str]) -> list[tuple[str, Metric, str | None]]:
    """Return the metric and the event of each name, each name once.

    Raises:
        UsageError: a name is of no metric, with those close to it.
    """
    found = []
    for name in dict.fromkeys(names):
        metric, event = find(name)
        found.append((name, metric, event))
    if not found:
        raise UsageError("no metric to compare")
    return found


FANOUT_SHARE = 0.75


def shares(names: Sequence[str]) -> list[tuple[str, float]]:
    """Return the family of each metric and that family's share of the 5 % by which equal versions may seem different.

    Fan-out is judged by itself, so that the noise of recoveries does not hide it, and takes three quarters: it
    rests on thousands of publishes a run, the others on a few events. A family alone has all of it.
    """
    families = ["fanout" if name.startswith("fanout.") else "other" for name in names]
    share = {"fanout": FANOUT_SHARE, "other": 1 - FANOUT_SHARE} if len(set(families)) > 1 else {}
    return [(family, share.get(family, 1.0)) for family in families]


def higher_is_better(metric: Metric) -> bool:
    """Return whether more of it is better; of times, losses and attempts less is."""
    return metric.name in _HIGHER_IS_BETTER


def known_names() -> list[str]:
    """Return every name that can be asked for, `<name>` standing for an event."""
    return [metric.name for metric in METRICS]
