"""What is noted of a run beyond its figures, and whose fault it was."""

from __future__ import annotations

from collections import Counter

import pytest

from loadtest.metrics.books import Books
from loadtest.metrics.service_recovery import ServiceRecovery
from loadtest.users.verdict import Verdict, own_limits
from tests.users.conftest import chat


def books(**failures: int) -> Books:
    made = Books(20, 0, 10**9, ServiceRecovery(10, 0.1))
    made.interval.failures = Counter(failures)
    return made


@pytest.mark.parametrize(
    ("failures", "kind"),
    [({"refused": 9}, "failed"), ({}, "failed"), ({"no_local_port": 6, "refused": 5}, "invalid"),
     ({"no_file_descriptor": 1, "refused": 1}, "failed")],
)  # fmt: skip
def test_a_short_ramp_is_ours_only_if_most_failures_are(failures, kind) -> None:
    verdict = Verdict()
    verdict.short_ramp(books(**failures), 5)
    assert len(getattr(verdict, kind)) == len(verdict.failed) + len(verdict.invalid) == 1
    assert getattr(verdict, kind)[0].startswith("Only 0 of 20 clients were subscribed after 5 s")


def test_nobody_came_names_the_target_and_the_reasons() -> None:
    verdict = Verdict()
    verdict.nobody_came(books(refused=40, timeout_tcp=2), chat(), 3.21)
    assert verdict.unreachable == (
        "ws://127.0.0.1:9/: no client got through in 3.21 s (refused x 40, timeout_tcp x 2)."
    )


def test_nobody_came_is_no_word_on_the_target_when_nobody_left_here() -> None:
    verdict = Verdict()
    verdict.nobody_came(books(no_local_port=40, timeout_tcp=2), chat())
    assert verdict.unreachable is None
    assert verdict.invalid[0].endswith("(no_local_port x 40, timeout_tcp x 2).")


def test_limits_of_our_own_are_told_with_what_helps() -> None:
    assert own_limits({"refused": 3}) == []
    (sentence,) = own_limits({"no_file_descriptor": 1_200, "refused": 3})
    assert sentence == (
        "1,200 attempts to connect failed here, not at the target (no_file_descriptor):"
        " a worker had no open file left: a higher ulimit -n, or more --workers."
    )
