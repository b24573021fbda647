from __future__ import annotations

import random
import warnings
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from loadtest.metrics.histogram import Histogram
from loadtest.results.histogram_log import header, interval_line, read_totals

from .conftest import STARTED, latency_of


def test_log_is_read_back_by_hdrhs_own_reader(tmp_path: Path) -> None:
    rng = random.Random(5)
    first, second = Histogram(), Histogram()
    first.record_many([rng.randrange(2_000_000, 90_000_000) for _ in range(1_000)])
    second.record_many([rng.randrange(100_000_000, 200_000_000) for _ in range(500)])
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
