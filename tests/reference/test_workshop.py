"""The workshop serves as many stages as its capacity says, to clients drawn at random, and saves nothing up."""

from __future__ import annotations

from random import Random
from statistics import fmean

import pytest

from reference_gateway.workshop import Workshop


def workshop(capacity_per_s=10.0, stages=4, held_cost_per_s=0.0):
    return Workshop(capacity_per_s, stages, held_cost_per_s, Random(7))


def test_crowd_is_worked_off_at_capacity() -> None:
    shop = workshop()
    for client in range(1000):
        shop.enter(client)
    served = [len(shop.work(1.0, 0)) for _ in range(99)]
    assert len(shop) == 1000 - sum(served)
    # Random order: nobody is done at first, many at the end; all stages were of use.
    assert served[0] == 0
    assert sum(shop._done) + 4 * sum(served) == 99 * 40
    shop.work(1.0, 0)
    assert len(shop) == 0


def test_few_of_a_crowd_finish_before_they_give_up_as_poisson_says() -> None:
    """x = 0.8 services each: Pr[Poisson(0.8) >= 4] = 0.91 %, while an order by age would finish nobody."""
    shares = []
    for seed in range(40):
        shop: Workshop[int] = Workshop(100.0, 4, 0.0, Random(seed))
        for client in range(500):
            shop.enter(client)
        shares.append(len(shop.work(1.0, 0)) / 500)
    assert fmean(shares) == pytest.approx(0.0091, abs=0.0025)


def test_idle_time_is_not_saved_up() -> None:
    shop = workshop()
    assert shop.work(100.0, 0) == []
    for client in range(10):
        shop.enter(client)
    shop.work(0.1, 0)
    assert sum(shop._done) + 4 * (10 - len(shop)) <= 5


def test_single_client_is_done_after_the_time_of_its_stages() -> None:
    shop = workshop()
    shop.enter("a")
    assert shop.work(0.075, 0) == []
    assert shop.work(0.03, 0) == ["a"]


def test_who_leaves_takes_no_more_work() -> None:
    shop = workshop()
    for client in range(100):
        shop.enter(client)
    shop.work(1.0, 0)
    for client in range(99):
        shop.leave(client)
    shop.leave("never seen")
    assert len(shop) == 1
    assert shop.work(0.4, 0) == [99]


def test_held_connections_take_their_share_first() -> None:
    shop = workshop(held_cost_per_s=0.03)
    for client in range(1000):
        shop.enter(client)
    shop.work(10.0, 100)  # 3 of 10 connects per second
    assert sum(shop._done) + 4 * (1000 - len(shop)) == 280
    assert shop.work(10.0, 100_000) == []
