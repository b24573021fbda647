from __future__ import annotations

import random
import warnings
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.metrics.histogram import Histogram
from loadtest.metrics.tally import Tally
from loadtest.results.histogram_log import from_hdr, header, interval_line, read_totals, to_hdr

from .conftest import STARTED, latency_of


def tally_of(values_ns: list[int]) -> Tally:
    histogram = Histogram()
    histogram.record_many(values_ns)
    return Tally.of([histogram])


def test_log_is_read_back_by_hdrhs_own_reader(tmp_path: Path) -> None:
    rng = random.Random(5)
    first = tally_of([rng.randrange(2_000_000, 90_000_000) for _ in range(1_000)])
    second = tally_of([rng.randrange(100_000_000, 200_000_000) for _ in range(500)])
    path = tmp_path / "histograms.hlog"
    path.write_bytes(
        header(STARTED) + interval_line("fanout.latency", 0, 10, first) + interval_line("connect", 10, 5, second)
    )
    reader = HistogramLogReader(str(path), HdrHistogram(1_000, 3_600_000_000_000, 3))
    found = [reader.get_next_interval_histogram() for _ in range(3)]
    reader.close()
    assert found[2] is None
    assert [hdr.get_tag() for hdr in found[:2]] == ["fanout.latency", "connect"]
    assert [hdr.get_total_count() for hdr in found[:2]] == [1_000, 500]
    for hdr, ours in zip(found[:2], (first, second), strict=True):
        for percentile in (50.0, 99.0):
            assert hdr.get_value_at_percentile(percentile) == ours.percentile_ns(percentile)
    assert reader.get_start_time_sec() == 1768644672.345
    assert found[1].get_start_time_stamp() == pytest.approx((1768644672.345 + 10) * 1000)
    assert found[1].get_end_time_stamp() == pytest.approx((1768644672.345 + 15) * 1000)


def test_line_has_tag_times_in_seconds_and_max_in_ms() -> None:
    line = interval_line("fanout.latency", 12, 10, latency_of(0.25, 31.4567)).decode()
    assert line.startswith("Tag=fanout.latency,12.000,10.000,31.457,HIST")
    assert line.count("\n") == 1


@pytest.mark.parametrize("tag", ["", "a b", "a,b", "a\nb", "x" * 129])
def test_a_tag_that_would_break_the_line_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="a tag has 1 to 128"):
        interval_line(tag, 0, 1, latency_of(1))


def test_totals_sum_intervals_by_tag_and_count_broken_lines(tmp_path: Path) -> None:
    path = tmp_path / "histograms.hlog"
    whole = interval_line("a", 2, 1, latency_of(40))
    path.write_bytes(
        header(STARTED)
        + interval_line("a", 0, 1, latency_of(10, 20))
        + interval_line("b", 1, 1, latency_of(5))
        + b"nonsense\n\xff\xfe\nTag=a,1.0,1.0,1.0,HISTFAAAAAAA\nTag=a,1.0,1.0,1.0,HIST!!!\n"
        + whole
        + whole[:-20]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        totals, bad = read_totals(path)
    assert bad == 5
    assert {tag: histogram.count for tag, histogram in totals.items()} == {"a": 3, "b": 1}
    assert totals["a"].percentile_ns(50) == pytest.approx(20e6, rel=1e-3)
    assert totals["a"].max_ns == pytest.approx(40e6, rel=1e-3)


def test_hdr_gives_the_same_percentiles_above_a_millisecond() -> None:
    rng = random.Random(3)
    tally = tally_of([rng.randrange(2_000_000, 900_000_000) for _ in range(5_000)])
    hdr = to_hdr(tally)
    assert hdr.get_total_count() == 5_000
    for percentile in (50.0, 90.0, 99.0):
        assert hdr.get_value_at_percentile(percentile) == tally.percentile_ns(percentile)


def test_hdr_holds_longer_than_an_hour_as_an_hour() -> None:
    hdr = to_hdr(tally_of([5 * 3_600 * 10**9, 9 * 3_600 * 10**9]))
    assert hdr.get_max_value() == pytest.approx(3_600 * 10**9, rel=1e-3)
    assert hdr.get_total_count() == 2


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3_600 * 10**9), max_size=40))
def test_hdr_counts_as_if_it_had_recorded_every_value_itself(values_ns: list[int]) -> None:
    hdr, theirs = to_hdr(tally_of(values_ns)), HdrHistogram(1_000, 3_600 * 10**9, 3)
    for value_ns in values_ns:
        theirs.record_value(value_ns)
    assert list(hdr.counts) == list(theirs.counts)
    assert hdr.get_total_count() == theirs.get_total_count()
    back = Tally.of([from_hdr(HdrHistogram.decode(hdr.encode()))])
    assert back.count == len(values_ns)
    for rank, value_ns in enumerate(sorted(values_ns), 1):
        assert 0 <= back.at_ranks_ns([rank])[0] - value_ns <= max(512, value_ns / 1024)


def test_an_hdr_of_other_settings_is_a_line_that_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="not of this log"):
        from_hdr(HdrHistogram(1, 3_600, 2))
