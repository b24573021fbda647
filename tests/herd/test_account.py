from __future__ import annotations

from loadtest.herd.account import Account
from loadtest.metrics.histogram import Histogram


def test_taking_starts_a_new_interval() -> None:
    account = Account()
    account.counts["attempts"] += 2
    account.failures["refused"] += 1
    account.drops["eof"] += 1
    account.connect.record(5_000_000)
    account.first_drop_ns = 9
    taken = account.take()
    assert (taken["counts"], taken["failures"], taken["drops"]) == ({"attempts": 2}, {"refused": 1}, {"eof": 1})
    assert Histogram.from_wire(taken["connect"]).percentile_ns(100) is not None
    assert taken["first_drop_ns"] == 9
    assert account.take() == Account().take()


def test_every_histogram_travels_under_its_name() -> None:
    taken = Account().take()
    assert set(taken) == {
        "counts",
        "failures",
        "drops",
        "connect",
        "subscribe",
        "ack",
        "connect_lateness",
        "first_drop_ns",
    }
