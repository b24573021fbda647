from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.profile import ChannelPlan


def test_groups_are_numbered_one_after_the_other() -> None:
    plan = ChannelPlan(5, [("a-{n}", 3, 1), ("all", 1, None)])
    assert plan.names == ("a-0", "a-1", "a-2", "all")
    assert [plan.of(index) for index in range(5)] == [[0, 3], [1, 3], [2, 3], [3], [3]]
    assert [list(plan.members(channel)) for channel in range(4)] == [[0], [1], [2], [0, 1, 2, 3, 4]]
    assert plan.subscriptions == 8


def test_clients_are_shared_out_when_the_group_does_not_say() -> None:
    plan = ChannelPlan(7, [("c-{n}", 3, None)])
    assert [len(plan.members(channel)) for channel in range(3)] == [3, 2, 2]


def test_more_channels_than_clients_leaves_some_empty() -> None:
    plan = ChannelPlan(2, [("c-{n}", 4, None)])
    assert [list(plan.members(channel)) for channel in range(4)] == [[0], [1], [], []]


def test_no_groups_means_no_channels() -> None:
    plan = ChannelPlan(3, [])
    assert (plan.names, plan.of(0), plan.subscriptions) == ((), [], 0)


def test_unknown_channel_is_an_error() -> None:
    with pytest.raises(IndexError, match="channel 4 of 4"):
        ChannelPlan(2, [("c-{n}", 4, None)]).members(4)


_GROUPS = st.lists(
    st.tuples(st.just("c{n}"), st.integers(1, 9), st.one_of(st.none(), st.integers(1, 9))), min_size=1, max_size=3
)


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 60), _GROUPS)
def test_members_and_channels_of_a_client_tell_the_same(
    connections: int, groups: list[tuple[str, int, int | None]]
) -> None:
    plan = ChannelPlan(connections, groups)
    by_client = {(index, channel) for index in range(connections) for channel in plan.of(index)}
    by_channel = {(index, channel) for channel in range(len(plan.names)) for index in plan.members(channel)}
    assert by_client == by_channel
    assert len(by_client) == plan.subscriptions


def test_a_million_clients_cost_nothing_until_asked() -> None:
    started = time.perf_counter()
    plan = ChannelPlan(1_000_000, [("c-{n}", 1000, None)])
    assert plan.members(999) == range(999, 1_000_000, 1000)
    assert plan.of(999_999) == [999]
    assert time.perf_counter() - started < 0.5
