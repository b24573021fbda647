"""Hooks in a greenlet of their own, places in the ramp, slots that are left and taken again."""

from __future__ import annotations

from itertools import pairwise

import gevent
import pytest
from gevent.event import Event
from locust import task

from loadtest.clock import NS_PER_S
from loadtest.protocol.events import Acked, Delivered
from loadtest.users import herd_user, messages
from loadtest.users.attach import make_bridge
from loadtest.users.herd_user import FIRST_FREE_REQUEST, HerdUser, hold
from tests.users.conftest import chat

PLAN = {"run": "0123abcd", "worker": 0, "herd": 0, "herds": 2, "connections": 40, "profile": None, "folder": ""}


class Viewer(HerdUser):
    profile = chat()

    def __init__(self, environment) -> None:
        super().__init__(environment)
        self.seen = []
        self.open = Event()
        self.open.set()

    def on_connect(self, client) -> None:
        self.open.wait()
        self.seen.append(("connect", client.index))

    def on_message(self, client, message) -> None:
        self.seen.append(("message", client.index, message.args))

    def on_ack(self, client, answer) -> None:
        self.seen.append(("ack", client.index, answer.id))

    def on_disconnect(self, client, reason) -> None:
        raise RuntimeError(reason)


class Silent(HerdUser):
    profile = chat()


@pytest.fixture
def bridge(environment):
    environment.user_classes = [Viewer, Silent]
    made = make_bridge(environment)
    for name in (messages.HELLO, messages.PUBLISHED, messages.REPORT):
        environment.runner.register_message(name, lambda **_: None)
    environment.runner.send_message(messages.PLAN, PLAN)
    yield made
    made.stop()


def start(kind: type[HerdUser], environment) -> HerdUser:
    user = kind(environment)
    user.on_start()
    return user


def settle() -> None:
    for _ in range(5):
        gevent.sleep(0)


def test_every_hook_is_told_which_client_it_is_about(environment, bridge) -> None:
    start(Viewer, environment)
    viewer = start(Viewer, environment)
    hooks = bridge.hooks[Viewer]
    slot = viewer.slots[3]
    hooks.connected(slot)
    hooks.message(slot, Delivered(None, "heard", ("hi",)))
    hooks.acked(slot, Acked(FIRST_FREE_REQUEST + 7, (), True))
    settle()
    assert viewer.seen == [
        ("connect", 23),
        ("message", 23, ("hi",)),
        ("ack", 23, 7),
    ]  # every other herd is a neighbour's


def test_a_hook_that_blocks_holds_up_nobody_else_and_what_overflows_is_counted(
    environment, bridge, monkeypatch
) -> None:
    monkeypatch.setattr(herd_user, "MAX_WAITING", 5)
    slow, quick = start(Viewer, environment), start(Viewer, environment)
    slow.open.clear()
    hooks = bridge.hooks[Viewer]
    hooks.connected(slow.slots[0])
    settle()
    for _ in range(8):
        hooks.connected(slow.slots[1])
    hooks.connected(quick.slots[0])
    settle()
    assert (slow.seen, len(quick.seen)) == ([], 1)
    assert (slow.hooks_skipped, quick.hooks_skipped) == (3, 0)
    assert slow.herd.account.counts["hooks_skipped"] == 3
    slow.open.set()
    settle()
    assert len(slow.seen) == 6


def test_a_hook_that_fails_is_locusts_to_show_and_the_next_one_runs(environment, bridge) -> None:
    viewer = start(Viewer, environment)
    shown = []
    environment.events.user_error.add_listener(lambda exception, **_: shown.append(str(exception)))
    bridge.hooks[Viewer].disconnected(viewer.slots[0], "eof")
    bridge.hooks[Viewer].connected(viewer.slots[0])
    settle()
    assert (shown, viewer.seen) == (["eof"], [("connect", 0)])


def test_a_class_without_hooks_costs_none(environment, bridge) -> None:
    start(Silent, environment)
    assert bridge.hooks == {}


def test_places_in_the_ramp_follow_the_clients_numbers(environment, bridge) -> None:
    start(Silent, environment)
    user = start(Silent, environment)
    go = bridge.clock() + NS_PER_S
    environment.runner.send_message(messages.GO, {"start_ns": go})
    rate = chat().ramp.rate_per_s
    assert [user.herd.slots.planned[slot] - go for slot in user.slots] == [
        round(index * NS_PER_S / rate) for index in range(20, 30)
    ]


def test_herds_spawned_later_queue_up_behind_each_other(environment, bridge) -> None:
    environment.runner.send_message(messages.GO, {"start_ns": bridge.clock() - 10 * NS_PER_S})
    first, second = start(Silent, environment), start(Silent, environment)
    planned = [first.herd.slots.planned[slot] for user in (first, second) for slot in user.slots]
    step_ns = 2 * NS_PER_S / chat().ramp.rate_per_s  # two workers: half of the rate each
    assert {round((later - sooner) / step_ns, 3) for sooner, later in pairwise(planned)} == {1.0}


def test_slots_that_a_user_left_are_the_next_ones(environment, bridge) -> None:
    first = start(Viewer, environment)
    first.on_stop()
    second = start(Viewer, environment)
    assert second.slots == first.slots
    assert len(second.herd) == 10
    bridge.hooks[Viewer].connected(second.slots[0])
    settle()
    assert (first.seen, second.seen) == ([], [("connect", 0)])


def test_nobody_connected_emits_nothing(environment, bridge) -> None:
    assert start(Silent, environment).pick().emit("shout", {"n": 1}, ack=1) is False


def test_own_tasks_push_out_the_one_that_only_waits(environment) -> None:
    class Busy(Silent):
        @task
        def speak(self) -> None: ...

    assert Silent(environment).tasks == [hold]
    assert Busy(environment).tasks == [Busy.speak]


def test_a_user_without_a_profile_ends_with_one_line(environment, bridge, caplog) -> None:
    class Lost(HerdUser):
        pass

    environment.user_classes = [Lost]
    for _ in range(3):
        with pytest.raises(gevent.GreenletExit):
            start(Lost, environment)
    assert caplog.text.count("Lost cannot start: Lost names no profile") == 1
