"""When a part that starts counts as failed: gone and unwell parts soon, busy ones late."""

from __future__ import annotations

import asyncio
import os
import shutil

import pytest

from reference_gateway.errors import PartFailedError
from reference_gateway.health import Health
from reference_gateway.stack.forking import Nursery
from reference_gateway.stack.part import Part, State
from reference_gateway.stack.supervisor import Supervisor

pytestmark = pytest.mark.e2e


def start(tmp_path, answers):
    """Start a part whose probes answer as told, the last one for ever; return its state after start and end."""
    given = iter(answers)
    last = answers[-1]

    async def probe(host, port, timeout_s):
        return next(given, last)

    async def body():
        sleep = shutil.which("sleep")
        part = Part("slow", "gateway", [sleep, "60"], dict(os.environ), "127.0.0.1", 1, "", probe, tmp_path / "log")
        supervisor = Supervisor(0.05, Nursery([], {}, tmp_path / "nursery.log"))
        try:
            await supervisor.start(part)
            return part.state
        finally:
            await supervisor.stop(part, 1.0)
            assert part.pid is None

    return asyncio.run(body())


def test_node_too_busy_to_answer_outlives_the_start_timeout(tmp_path):
    answers = [Health.UNREACHABLE, *[Health.SILENT] * 8, Health.HEALTHY]  # about half a second, ten times the timeout
    assert start(tmp_path, answers) is State.HEALTHY


@pytest.mark.parametrize("health", [Health.UNREACHABLE, Health.UNWELL])
def test_part_that_is_not_there_or_not_well_fails_in_time(tmp_path, health):
    with pytest.raises(PartFailedError, match=r"slow was not healthy within 0\.05 s"):
        start(tmp_path, [health])
