from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest import units
from loadtest.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("20s", 20.0),
        ("1m30s", 90.0),
        ("2h", 7200.0),
        ("1.5s", 1.5),
        ("30min", 1800.0),
        ("5us", 5e-06),
        ("1h 30m", 5400.0),
        (" 3s ", 3.0),
        (0, 0.0),
        (0.0, 0.0),
        ("0", 0.0),
        ("0s", 0.0),
        ("1d", 86400.0),
    ],
)
def test_durations_become_seconds(text: object, seconds: float) -> None:
    assert units.parse_duration(text) == pytest.approx(seconds, rel=1e-15)


@pytest.mark.parametrize(
    "wrong", ["20 parsecs", "20", 20, 1.5, "", "s", "-1s", "1s2", "1e3s", "٣s", None, True, False, [], "9" * 16 + "s"]
)
def test_durations_without_a_known_unit_are_refused_with_examples(wrong: object) -> None:
    with pytest.raises(UsageError) as caught:
        units.parse_duration(wrong)
    assert "250ms" in str(caught.value)
    assert str(wrong) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "per_s"),
    [
        ("100/s", 100.0),
        ("2k/s", 2000.0),
        ("30/min", 0.5),
        ("1M/s", 1e6),
        ("7200/h", 2.0),
        ("1.5k / s", 1500.0),
        (0, 0.0),
    ],
)
def test_rates_become_events_per_second(text: object, per_s: float) -> None:
    assert units.parse_rate(text) == per_s


@pytest.mark.parametrize("wrong", ["100", 100, "100/parsec", "fast", "-1/s", "/s", True, None])
def test_rates_without_a_period_are_refused_with_examples(wrong: object) -> None:
    with pytest.raises(UsageError, match="2k/s"):
        units.parse_rate(wrong)


@pytest.mark.parametrize(
    ("text", "size"),
    [("64B", 64), ("64KiB", 65536), ("2MB", 2_000_000), ("1.5kB", 1500), ("1GiB", 2**30), (0, 0), ("3 MiB", 3 * 2**20)],
)
def test_sizes_become_bytes(text: object, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("wrong", ["64", 64, "64 bytes", "0.3B", "64kib", "-1B", "1TB", None, True])
def test_sizes_without_a_known_unit_are_refused_with_examples(wrong: object) -> None:
    with pytest.raises(UsageError, match="64KiB"):
        units.parse_size(wrong)


@pytest.mark.parametrize(
    ("text", "fraction"), [("99.9%", 0.999), ("100%", 1.0), ("0%", 0.0), (0, 0.0), ("12.5 %", 0.125)]
)
def test_shares_become_fractions(text: object, fraction: float) -> None:
    assert units.parse_share(text) == fraction


@pytest.mark.parametrize("wrong", ["101%", "0.5", 0.5, 1, "-1%", "%", None, True])
def test_shares_beyond_the_whole_or_without_percent_are_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match=r"99\.9%"):
        units.parse_share(wrong)


def test_percentages_may_exceed_the_whole() -> None:
    assert units.parse_percent("250%") == 2.5
    with pytest.raises(UsageError, match="percentage"):
        units.parse_percent(2.5)


@pytest.mark.parametrize(("text", "count"), [(5000, 5000), ("5k", 5000), ("1.5M", 1_500_000), (0, 0), ("12", 12)])
def test_counts_become_whole_numbers(text: object, count: int) -> None:
    assert units.parse_count(text) == count


@pytest.mark.parametrize("wrong", ["1.5", 1.5, -1, "five", "5kk", True, None, "5 k/s"])
def test_counts_that_are_not_whole_are_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match="5k"):
        units.parse_count(wrong)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (0.0005, "500us"),
        (90, "1m30s"),
        (7200, "2h"),
        (59.9996, "59.9996s"),
        (3661, "1h1m1s"),
    ],
)
def test_durations_are_written_short(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text


@pytest.mark.parametrize(
    ("per_s", "text"), [(100, "100/s"), (2000, "2k/s"), (0.5, "30/min"), (1e6, "1M/s"), (0, "0"), (1234.5, "1.2345k/s")]
)
def test_rates_are_written_in_a_form_that_reads_back(per_s: float, text: str) -> None:
    assert units.parse_rate(units.format_rate(per_s)) == per_s
    if text != "1.2345k/s":
        assert units.format_rate(per_s) == text


@pytest.mark.parametrize("impossible", [-1.0, math.inf, math.nan])
def test_durations_that_cannot_be_written_are_refused(impossible: float) -> None:
    with pytest.raises(UsageError):
        units.format_duration(impossible)


@settings(derandomize=True, deadline=None)
@given(st.floats(min_value=0, max_value=1e6).map(lambda value: round(value, 6)))
def test_durations_survive_writing_and_reading(seconds: float) -> None:
    assert units.parse_duration(units.format_duration(seconds)) == pytest.approx(seconds, abs=1e-9)


@settings(derandomize=True, deadline=None)
@given(st.integers(min_value=0, max_value=10**6))
def test_rates_survive_writing_and_reading(thousandths: int) -> None:
    per_s = thousandths / 1000
    assert units.parse_rate(units.format_rate(per_s)) == pytest.approx(per_s, abs=1e-8)


@settings(derandomize=True, deadline=None)
@given(st.integers(min_value=0, max_value=10**10))
def test_sizes_survive_writing_and_reading(size: int) -> None:
    assert units.parse_size(units.format_size(size)) == size


@settings(derandomize=True, deadline=None)
@given(st.integers(min_value=0, max_value=100_000))
def test_shares_survive_writing_and_reading(thousandths: int) -> None:
    fraction = thousandths / 100_000
    assert units.parse_share(units.format_share(fraction)) == pytest.approx(fraction, abs=1e-12)


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_parsed_or_refused_and_never_breaks(text: str) -> None:
    for parse in (units.parse_duration, units.parse_rate, units.parse_size, units.parse_share, units.parse_count):
        try:
            value = parse(text)
        except UsageError:
            continue
        assert value >= 0
