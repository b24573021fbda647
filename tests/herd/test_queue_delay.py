from __future__ import annotations

from collections.abc import Iterator

import pytest

from loadtest.clock import FakeClock
from loadtest.herd.queue_delay import AT_LEAST, AT_MOST, ONE_IN, QueueDelay

AHEAD_NS = 1_700_000_000_000_000_000


class Wall:
    """A wall clock some way ahead of a monotonic one; somebody may set it."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.ahead_ns = AHEAD_NS

    def __call__(self) -> int:
        return self.clock() + self.ahead_ns


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def wall(clock: FakeClock) -> Wall:
    return Wall(clock)


@pytest.fixture
def queue_delay(clock: FakeClock, wall: Wall) -> QueueDelay:
    return QueueDelay(clock, wall)


@pytest.mark.parametrize("slots", [1, 7, 8, 9, 50, 250, 511, 513, 2_000, 5_000, 16_384, 20_000, 100_000])
def test_the_sample_is_one_in_64_eight_at_least_and_256_at_most(queue_delay: QueueDelay, slots: int) -> None:
    queue_delay.grow(slots)
    sampled = [slot for slot in range(slots) if queue_delay.wants(slot)]
    share = min(max(slots / ONE_IN, AT_LEAST), AT_MOST)
    assert min(slots, AT_LEAST) <= len(sampled)
    assert abs(len(sampled) - min(slots, share)) <= 4
    gaps = [later - earlier for earlier, later in zip([-1, *sampled], [*sampled, slots], strict=True)]
    assert max(gaps) <= 3 * slots / len(sampled), "evenly over the slots"


@pytest.mark.parametrize("channels", [2, 10, 32, 50, 64, 100])
def test_the_sample_is_out_of_step_with_channels(queue_delay: QueueDelay, channels: int) -> None:
    queue_delay.grow(20_000)
    seen = {slot % channels for slot in range(20_000) if queue_delay.wants(slot)}
    assert len(seen) > 0.8 * channels


def test_nobody_is_a_sample_too(queue_delay: QueueDelay) -> None:
    queue_delay.grow(0)
    assert queue_delay.take().connections == 0


def test_there_are_never_more_than_the_most(queue_delay: QueueDelay) -> None:
    queue_delay.grow(200)
    queue_delay.watched.update(range(AT_MOST))
    assert not queue_delay.wants(0)


def test_delays_are_from_the_stamp_to_the_read_on_two_clocks(
    queue_delay: QueueDelay, clock: FakeClock, wall: Wall
) -> None:
    queue_delay.watched.update({1, 4})
    for waited_s in (0.001, 0.020, 0.0):
        stamp = wall()
        clock.advance(waited_s)
        queue_delay.enter(stamp)
    clock.advance(0.5)
    taken = queue_delay.take()
    assert taken.delays.count == 3
    assert (taken.delays.min_ns, taken.delays.max_ns) == (0, 20_000_000)
    assert (taken.connections, taken.error_ns, taken.discarded) == (2, 0, 0)
    assert queue_delay.take().delays.count == 0


def test_a_wall_clock_that_was_set_makes_the_interval_unknown_and_only_that(
    queue_delay: QueueDelay, clock: FakeClock, wall: Wall
) -> None:
    for step_ns, known in ((0, 1), (500, 1), (50_000, 0), (0, 1), (-3_600 * 10**9, 0), (0, 1)):
        queue_delay.enter(wall() - 1_000_000)
        wall.ahead_ns += step_ns
        taken = queue_delay.take()
        assert (taken.delays.count, taken.discarded) == (known, 1 - known)
        assert taken.delays.negative == 0
        assert not known or abs(taken.delays.max_ns - 1_000_000) <= 500


def test_the_error_is_half_of_the_narrowest_reading() -> None:
    widths: Iterator[int] = iter([900, 300, 5_000, 301, 800] * 2)
    now = 0

    def clock() -> int:
        return now

    def wall() -> int:
        nonlocal now
        width = next(widths)
        now += width
        return AHEAD_NS + now - width // 2

    queue_delay = QueueDelay(clock, wall)
    assert queue_delay.take().error_ns == 150
