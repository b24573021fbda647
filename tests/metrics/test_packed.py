from __future__ import annotations

import subprocess
import sys
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.metrics.histogram import Histogram
from loadtest.metrics.packed import EMPTY, Packed
from loadtest.metrics.tally import Tally

signed = st.lists(st.integers(min_value=-5_000, max_value=4_000_000_000_000), max_size=60)


def histogram_of(recorded: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record_many(recorded)
    return histogram


def packed_of(recorded: list[int]) -> Packed:
    return Packed.read(histogram_of(recorded).to_wire())


def figures(found: Packed | Tally | Histogram) -> list[Any]:
    percentiles = [found.percentile_ns(percentile) for percentile in (0, 0.1, 50, 90, 99.9, 100)]
    return [found.latency_ms(), percentiles, found.negative]


@given(signed)
def test_however_it_is_stored_it_has_the_same_figures(recorded: list[int]) -> None:
    histogram = histogram_of(recorded)
    packed = packed_of(recorded)
    assert figures(packed) == figures(histogram) == figures(Packed.of(histogram)) == figures(Tally.of([packed]))
    assert dict(Tally.of([packed]).buckets()) == histogram.counts


@given(signed, signed, signed)
def test_a_tally_of_parts_is_that_of_the_whole_in_any_order(one: list[int], two: list[int], three: list[int]) -> None:
    parts = [packed_of(one), packed_of(two), packed_of(three)]
    whole = Tally.of([histogram_of(one + two + three)])
    assert Tally.of(parts) == Tally.of(reversed(parts)) == whole
    assert Tally.of([Tally.of(parts[:2]), parts[2]]) == whole
    assert figures(parts[0].plus(parts[1]).plus(parts[2])) == figures(whole)


def test_adding_changes_nothing_that_was_added() -> None:
    part, other = packed_of([1, 2, 3]), Tally.of([packed_of([7, 9_000])])
    before = figures(part), figures(other)
    total = Tally.of([part, other, part, other])
    assert (figures(part), figures(other)) == before
    assert (total.count, total.min_ns, total.max_ns) == (10, 1, 9_000)


def test_tallies_of_other_counts_buckets_or_extremes_differ() -> None:
    tally = Tally.of([packed_of([5_001])])
    for values in ([5_001, 5_001], [6_001], [5_000], []):
        assert tally != Tally.of([packed_of(values)])
    assert tally != [5_001]


def test_nothing_has_no_figures_and_adds_nothing() -> None:
    assert Packed.read(Histogram().to_wire()) is EMPTY
    assert EMPTY.plus(EMPTY) is EMPTY
    assert Tally() == Tally.of([EMPTY, EMPTY])
    assert Tally().percentile_ns(50) is EMPTY.percentile_ns(50) is None
    with pytest.raises(ValueError, match="empty"):
        EMPTY.percentiles_ns((50,))


def wire(indices: list[int], counts: list[int], **more: object) -> dict[str, Any]:
    made = {"i": array("H", indices).tobytes(), "n": bytes(counts), "min": 3, "max": 8, "neg": 0}
    return made | more


GOOD = wire([3, 8], [2, 1])


@pytest.mark.parametrize(
    ("wire", "complaint"),
    [
        (None, "an object, not NoneType"),
        ([1], "an object, not list"),
        ({}, "'i' must be bytes, not NoneType"),
        (GOOD | {"i": [3, 8]}, "'i' must be bytes, not list"),
        (GOOD | {"i": b"123"}, "'i' must hold two bytes"),
        (GOOD | {"i": b""}, "counts of no buckets"),
        (GOOD | {"n": "ab"}, "'n' must be bytes, not str"),
        (GOOD | {"n": b""}, "1, 2 or 4 bytes for each of 2 buckets"),
        (GOOD | {"n": b"123"}, "1, 2 or 4 bytes for each of 2 buckets"),
        (GOOD | {"n": b"123456"}, "1, 2 or 4 bytes for each of 2 buckets"),
        (GOOD | {"n": bytes(16)}, "1, 2 or 4 bytes for each of 2 buckets"),
        (wire([8, 3], [1, 1]), "must ascend"),
        (wire([3, 3, 8], [1, 1, 1]), "must ascend"),
        (wire([3] * 60_000, [1] * 60_000), "must ascend"),
        (wire([3, 8], [2, 0]), "must not be empty"),
        (wire([3, 55_296], [2, 1]), "bucket index must be in 0..55295, not 55296"),
        (GOOD | {"min": None}, "min must be an integer, not NoneType"),
        (GOOD | {"min": 3.0}, "min must be an integer, not float"),
        (GOOD | {"min": 4}, "first and last bucket"),
        (GOOD | {"max": 9}, "first and last bucket"),
        (GOOD | {"max": 1 << 63}, "max must be in"),
        (GOOD | {"neg": -1}, "neg must be in"),
        ({"i": b"", "n": b"", "neg": 1 << 60}, "neg must be in"),
    ],
)
def test_wire_that_is_no_histogram_is_refused_by_name(wire: object, complaint: str) -> None:
    assert Packed.read(GOOD).count == 3
    with pytest.raises(ValueError, match=complaint):
        Packed.read(wire)


def test_a_worker_never_loads_the_arrays() -> None:
    code = "import sys, loadtest.users.worker, loadtest.users.profile_users; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
