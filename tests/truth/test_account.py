"""The yardstick itself: the account's arithmetic on hand-written logs, and the script's "one in n"."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.truth.account import Account, percentile
from tests.truth.target import COPY, DROPPED, HELD, LATE, PLAIN, RECORD, Chooser

MS = 1_000_000


def write(folder: Path, publishes: list[tuple[int, int, int]], sent: list[tuple[int, int, int, int]]) -> Account:
    """Write an account: publishes (seq, sched_ms, late_ms) to two members; sent (publish, client, sent_ms, kind)."""
    rows = [
        [number, 0, "c", f"lt1.0badcafe.0.1.{seq}.{sched * MS}.{late * MS}", 2]
        for number, (seq, sched, late) in enumerate(publishes)
    ]
    (folder / "publishes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "deliveries.bin").write_bytes(
        b"".join(RECORD.pack(number, client, 0, at * MS, kind) for number, client, at, kind in sent)
    )
    (folder / "account.json").write_text("{}")
    return Account(folder)


def test_latency_counts_from_the_scheduled_time_and_its_twin_from_the_send(tmp_path) -> None:
    account = write(tmp_path, [(0, 100, 7)], [(0, 1, 110, PLAIN), (0, 2, 130, PLAIN)])
    truth = account.figures(1.0)
    assert truth.latencies == [10 * MS, 30 * MS]
    assert truth.uncorrected == [3 * MS, 23 * MS]
    assert (truth.expected, truth.delivered, truth.lost) == (2, 2, 0)
    assert truth.ttk == {50: [10 * MS], 99: [30 * MS], 100: [30 * MS]}


def test_dropped_and_late_are_lost_and_only_a_second_copy_is_a_duplicate(tmp_path) -> None:
    sent = [(0, 1, 0, DROPPED), (0, 2, 101, PLAIN), (0, 2, 102, COPY), (1, 1, 3200, LATE), (1, 2, 301, PLAIN)]
    truth = write(tmp_path, [(0, 100, 0), (1, 200, 0)], sent).figures(1.0)
    assert (truth.expected, truth.delivered, truth.lost, truth.late, truth.duplicated) == (4, 2, 2, 1, 1)
    assert truth.ttk[50] == [1 * MS, 101 * MS]
    assert truth.ttk[100] == [math.inf, math.inf]


def test_reordered_is_below_the_highest_that_this_client_was_sent(tmp_path) -> None:
    sent = [(1, 1, 201, PLAIN), (0, 2, 202, PLAIN), (0, 1, 203, HELD), (1, 2, 204, PLAIN)]
    assert write(tmp_path, [(0, 100, 0), (1, 200, 0)], sent).figures(1.0).reordered == 1


@pytest.mark.parametrize(("percent", "value"), [(50, 5), (90, 9), (99, 10), (100, 10), (0.1, 1)])
def test_percentiles_are_nearest_rank(percent: float, value: int) -> None:
    assert percentile(range(1, 11), percent) == value


def test_a_chooser_takes_exactly_one_in_n_by_its_seed() -> None:
    first, same, other = (Chooser(10, seed) for seed in ("a", "a", "b"))
    taken = [first() for _ in range(1000)]
    assert all(sum(taken[at : at + 10]) == 1 for at in range(0, 1000, 10))
    assert [same() for _ in range(1000)] == taken
    assert [other() for _ in range(1000)] != taken
    assert not any(Chooser(0, "a")() for _ in range(100))
