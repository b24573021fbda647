"""Nodes come for a load that takes CPU and for one that takes memory, and by schedule; then they go again.

That each load breaks its p99 where the factor does not see it takes longer: `python -m tests.e2e.autoscale`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.autoscale import held, killed, scaled
from tests.e2e.reference_stack import ask, running_stack

pytestmark = pytest.mark.e2e

SHORT = ("duration=3s", "publish.deadline=1s")
CPU = ("population.connections=200", "phases.warmup=9s", *SHORT)
MEMORY = ("population.connections=80", "target.node.memory=80MiB", "phases.warmup=3s", *SHORT)
SOON_BACK = ("reconnect.base=500ms", "reconnect.cap=500ms")


def sets(*keys: str) -> list[str]:
    return [word for key in keys for word in ("--set", key)]


def test_nodes_come_for_cpu_and_for_memory_and_fan_out_stays_quick(loadtest_run) -> None:
    """Side by side, for time's sake: the one is held to a twentieth of a core, the other needs next to none."""
    for_cpu = loadtest_run("autoscale-cpu", *sets(*CPU))
    for_memory = loadtest_run("autoscale-memory", *sets(*MEMORY, *SOON_BACK))
    for run, clients in ((for_cpu, 200), (for_memory, 80)):
        run.wait(60)
        assert scaled(run.folder) >= 1, run.said
        assert run.result["connections"]["at_end"] == clients
        lines = held(run.folder)
        assert lines
        assert all(line["fanout"]["delivered"] > 0 for line in lines)
        assert min(line["fanout"]["p99_ms"] for line in lines) < 250
    assert killed(for_memory.folder) == 0


def test_schedule_brings_nodes_and_low_load_takes_them_away(tmp_path: Path) -> None:
    by_schedule = ("--autoscale", "3", "--scale-on", "none", "--scale-at", "1s=3", "--scale-at", "3s=1")
    with running_stack(tmp_path, "bifrost-4", 1, *by_schedule, "--scale-calm", "0.2") as stack:

        def nodes() -> list[str]:
            return [part["url"] for part in stack.status()["parts"] if part["kind"] == "gateway"]

        def fleet() -> list[str]:
            return [
                node["url"] for node in ask(stack.ready["bootstrap_url"].replace("v1/bootstrap", "healthz"))[1]["nodes"]
            ]

        stack.wait_for(lambda _: len(fleet()) == 3)
        assert sorted(fleet()) == sorted(nodes())
        newest = nodes()[-1]
        stack.wait_for(lambda status: len(status["scaled"]) == 2)
        assert newest not in nodes()
        assert fleet() == nodes()
        assert [(change["from"], change["to"]) for change in stack.status()["scaled"]] == [(1, 3), (3, 2)]


def test_sync_cannot_be_scaled_and_says_so(tmp_path: Path) -> None:
    from tests.e2e.reference_stack import start_up

    process = start_up(tmp_path, "--version", "sync", "--autoscale", "3")
    assert process.wait(20) == 2
    assert "tell no load" in (tmp_path / "up.log").read_text()
