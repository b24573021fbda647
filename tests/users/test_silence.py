"""A worker that says nothing is told of once, and once more when it speaks again."""

from __future__ import annotations

from loadtest.clock import NS_PER_S
from loadtest.metrics.books import Books, Gauge
from loadtest.metrics.service_recovery import ServiceRecovery
from loadtest.users.silence import Silence


def books() -> Books:
    made = Books(20, 0, NS_PER_S, ServiceRecovery(10, 0.1))
    made.workers = {0: Gauge(1, NS_PER_S), 1: Gauge(1, NS_PER_S)}
    return made


def test_it_is_told_once_in_each_direction() -> None:
    silence, kept = Silence(), books()
    kept.workers[1].t_ns = 6 * NS_PER_S
    assert silence.look(kept, 6 * NS_PER_S) == []
    told = ["worker 0 has said nothing for 5 s: its figures stand still"]
    assert silence.look(kept, 6 * NS_PER_S + 1) == told
    assert silence.look(kept, 9 * NS_PER_S) == []
    kept.workers[0].t_ns = 21 * NS_PER_S + NS_PER_S // 4
    kept.workers[1].t_ns = 21 * NS_PER_S
    assert silence.look(kept, 22 * NS_PER_S) == ["worker 0 speaks again, 20.2 s after it last did"]
    assert silence.look(kept, 22 * NS_PER_S) == []


def test_the_lost_and_the_finished_are_silent_for_good() -> None:
    silence, kept = Silence(), books()
    kept.workers[0].final = True
    assert len(silence.look(kept, 60 * NS_PER_S)) == 1
    kept.workers[1].lost = True
    assert silence.look(kept, 61 * NS_PER_S) == []
