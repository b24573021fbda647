"""How full a node is and how many there should be: tables, a clock in the hand, no process."""

from __future__ import annotations

import asyncio
import math
import mmap
import time
from pathlib import Path

import pytest

from reference_gateway.errors import SettingError
from reference_gateway.scaling.decision import Decider, Moment, ScalePlan, parse_moment
from reference_gateway.scaling.factor import Steadied, load_factor, parse_metric
from reference_gateway.scaling.usage import Budget, Resident, Usage, hold_to_quota, reclaim_s


@pytest.mark.parametrize(
    ("cpu", "memory", "load"),
    [
        (0.0, 0.0, 0.0),
        (0.5, 0.0, 0.25),
        (0.0, 0.5, 0.0625),
        (0.5, 0.5, 0.296875),
        (1.0, 0.0, 1.0),
        (0.0, 1.0, 1.0),
        (7.0, -3.0, 1.0),
        (-1.0, 0.5, 0.0625),
        (math.nan, 0.0, 1.0),
        (0.0, math.inf, 1.0),
    ],
)
def test_load_of_both_is_the_formula_and_bounded(cpu: float, memory: float, load: float) -> None:
    assert load_factor(cpu, memory) == pytest.approx(load)


def test_load_by_one_metric_does_not_see_the_other() -> None:
    assert load_factor(0.2, 1.0, "cpu") == pytest.approx(0.04)
    assert load_factor(1.0, 0.5, "memory") == pytest.approx(0.0625)
    with pytest.raises(SettingError, match="disk"):
        parse_metric("disk")


def test_told_load_rises_at_once_falls_slowly_and_does_not_flicker() -> None:
    steadied = Steadied()
    assert steadied.take(0.0, 0.8) == 0.8
    assert 0.55 < steadied.take(1.0, 0.0) < 0.8
    assert steadied.take(20.0, 0.0) < 0.02
    before = steadied.take(21.0, 0.5)
    assert steadied.take(21.5, 0.51) == before
    assert steadied.take(22.0, 1.0) == 1.0


def test_usage_is_parts_of_the_budget_since_the_last_look() -> None:
    figures = {"cpu": 3.0, "bytes": 1000, "at": 10.0}
    usage = Usage(Budget(0.5, 400), lambda: int(figures["bytes"]), lambda: figures["cpu"], lambda: figures["at"])
    figures |= {"cpu": 3.5, "bytes": 1100, "at": 12.0}
    assert usage.look() == (0.5, 0.25)
    figures |= {"bytes": 900, "at": 13.0}
    assert usage.look() == (0.0, 0.0)


def test_resident_memory_is_what_the_kernel_tells_each_time() -> None:
    resident = Resident()
    before_bytes = resident()
    assert before_bytes == pytest.approx(int(Path("/proc/self/statm").read_text().split()[1]) << 12, rel=0.05)
    block = mmap.mmap(-1, 32 << 20)
    block.write(bytes(32 << 20))
    assert resident() >= before_bytes + (30 << 20)
    block.close()
    resident.close()


@pytest.mark.parametrize(("memory", "rest_s"), [(0.0, 0.0), (0.9, 0.0), (0.95, 1.0), (1.0, 2.0), (1.5, 2.0)])
def test_who_is_near_the_end_of_its_memory_rests(memory: float, rest_s: float) -> None:
    assert reclaim_s(memory) == pytest.approx(rest_s)


def test_quota_holds_a_busy_loop_to_its_share() -> None:
    async def scenario() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        hold_to_quota(loop, 0.25)
        start_s, used_s = time.monotonic(), time.process_time()
        while time.monotonic() - start_s < 0.6:
            await asyncio.sleep(0)
        return time.process_time() - used_s, time.monotonic() - start_s

    used_s, elapsed_s = asyncio.run(scenario())
    assert 0.1 < used_s / elapsed_s < 0.35


