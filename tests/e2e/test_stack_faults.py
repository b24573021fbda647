"""Faults of a running stack by its control server, and that nothing of them outlives anybody."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from reference_gateway.stack.faults.process import is_stopped

from .reference_stack import ask, edit, roles, running_stack, start_up, wait_ready

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with running_stack(tmp_path_factory.mktemp("stack"), "bifrost-6", 2, "--broker-links") as running:
        yield running


def strike(stack, name, **order):
    return stack.control("PUT", f"/v1/faults/{name}", order)


def heal(stack, name):
    return stack.control("DELETE", f"/v1/faults/{name}")


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ready_file_says_which_part_can_have_what(stack) -> None:
    faults = {part["name"]: part.get("faults") for part in stack.ready["parts"]}
    assert faults["gateway-1"] == ["kill", "down", "freeze", "slow", "partition"]
    assert set(faults["broker"]) == {"kill", "down", "freeze", "slow", "partition", "failover", "replica-lag"}
    assert faults["storage"] == ["database-slow", "database-down"]
    assert stack.ready["control"]["deploys"] == {
        "gateway": ["all-at-once", "rolling", "blue-green"],
        "api": ["all-at-once", "rolling"],
    }


def test_orders_need_the_token_and_a_part_that_is_there(stack) -> None:
    order = {"kind": "freeze", "part": "gateway-1"}
    assert stack.control("PUT", "/v1/faults/x", order, token="wrong")[0] == 401
    assert stack.control("DELETE", "/v1/faults/x", token="wrong")[0] == 401
    assert strike(stack, "x", kind="freeze", part="monolith")[0] == 400
    assert strike(stack, "x", kind="melt", part="api")[0] == 400
    assert heal(stack, "x") == (200, {"undone": False})


def test_database_is_slow_or_down_for_those_who_use_it_and_well_afterwards(stack) -> None:
    assert edit(stack.ready) == 200
    assert strike(stack, "mud", kind="database-slow", part="storage", delay_s=0.1)[0] == 201
    begun_s = time.monotonic()
    assert edit(stack.ready) == 200
    assert time.monotonic() - begun_s > 0.25  # begin, bump, insert
    assert strike(stack, "gone", kind="database-down", part="storage")[0] == 409
    heal(stack, "mud")
    assert strike(stack, "gone", kind="database-down", part="storage")[0] == 201
    assert edit(stack.ready) == 503
    assert heal(stack, "gone") == (200, {"undone": True})
    assert edit(stack.ready) == 200


def test_partition_of_the_replica_and_its_end(stack) -> None:
    until(lambda: roles(stack.ready)["broker-replica"] == (False, True))
    assert strike(stack, "cut", kind="partition", part="broker-replica")[1] == {"parts": ["broker-replica"]}
    until(lambda: roles(stack.ready)["broker-replica"] == (False, False))
    heal(stack, "cut")
    until(lambda: roles(stack.ready)["broker-replica"] == (False, True))


def test_failover_exchanges_the_roles_and_writing_goes_on(stack) -> None:
    until(lambda: roles(stack.ready) == {"broker": (True, False), "broker-replica": (False, True)})
    assert strike(stack, "swap", kind="failover", part="broker")[0] == 201
    until(lambda: roles(stack.ready) == {"broker": (False, True), "broker-replica": (True, False)})
    assert edit(stack.ready) == 200
    assert strike(stack, "back", kind="failover", part="broker")[0] == 201
    until(lambda: roles(stack.ready)["broker"][0])


def test_killed_up_leaves_nobody_frozen_and_the_next_one_no_trouble(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    arguments = ["--version", "bifrost-1", "--ready-file", str(ready_file), "--data-dir", str(tmp_path / "data")]
    process = start_up(tmp_path, *arguments)
    try:
        running = RunningParts(process, wait_ready(process, ready_file))
        for name, order in {
            "ice": {"kind": "freeze", "part": "gateway-1"},
            "mud": {"kind": "slow", "part": "api"},
            "dry": {"kind": "database-down", "part": "storage"},
        }.items():
            assert strike(running, name, **order)[0] == 201
        assert is_stopped(running.pids["gateway-1"])
        trouble = tmp_path / "data" / "database-trouble.json"
        assert trouble.exists()
    finally:
        process.kill()
        process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in running.pids.values()))
    ready_file.unlink()
    with running_stack(tmp_path, "bifrost-1") as again:
        assert not trouble.exists()
        for name, order in {
            "ice": {"kind": "freeze", "part": "broker"},
            "gone": {"kind": "down", "part": "gateway-1"},
        }.items():
            assert strike(again, name, **order)[0] == 201  # and it ends in time all the same


class RunningParts:
    """As much of a running stack as orders need."""

    def __init__(self, process, ready) -> None:
        self.ready = ready
        self.pids = {part["name"]: part["pid"] for part in ready["parts"] if part["pid"]}

    def control(self, method, path, body=None):
        return ask(self.ready["control"]["url"] + path, method, body, self.ready["control"]["token"])
