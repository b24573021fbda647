"""A worker's end: its place, two runs in one process, who comes before or after the word go, and the last report."""

from __future__ import annotations

import pytest

from loadtest.metrics.report import WorkerReport
from loadtest.users import messages
from loadtest.users.attach import make_bridge
from loadtest.users.canary_order import CanaryOrder
from loadtest.users.worker_bridge import WorkerBridge
from tests.users.conftest import chat

PLAN = {"run": "0123abcd", "worker": 3, "herd": 1, "herds": 2, "connections": 40, "profile": None, "folder": ""}


@pytest.fixture
def bridge(environment):
    made = make_bridge(environment)
    made.reports = []
    for name in (messages.HELLO, messages.PUBLISHED):
        environment.runner.register_message(name, lambda **_: None)
    environment.runner.register_message(messages.REPORT, lambda msg, **_: made.reports.append(msg.data))
    yield made
    made.stop()


def say(bridge: WorkerBridge, name: str, **data: object) -> None:
    bridge.environment.runner.send_message(name, data)


def herd(bridge: WorkerBridge):
    return bridge.herds.room("viewers", chat(), listening=True, hooks=None, connections=20)


def test_the_plan_gives_a_worker_its_place(bridge) -> None:
    say(bridge, messages.PLAN, **PLAN)
    assert (bridge.run, bridge.worker, bridge.number, bridge.of, bridge.connections) == ("0123abcd", 3, 1, 2, 40)
    assert bridge.profile is None
    say(bridge, messages.PLAN, **PLAN | {"profile": chat().content()})
    assert bridge.profile == chat()


def test_indexes_are_unique_over_workers_and_dense(bridge) -> None:
    taken: list[int] = []
    for number in (0, 1):
        say(bridge, messages.PLAN, **PLAN | {"herd": number})
        taken += [index for _ in range(2) for index in bridge.enlist(10)]
    assert sorted(taken) == list(range(40))


def test_herds_of_different_sizes_never_share_an_index(bridge) -> None:
    taken: list[int] = []
    for number in (0, 1):
        say(bridge, messages.PLAN, **PLAN | {"herd": number})
        taken += [index for size in (10, 4, 10, 4) for index in bridge.enlist(size, 10)]
    assert len(set(taken)) == len(taken) == 56


def test_epochs_are_unique_over_workers_and_runs(bridge) -> None:
    epochs = []
    for worker in (0, 1, 0):
        say(bridge, messages.PLAN, **PLAN | {"worker": worker})
        epochs += [bridge.next_epoch(), bridge.next_epoch()]
    assert len(set(epochs)) == 6


def test_go_reaches_who_came_before_and_who_comes_after(bridge) -> None:
    say(bridge, messages.PLAN, **PLAN)
    went = []
    bridge.when_go(lambda at_ns: went.append(("before", at_ns)))
    assert went == []
    say(bridge, messages.GO, start_ns=7)
    bridge.when_go(lambda at_ns: went.append(("after", at_ns)))
    assert went == [("before", 7), ("after", 7)]


ORDER = {"first": 1, "number": 2, "at_ns": 9}


def test_an_order_of_a_canary_reaches_the_publisher_here_while_there_is_publishing(bridge) -> None:
    say(bridge, messages.PLAN, **PLAN)
    obeyed: list[CanaryOrder] = []
    say(bridge, messages.CANARY, **ORDER)  # nobody publishes here
    bridge.canary = obeyed.append
    say(bridge, messages.CANARY, **ORDER)  # it has not begun
    say(bridge, messages.PUBLISH, start_ns=8)
    say(bridge, messages.CANARY, **ORDER)
    say(bridge, messages.PUBLISH, start_ns=None)
    say(bridge, messages.CANARY, **ORDER)
    assert obeyed == [CanaryOrder(1, 2, 9)]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({}, "first must be an integer, not NoneType"),
        (ORDER | {"first": -1}, "first must be in 0..1000000, not -1"),
        (ORDER | {"number": 0}, "number must be in 1..1000000, not 0"),
        (ORDER | {"number": True}, "number must be an integer, not bool"),
        (ORDER | {"at_ns": 1.5}, "at_ns must be an integer, not float"),
        (ORDER | {"at_ns": 1 << 63}, "at_ns must be in"),
    ],
)
def test_an_order_of_a_canary_that_is_none_is_named_and_not_obeyed(bridge, caplog, order: dict, words: str) -> None:
    say(bridge, messages.PLAN, **PLAN)
    say(bridge, messages.PUBLISH, start_ns=8)
    bridge.canary = lambda _: pytest.fail("obeyed")
    say(bridge, messages.CANARY, **order)
    assert f"the master's order of a canary is of no use: {words}" in caplog.text


def test_an_order_that_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="it is an object, not list"):
        CanaryOrder.read([1])


def test_a_second_run_begins_with_nothing_of_the_first(bridge) -> None:
    say(bridge, messages.PLAN, **PLAN)
    first = herd(bridge)
    bridge.enlist(10)
    say(bridge, messages.GO, start_ns=7)
    say(bridge, messages.PUBLISH, start_ns=8)
    bridge.canary = print
    say(bridge, messages.FINISH)
    say(bridge, messages.PLAN, **PLAN | {"run": "ffffffff"})
    assert (bridge.go_ns, bridge.publish_from_ns, bridge.canary, bridge.vacant) == (None, None, None, {})
    assert bridge.enlist(10) == range(10, 20)
    assert herd(bridge) is not first
    assert bridge.engine.herds == [herd(bridge)]
    say(bridge, messages.FINISH)
    assert [(report["seq"], report["final"]) for report in bridge.reports] == [(1, True), (1, True)]


def test_the_last_report_is_whole(bridge) -> None:
    say(bridge, messages.PLAN, **PLAN)
    herd(bridge).add(range(20))
    bridge.publishing.unsent += 2
    say(bridge, messages.FINISH)
    report = WorkerReport.read(bridge.reports[-1])
    assert (report.worker, report.final, report.unsent, report.connections["idle"]) == (3, True, 2, 20)


def test_a_plan_of_no_use_ends_the_worker_with_the_reason(bridge, caplog) -> None:
    say(bridge, messages.PLAN, **PLAN | {"profile": {"duration": "soon"}})
    assert bridge.outcome is not None
    assert "the master's plan is of no use" in caplog.text
