"""From `sync` to `bifrost-1` and back while clients are connected: the shipped profile, small and quick."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

CLIENTS = 200
STEPS = {"half": "500ms", "all": "3s", "back": "5500ms"}


def logged(run: Any) -> list[str]:
    lines = [json.loads(line) for line in (run.folder / "intervals.jsonl").read_text().splitlines()]
    return [text for line in lines for text in line.get("log", [])]


def test_clients_move_between_versions_and_those_who_stay_lose_nothing(loadtest_run) -> None:
    more = [f"population.connections={CLIENTS}", "ramp.rate=200/s", "duration=9s", "publish.deadline=1s"]
    more += ["phases.warmup=500ms", "recovery.window=1s", "population.channels.0.count=10"]
    for number, at in enumerate(STEPS.values()):
        more += [f"faults.{number}.over=1s", f"faults.{number}.after_steady={at}"]
    run = loadtest_run("rollout", *(word for key in more for word in ("--set", key)))
    assert run.wait(60) == 0, run.said
    shares = re.findall(r"(\w+): (\d+) of (\d+) clients on bifrost-1, (\d+) to (\d+) expected", "\n".join(logged(run)))
    assert [name for name, *_ in shares] == list(STEPS)
    for (_, *texts), (least, most) in zip(shares, ((0.3, 0.7), (1, 1), (0, 0)), strict=True):
        count, connected, low, high = map(int, texts)
        assert low <= count <= high
        assert least <= count / connected <= most
    drops = sum(run.result["connections"]["drops"].values())
    assert drops == 2 * CLIENTS  # each moved once each way, nobody twice
    assert run.result["fanout"]["by_class"]["throughout"]["lost"] == 0
    assert run.result["connections"]["at_end"] == CLIENTS
