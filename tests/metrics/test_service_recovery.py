from __future__ import annotations

import pytest

from loadtest.clock import NS_PER_MS
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.service_recovery import ServiceRecovery, t_rec_s
from loadtest.metrics.tally import Tally


def latencies(p99_ms: float, n: int = 1_000) -> Tally:
    histogram = Histogram()
    histogram.record(round(p99_ms * NS_PER_MS), n)
    return Tally.of([histogram])


def fed(p99s_ms: list[float | None], window_s: float = 3, tolerance: float = 0.10) -> ServiceRecovery:
    """Feed one second per figure, from second 0 on; None is a second without eligible subscribers."""
    service = ServiceRecovery(window_s, tolerance)
    for second, p99_ms in enumerate(p99s_ms):
        if p99_ms is None:
            service.add(second, Tally(), 0, 0)
        else:
            service.add(second, latencies(p99_ms), 1_000, 1_000)
    return service


BASE: list[float | None] = [5.0] * 8 + [6.0] * 2  # seconds 0..9, the highest window has 6 ms: the bar is 6.6 ms


@pytest.mark.parametrize(
    ("after", "t0_s", "expected"),
    [
        ([90, None, 8, 6, 5, 6], 10.3, 2.7),  # the picture in the module
        ([90, None, 8, 6, 5, 6], 10.0, 3.0),
        ([90, None, 8, 6, 5], 10.3, None),  # the run ends before t + H
        ([6, 6, 6], 10.3, 0.0),  # nothing happened
        ([6.59, 6.6, 5], 10.0, 0.0),
        ([6.7, 6, 6], 10.0, None),
        ([90, 6, 6, 90, 6, 6, 6], 10.0, 4.0),  # a relapse inside H
        ([90, 6, 6, 6, 90, 90], 10.0, 1.0),  # a relapse after H is the next event's
        ([None, None, None, None], 10.0, None),  # nobody was served: not evidence
    ],
)
def test_t_svc_is_the_start_of_the_first_good_stretch(
    after: list[float | None], t0_s: float, expected: float | None
) -> None:
    found = fed([*BASE, *after]).t_svc_s(t0_s, baseline_from_s=0)
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_loss_of_more_than_one_in_ten_thousand_is_no_service() -> None:
    for delivered, expected in ((9_999, 0.0), (9_998, 1.0)):
        service = fed(BASE)
        service.add(10, latencies(5), 10_000, delivered)
        for second in (11, 12, 13):
            service.add(second, latencies(5), 10_000, 10_000)
        assert service.t_svc_s(10, 0) == expected


def test_seconds_that_nobody_fed_are_bad() -> None:
    service = fed(BASE)
    for second in (12, 13, 14):
        service.add(second, latencies(5), 1_000, 1_000)
    assert service.t_svc_s(10, 0) == 2.0


def test_seconds_without_due_publishes_are_neutral_but_no_evidence() -> None:
    service = fed(BASE)
    for second in range(10, 14):
        service.add(second, Tally(), 0, 0, due=False)
    assert service.t_svc_s(10, 0) is None
    service.add(14, latencies(5), 1_000, 1_000)
    assert service.t_svc_s(10, 0) == 2.0


def test_without_a_baseline_there_is_no_answer() -> None:
    assert fed([5.0] * 20).t_svc_s(10, baseline_from_s=10) is None
    assert ServiceRecovery(3).t_svc_s(10, 0) is None
    assert fed([None] * 10 + [5.0] * 10).t_svc_s(10, 0) is None


def test_baseline_lies_inside_the_hold_phase_and_ends_where_it_is_told() -> None:
    service = fed([50.0, 50.0, 5.0, 5.0, 7.0, 90.0, 5.0])
    assert service.baseline_p99_ns(2, 4) == 5 * NS_PER_MS
    assert service.baseline_p99_ns(2, 5) == 7 * NS_PER_MS
    assert service.baseline_p99_ns(1.5, 4.9) == 5 * NS_PER_MS
    assert service.baseline_p99_ns(2, 2.5) is None


def test_a_long_baseline_is_not_ruled_by_its_worst_second() -> None:
    service = fed([5.0] * 198 + [80.0, 80.0])
    assert service.baseline_p99_ns(0, 200) == 5 * NS_PER_MS
    assert fed([5.0] * 97 + [80.0, 80.0]).baseline_p99_ns(0, 99) == 80 * NS_PER_MS


def test_windows_are_a_tenth_of_h_and_merge_their_seconds() -> None:
    # H = 20 s: windows of 2 s; one slow second of 1,000 deliveries spoils both windows that it is a part of.
    service = fed([5.0] * 10 + [90.0] + [5.0] * 22, window_s=20)
    assert (service.hold_s, service.window_s) == (20, 2)
    assert service.t_svc_s(10, 0) == 1.0
    # 10 slow deliveries among 2,000 are not in the p99 of a two-second window.
    service = fed([5.0] * 10, window_s=20)
    noisy = latencies(5, 990)
    noisy.add(latencies(90, 10))
    service.add(10, noisy, 1_000, 1_000)
    for second in range(11, 31):
        service.add(second, latencies(5), 1_000, 1_000)
    assert service.t_svc_s(10, 0) == 0.0


def test_an_unchanged_service_is_never_called_broken() -> None:
    noise = [5.0, 9.0, 6.0, 7.0, 5.5, 8.0]
    assert fed([*(noise * 5)]).t_svc_s(12, 0) == 0.0


def test_seconds_must_ascend() -> None:
    service = fed([5.0, 5.0])
    with pytest.raises(ValueError, match="ascend: 1 after 1"):
        service.add(1, Tally(), 0, 0)
    with pytest.raises(ValueError, match="a gap of more than 3600 s"):
        service.add(10_000_000, Tally(), 0, 0)


@pytest.mark.parametrize(
    ("t_sub", "t_svc", "expected"), [(3.0, 5.0, 5.0), (6.0, 5.0, 6.0), (None, 5.0, None), (3.0, None, None)]
)
def test_t_rec_is_the_later_of_the_two(t_sub: float | None, t_svc: float | None, expected: float | None) -> None:
    assert t_rec_s(t_sub, t_svc) == expected
