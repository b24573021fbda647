from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.metrics.distribution import rank
from loadtest.metrics.histogram import Histogram, bucket, index_of, width
from loadtest.metrics.packed import HIGHEST_NS, LOWEST_NS, Packed
from tests.metrics.wires import through_msgpack

values = st.lists(st.integers(min_value=0, max_value=4_000_000_000_000), max_size=60)

signed = st.lists(st.integers(min_value=-5_000, max_value=4_000_000_000_000), max_size=60)


def histogram_of(recorded: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record_many(recorded)
    return histogram


@pytest.mark.parametrize(
    ("value", "edge", "wide"),
    [
        (0, 0, 1),
        (1, 1, 1),
        (2047, 2047, 1),
        (2048, 2048, 2),
        (2049, 2048, 2),
        (2050, 2050, 2),
        (4095, 4094, 2),
        (4096, 4096, 4),
        (4099, 4096, 4),
        (1_000_000, 999_936, 512),
        (250_000_000, 249_954_304, 131_072),
    ],
)
def test_bucket_keeps_eleven_leading_bits(value: int, edge: int, wide: int) -> None:
    assert bucket(value) == edge
    assert width(edge) == wide
    assert edge <= value < edge + wide


@given(st.integers(min_value=0, max_value=(1 << 63) - 1))
def test_bucket_is_narrower_than_a_thousandth(value: int) -> None:
    edge = bucket(value)
    assert edge <= value < edge + width(edge)
    assert bucket(edge) == edge
    assert width(edge) == 1 or width(edge) * 1024 <= edge


@pytest.mark.parametrize("value", [0, 1, 2047, 2048, 4095, 4096, 1_000_000, 3_600 * 10**9, (1 << 63) - 1])
def test_every_bucket_has_a_number_and_the_arrays_say_the_same(value: int) -> None:
    number = index_of(value)
    assert (LOWEST_NS[number], HIGHEST_NS[number]) == (bucket(value), bucket(value) + width(value) - 1)
    assert number == 0 or HIGHEST_NS[number - 1] == bucket(value) - 1


@pytest.mark.parametrize(
    ("percentile", "count", "expected"),
    [
        (50, 1, 1),
        (50, 2, 1),
        (50, 3, 2),
        (99, 100, 99),
        (99, 101, 100),
        (99.9, 1000, 999),
        (99.9, 1001, 1000),
        (100, 7, 7),
    ],
)
def test_rank_is_nearest_rank_without_float_noise(percentile: float, count: int, expected: int) -> None:
    assert rank(percentile, count) == expected


def test_percentiles_of_one_to_a_hundred_are_exact() -> None:
    histogram = histogram_of(list(range(1, 101)))
    assert [histogram.percentile_ns(p) for p in (0, 1, 50, 90, 99, 99.9, 100)] == [1, 1, 50, 90, 99, 100, 100]


def test_percentile_is_the_highest_value_of_its_bucket_inside_min_and_max() -> None:
    histogram = histogram_of([1_000_100, 1_000_200, 5_000_000])
    # 1,000,100 and 1,000,200 share the bucket 999,936 .. 1,000,447.
    assert histogram.percentile_ns(50) == 1_000_447
    assert histogram.percentile_ns(100) == 5_000_000
    assert histogram_of([1_000_100, 1_000_200]).percentile_ns(50) == 1_000_200


def test_latency_ms_has_the_keys_of_the_schema() -> None:
    histogram = Histogram()
    histogram.record(1_000_000, 3)
    histogram.record(2_000_000)
    assert histogram.latency_ms() == {
        "count": 4, "min": 1.0, "p50": 1.000447, "p90": 2.0, "p99": 2.0, "p99.9": 2.0, "max": 2.0,
    }  # fmt: skip


def test_empty_histogram_has_no_figures() -> None:
    empty = Histogram()
    assert empty.percentile_ns(50) is None
    assert empty.latency_ms() == {
        "count": 0, "min": None, "p50": None, "p90": None, "p99": None, "p99.9": None, "max": None,
    }  # fmt: skip
    with pytest.raises(ValueError, match="empty"):
        empty.percentiles_ns((50,))


def test_negative_values_count_as_zero_and_apart() -> None:
    one, many = Histogram(), Histogram()
    for value in (-5, 3, -1):
        one.record(value)
    many.record_many(iter((-5, 3, -1)))
    assert one == many
    assert (one.negative, one.count, one.min_ns, one.max_ns, one.counts) == (2, 3, 0, 3, {0: 2, 3: 1})
    below = histogram_of([-7, -8])
    assert (below.min_ns, below.max_ns, below.negative) == (0, 0, 2)


@given(values)
def test_record_many_equals_record(recorded: list[int]) -> None:
    one = Histogram()
    for value in recorded:
        one.record(value)
    assert one == histogram_of(recorded)


@given(signed, signed)
def test_merge_of_parts_equals_the_whole_in_any_order(first: list[int], second: list[int]) -> None:
    whole = histogram_of(first + second)
    forth, back = histogram_of(first), histogram_of(second)
    forth.add(histogram_of(second))
    back.add(histogram_of(first))
    assert forth == whole == back
    assert forth.latency_ms() == whole.latency_ms()


@given(values.filter(bool), st.floats(min_value=0, max_value=100))
def test_percentiles_are_within_a_thousandth_above_the_exact_one(recorded: list[int], percentile: float) -> None:
    found = histogram_of(recorded).percentile_ns(percentile)
    exact = sorted(recorded)[rank(percentile, len(recorded)) - 1]
    assert found is not None
    assert exact <= found <= exact * 1.001


def test_percentiles_of_a_long_tail_are_within_a_thousandth() -> None:
    rng = random.Random(7)
    recorded = [int(rng.lognormvariate(16, 1.2)) for _ in range(20_000)]
    histogram, ordered = histogram_of(recorded), sorted(recorded)
    for percentile in (1, 50, 90, 99, 99.9, 99.99):
        exact = ordered[math.ceil(percentile * 200) - 1]
        assert histogram.percentile_ns(percentile) == pytest.approx(exact, rel=1e-3)


def test_wire_is_compact_and_literal() -> None:
    # indices: 3, 2048, 3072
    assert histogram_of([3, 3, 2049, 4097]).to_wire() == {
        "i": b"\x03\x00\x00\x08\x00\x0c", "n": b"\x02\x01\x01", "min": 3, "max": 4097, "neg": 0,
    }  # fmt: skip
    assert Histogram().to_wire() == {"i": b"", "n": b"", "neg": 0}


@pytest.mark.parametrize(("count", "size"), [(255, 1), (256, 2), (65_535, 2), (65_536, 4), ((1 << 32) - 1, 4)])
def test_counts_take_no_more_bytes_than_the_largest_needs(count: int, size: int) -> None:
    histogram = Histogram()
    histogram.record(5, count)
    histogram.record(6)
    wire = histogram.to_wire()
    assert len(wire["n"]) == 2 * size
    assert Histogram.from_wire(wire) == histogram
    assert Packed.read(wire).count == count + 1


def test_a_count_that_no_interval_has_is_refused() -> None:
    histogram = Histogram()
    histogram.record(5, 1 << 32)
    with pytest.raises(OverflowError):
        histogram.to_wire()


@given(values)
def test_wire_round_trip_through_msgpack(recorded: list[int]) -> None:
    histogram = histogram_of(recorded)
    wire = through_msgpack(histogram.to_wire())
    assert Histogram.from_wire(wire) == histogram
    assert Packed.read(wire).latency_ms() == histogram.latency_ms()