@pytest.mark.parametrize(
    ("text", "moment"), [("30s=4", (30.0, 4, False)), ("0s=1", (0.0, 1, False)), ("18:30=8", (66_600.0, 8, True))]
)
def test_moment_is_read(text: str, moment: tuple) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize("text", ["", "30=4", "30s", "24:00=1", "-1s=2", "1s=1000", "1s=x"])
def test_moment_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="--scale-at"):
        parse_moment(text)


@pytest.mark.parametrize(("since", "floor"), [(0, 1), (9.9, 1), (10, 4), (25, 2), (99, 2)])
def test_schedule_since_the_start(since: float, floor: int) -> None:
    plan = ScalePlan(1, 8, (Moment(10, 4, False), Moment(20, 2, False)))
    assert plan.floor(since, 0) == floor


@pytest.mark.parametrize(("second", "floor"), [(0, 2), (7 * 3600, 6), (17 * 3600, 6), (22 * 3600, 2)])
def test_schedule_of_the_day_goes_round_midnight(second: float, floor: int) -> None:
    plan = ScalePlan(1, 8, (Moment(6 * 3600, 6, True), Moment(20 * 3600, 2, True)))
    assert plan.floor(0, second) == floor


def test_schedule_never_wants_more_than_the_most() -> None:
    assert ScalePlan(1, 3, (Moment(0, 9, False),)).floor(1, 0) == 3


def decide(plan: ScalePlan, *looks: tuple[float, list[float | None]]) -> list[int]:
    decider = Decider(plan)
    return [decider.wanted(at_s, 0.0, loads) for at_s, loads in looks]


def test_high_load_adds_one_and_a_full_one_doubles() -> None:
    plan = ScalePlan(1, 8)
    assert decide(plan, (0, [0.49, 0.5])) == [2]
    assert decide(plan, (0, [0.6, 0.5])) == [3]
    assert decide(plan, (0, [0.9, 0.95, 1.0])) == [6]
    assert decide(ScalePlan(1, 4), (0, [0.9, 0.95, 1.0])) == [4]


def test_silent_node_is_no_reason_for_more_nodes_nor_for_fewer() -> None:
    assert decide(ScalePlan(1, 8), (0, [None, 0.9])) == [2]
    assert decide(ScalePlan(1, 8, calm_s=1.0), (0, [None, 0.1]), (9, [None, 0.1])) == [2, 2]


def test_nothing_is_decided_right_after_a_change() -> None:
    looks = [(0, [0.6]), (1, [0.6, 0.6]), (2.9, [0.6, 0.6]), (3.1, [0.6, 0.6])]
    assert decide(ScalePlan(1, 8, pause_s=3.0), *looks) == [2, 2, 2, 3]


def test_low_load_takes_one_away_after_a_calm_and_not_before() -> None:
    plan = ScalePlan(1, 8, calm_s=10.0)
    calm = [0.05, 0.05]
    assert decide(plan, (0, calm), (9.9, calm), (10, calm)) == [2, 2, 1]
    assert decide(plan, (0, calm), (5, [0.4, 0.4]), (10, calm), (15, calm)) == [2, 2, 2, 2]
    assert decide(plan, (0, [0.0]), (99, [0.0])) == [1, 1]


@pytest.mark.parametrize("load", [step / 100 for step in range(0, 101, 5)])
def test_load_that_stands_still_never_makes_nodes_come_and_go(load: float) -> None:
    """Out and in must not feed each other: total work constant, spread over whatever nodes there are."""
    decider, nodes, seen = Decider(ScalePlan(1, 16, calm_s=2.0, pause_s=1.0)), 4, []
    for look in range(400):
        nodes = decider.wanted(look * 0.5, 0.0, [min(1.0, load * 4 / nodes)] * nodes)
        seen.append(nodes)
    assert len(set(seen[-100:])) == 1


def test_schedule_counts_without_the_loads() -> None:
    plan = ScalePlan(1, 8, (Moment(5, 3, False),), reactive=False)
    assert decide(plan, (0, [1.0]), (5, [0.0])) == [1, 3]
