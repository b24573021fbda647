"""A stream through all weathers: late, slow or not at all, but whole and in order."""

from __future__ import annotations

import random

import pytest

from loadtest.clock import NS_PER_S
from loadtest.relay.conditions import FINE, Weather
from loadtest.relay.lane import MOST_WAITING_BYTES, Lane

S = NS_PER_S


def lane(**weather: float | bool) -> Lane:
    made = Lane("seed")
    made.change(Weather(**weather) if weather else FINE)  # type: ignore[arg-type]
    return made


def test_in_fine_weather_a_lane_is_clear_until_something_waits() -> None:
    fine = lane()
    assert fine.is_clear
    fine.put_back(b"no room")
    assert not fine.is_clear
    assert fine.ready(0) == b"no room"
    assert fine.is_clear


def test_a_delay_holds_each_chunk_and_outlives_the_change_of_weather() -> None:
    late = lane(delay_s=0.1)
    late.push(b"a", 0)
    late.push(b"b", S // 20)
    assert late.next_ns() == S // 10
    assert late.ready(S // 10 - 1) == b""
    assert late.ready(S // 10) == b"a"
    late.change(FINE)
    late.push(b"c", S // 10)
    assert late.ready(S // 10) == b"", "nothing overtakes"
    assert late.ready(3 * S // 20) == b"bc"


def test_jitter_never_reorders_and_is_bounded() -> None:
    uneven = lane(jitter_s=0.05)
    words = [bytes([number]) for number in range(100)]
    for number, word in enumerate(words):
        uneven.push(word, number * S // 1000)
    assert uneven.ready(99 * S // 1000 + 5 * S // 100) == b"".join(words)
    again = lane(jitter_s=0.05)
    again.push(b"x", 0)
    other = lane(jitter_s=0.05)
    other.push(b"x", 0)
    assert again.next_ns() == other.next_ns() != 0


def test_a_bandwidth_lets_so_many_bytes_a_second_through() -> None:
    narrow = lane(bytes_per_s=1000)
    narrow.push(b"x" * 3000, 0)
    now, got = 0, 0
    while got < 2000:
        got += len(narrow.ready(now))
        now = narrow.next_ns() or now
    assert now == pytest.approx(2 * S, rel=0.02)
    narrow.change(FINE)
    assert len(narrow.ready(now)) == 1000


def test_a_stall_lets_nothing_through_and_loses_nothing() -> None:
    still = lane(stalled=True)
    still.push(b"x", 0)
    assert (still.ready(100 * S), still.next_ns(), still.is_full) == (b"", None, True)
    still.change(FINE)
    assert still.ready(0) == b"x"


def test_a_lane_says_when_it_is_full() -> None:
    full = lane(delay_s=1)
    full.push(bytes(MOST_WAITING_BYTES), 0)
    assert full.is_full
    full.ready(S)
    assert not full.is_full


@pytest.mark.parametrize("seed", range(10))
def test_whatever_the_weather_the_stream_comes_through_whole(seed: int) -> None:
    rng = random.Random(seed)
    made, sent, got, now = lane(), b"", b"", 0
    for _ in range(300):
        now += rng.randrange(S // 50)
        if rng.random() < 0.2:
            made.change(
                Weather(rng.choice([0, 0.05]), rng.choice([0, 0.02]), rng.choice([0, 5000]), rng.random() < 0.3)
            )
        if rng.random() < 0.6:
            data = rng.randbytes(rng.randrange(1, 200))
            sent += data
            made.push(data, now)
        data = made.ready(now)
        if data and rng.random() < 0.3:
            keep = rng.randrange(len(data))
            made.put_back(data[keep:])
            data = data[:keep]
        got += data
    made.change(FINE)
    got += made.ready(now + S)
    assert got == sent
    assert made.waiting_bytes == 0
