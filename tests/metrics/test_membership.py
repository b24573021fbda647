from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtest.metrics.membership import Membership

changes = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([-1, 1])), max_size=200)


@given(changes, st.integers(0, 300))
def test_the_count_at_any_remembered_time_is_the_sum_of_changes(steps: list[tuple[int, int]], before: int) -> None:
    membership, at, log = Membership(), 5, []
    for wait, delta in steps:
        at += wait
        assert membership.change(at, delta) == at
        log.append((at, delta))
    membership.prune(before)
    assert membership.now == sum(delta for _, delta in log)
    for time in range(before, at + 2):
        assert membership.at(time) == sum(delta for when, delta in log if when <= time)


def test_a_change_counts_from_its_own_nanosecond() -> None:
    membership = Membership()
    membership.change(10, +1)
    membership.change(20, -1)
    assert [membership.at(time) for time in (9, 10, 19, 20)] == [0, 1, 1, 0]


def test_a_change_dated_before_the_last_is_recorded_with_it() -> None:
    membership = Membership()
    membership.change(10, +1)
    assert membership.change(7, +1) == 10
    assert (membership.at(9), membership.at(10)) == (0, 2)


def test_memory_is_bounded_by_pruning() -> None:
    membership = Membership()
    for at in range(10_000):
        membership.change(at, +1)
        membership.prune(at - 100)
    assert len(membership._times) < 300
