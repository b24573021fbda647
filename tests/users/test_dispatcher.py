"""Who gets which user, and that nobody who lives is moved."""

from __future__ import annotations

import pytest
from locust import User
from locust.runners import WorkerNode

from loadtest.users.dispatcher import Dealer, PinnedDispatcher, dealt


class Crowd(User):
    weight = 3


class Choir(User):
    weight = 1


class Speaker(User):
    fixed_count = 1
    publishes = True


ROLES = {"a": "herd", "b": "herd", "p": "publisher", "late": ""}


def dispatcher(workers="abp", users=(Crowd, Speaker), roles=ROLES) -> PinnedDispatcher:
    return PinnedDispatcher([WorkerNode(name) for name in workers], list(users), lambda node: roles.get(node, ""))


def ask(dispatcher: PinnedDispatcher, users: int) -> dict[str, dict[str, int]]:
    """Dispatch to the end; return who holds what."""
    dispatcher.new_dispatch(users, 1000)
    *_, last = {}, *dispatcher
    return {worker: {name: count for name, count in held.items() if count} for worker, held in last.items()}


def test_publishers_go_to_publisher_workers_and_herds_to_the_others() -> None:
    assert ask(dispatcher(), 5) == {"a": {"Crowd": 2}, "b": {"Crowd": 2}, "p": {"Speaker": 1}}


def test_without_publisher_workers_everybody_takes_everything() -> None:
    held = ask(dispatcher("xy", roles={"x": "any", "y": "any"}), 6)
    assert held == {"x": {"Crowd": 3, "Speaker": 1}, "y": {"Crowd": 2}}  # dense: the first worker has one more


def test_workers_are_dealt_in_the_order_of_their_ids() -> None:
    assert ask(dispatcher("bap"), 4) == {"a": {"Crowd": 2}, "b": {"Crowd": 1}, "p": {"Speaker": 1}}


def test_weights_hold_and_each_class_is_dealt_evenly() -> None:
    held = ask(dispatcher("ab", (Crowd, Choir)), 16)
    assert held == {"a": {"Crowd": 6, "Choir": 2}, "b": {"Crowd": 6, "Choir": 2}}


def test_up_and_down_and_up_again_keeps_the_publisher() -> None:
    dealing = dispatcher()
    ask(dealing, 9)
    assert ask(dealing, 3) == {"a": {"Crowd": 1}, "b": {"Crowd": 1}, "p": {"Speaker": 1}}
    assert ask(dealing, 5) == {"a": {"Crowd": 2}, "b": {"Crowd": 2}, "p": {"Speaker": 1}}


def test_a_lost_worker_takes_its_users_with_it() -> None:
    dealing = dispatcher()
    ask(dealing, 5)
    dealing.remove_worker(WorkerNode("a"))
    assert ask(dealing, 5) == {"b": {"Crowd": 2}, "p": {"Speaker": 1}}  # Locust asks again by itself
    assert ask(dealing, 6) == {"b": {"Crowd": 5}, "p": {"Speaker": 1}}  # a person asks for more


def test_a_worker_that_was_thought_lost_keeps_its_users() -> None:
    dealing = dispatcher()
    before = ask(dealing, 5)
    dealing.remove_worker(WorkerNode("a"))
    dealing.add_worker(WorkerNode("a"))
    dealing.add_worker(WorkerNode("a"))
    assert ask(dealing, 5) == before
    assert ask(dealing, 1) == {"a": {}, "b": {}, "p": {"Speaker": 1}}


def test_a_worker_that_joins_gets_nobody_who_lives_elsewhere() -> None:
    dealing = dispatcher("ap")
    before = ask(dealing, 5)
    dealing.add_worker(WorkerNode("b"))
    assert ask(dealing, 5) == before | {"b": {}}
    assert ask(dealing, 7) == {"a": {"Crowd": 4}, "b": {"Crowd": 2}, "p": {"Speaker": 1}}


def test_who_takes_no_part_gets_nobody() -> None:
    dealing = dispatcher(["a", "late"])
    assert ask(dealing, 4) == {"a": {"Crowd": 3, "Speaker": 1}, "late": {}}


def test_without_workers_nobody_is_dealt_and_nothing_hangs() -> None:
    dealing = dispatcher("a")
    ask(dealing, 3)
    dealing.remove_worker(WorkerNode("a"))
    assert ask(dealing, 8) == {}


@pytest.mark.parametrize("lost", ["a", "b", "p"])
def test_losing_a_worker_while_dealing_ends_the_dispatch(lost) -> None:
    dealing = dispatcher()
    dealing.new_dispatch(9, 1000)
    dealing._user_count_per_dispatch_iteration, dealing._wait_between_dispatch = 2, 0
    next(dealing)
    dealing.remove_worker(WorkerNode(lost))
    *_, last = dealing
    assert lost not in last
    assert dealing.get_current_user_count() == sum(sum(held.values()) for held in last.values())


def test_the_dealer_keeps_a_running_dispatcher_and_makes_a_new_one_for_a_new_run() -> None:
    running = False
    dealer = Dealer(lambda node: "any", lambda: running)
    nodes = [WorkerNode("a")]
    first = dealer(nodes, [Crowd])
    running = True
    assert dealer(nodes, [Crowd]) is first
    running = False
    assert dealer(nodes, [Crowd]) is not first


def test_a_refused_run_deals_nobody() -> None:
    dealer = Dealer(lambda node: "any", lambda: True)
    dealer.refused = True
    assert ask(dealer([WorkerNode("a")], [Crowd]), 5) == {"a": {}}


@pytest.mark.parametrize(("users", "counts"), [(0, (0, 0)), (1, (0, 1)), (2, (1, 1)), (10, (9, 1))])
def test_dealt_says_what_u_means(users, counts) -> None:
    assert dealt([Crowd, Speaker], users) == {"Crowd": counts[0], "Speaker": counts[1]}
