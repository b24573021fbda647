"""Lost, duplicated, reordered and late messages, injected one in n: counted exactly, none more."""

from __future__ import annotations

import pytest

from tests.truth.scenario import TIMES, Scenario, disagreements, run

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_leftovers")]

EVERY = 10_000


def test_injected_faults_are_counted_exactly(tmp_path) -> None:
    script = {f"{name}_every": EVERY for name in ("drop", "duplicate", "reorder", "late")} | {"late_ms": 2500}
    outcome = run(Scenario(script, rate_per_s=500, duration_s=14, deadline_s=2), tmp_path)
    assert [sentence for sentence in disagreements(outcome) if not sentence.startswith(TIMES)] == []
    fanout, injected = outcome.fanout, outcome.fanout["expected"] // EVERY
    assert fanout["expected"] > 200_000
    for name, share in (("lost", 2), ("late", 1), ("duplicated", 1)):
        assert abs(fanout[name] - share * injected) <= share
    assert fanout["reordered"] >= injected - 1
    assert fanout["expected"] == fanout["delivered"] + fanout["lost"]
    assert fanout["by_class"]["throughout"] == {key: fanout[key] for key in ("expected", "delivered", "lost")}
