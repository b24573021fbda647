"""The life of a slot, as a table: which states there are, how people see them, what a give-up there is called.

    IDLE --> WAITING --> CONNECTING --> [TLS] --> [BOOTSTRAP ->] UPGRADING --> JOINING --> SUBSCRIBING --> LIVE
               ^             |            |              |            |             |             |          |
               +-- backoff --+------------+--- failed ---+------------+-------------+             +- dropped +

Law: only a LIVE slot can be *dropped*; whatever ends earlier is a *failed* attempt, counted by reason.
"""

from __future__ import annotations

IDLE, WAITING, CONNECTING, TLS, BOOTSTRAP, UPGRADING, JOINING, SUBSCRIBING, LIVE = range(9)

SHOWN = ("idle", "waiting", "connecting", "opening", "opening", "opening", "opening", "subscribing", "subscribed")
"""What `connections` of an interval line calls each state."""

TIMEOUT_REASON = {
    CONNECTING: "timeout_connect",
    TLS: "timeout_tls",
    BOOTSTRAP: "timeout_bootstrap",
    UPGRADING: "timeout_upgrade",
    JOINING: "timeout_session",
    SUBSCRIBING: "timeout_subscribe",
    LIVE: "ping_timeout",
}

IN_FLIGHT = frozenset({CONNECTING, TLS, BOOTSTRAP, UPGRADING, JOINING, SUBSCRIBING})


def shown(population: list[int]) -> dict[str, int]:
    """Sum a count per state into a count per shown name."""
    sums = dict.fromkeys(SHOWN, 0)
    for state, count in enumerate(population):
        sums[SHOWN[state]] += count
    return sums
