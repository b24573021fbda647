"""A deploy is an order of ends and starts; here the supervisor only writes down what it is asked."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from reference_gateway.errors import DeployError, DeployRunningError, PartFailedError, SettingError
from reference_gateway.stack.deploy import END_GRACE_S, MAX_DRAIN_S, Deployer, DeployOrder


class Supervisor:
    """Writes down each call, with the content of the drain file at that moment."""

    def __init__(self, drain_file, fails=()):
        self.calls = []
        self.drain_file = drain_file
        self.fails = fails
        self.gate = asyncio.Event()
        self.gate.set()

    async def restart_all(self, parts, grace_s):
        self.calls.append(("restart", [part.name for part in parts], grace_s, json.loads(self.drain_file.read_text())))
        await self.gate.wait()
        for part in parts:
            if part.name in self.fails:
                raise PartFailedError(f"{part.name} ended with status 2")

    async def replace_all(self, parts, grace_s):
        self.calls.append(("replace", [part.name for part in parts], grace_s, json.loads(self.drain_file.read_text())))

    async def swap_all(self, parts, grace_s):
        self.calls.append(("swap", [part.name for part in parts], grace_s, json.loads(self.drain_file.read_text())))


def deployer_of(tmp_path, version="bifrost-1", fails=()):
    parts = [SimpleNamespace(name=f"gateway-{number}", version=version) for number in (1, 2)]
    supervisor = Supervisor(tmp_path / "drain", fails)
    tiers = {"gateway": parts, "api": [SimpleNamespace(name="api", version="")] if version != "sync" else []}
    return Deployer(supervisor, tiers, tmp_path / "drain"), supervisor


def test_all_at_once_restarts_all_side_by_side(tmp_path):
    deployer, supervisor = deployer_of(tmp_path)
    answer = asyncio.run(deployer.deploy(DeployOrder("all-at-once", 0.0)))
    both = ["gateway-1", "gateway-2"]
    assert supervisor.calls == [("restart", both, END_GRACE_S, {"seconds": 0})]
    assert answer["replaced"] == both
    assert answer["seconds"] >= 0


def test_rolling_replaces_one_node_before_it_touches_the_next(tmp_path):
    deployer, supervisor = deployer_of(tmp_path)
    asyncio.run(deployer.deploy(DeployOrder("rolling", 2.5)))
    one, two = ["gateway-1"], ["gateway-2"]
    assert supervisor.calls == [
        ("restart", one, 2.5 + END_GRACE_S, {"seconds": 2.5}),
        ("restart", two, 2.5 + END_GRACE_S, {"seconds": 2.5}),
    ]
    assert not (tmp_path / "drain").exists()


def test_version_without_paced_drain_gets_no_more_time(tmp_path):
    deployer, supervisor = deployer_of(tmp_path, version="sync")
    asyncio.run(deployer.deploy(DeployOrder("all-at-once", 60.0)))
    assert supervisor.calls[0][2] == END_GRACE_S


def test_version_with_handover_starts_the_new_before_it_ends_the_old(tmp_path):
    deployer, supervisor = deployer_of(tmp_path, version="bifrost-4")
    asyncio.run(deployer.deploy(DeployOrder("rolling", 0.0)))
    asyncio.run(deployer.deploy(DeployOrder("all-at-once", 3.0)))
    grace_s = MAX_DRAIN_S + END_GRACE_S
    assert supervisor.calls == [
        ("replace", ["gateway-1"], grace_s, {"seconds": 0}),
        ("replace", ["gateway-2"], grace_s, {"seconds": 0}),
        ("replace", ["gateway-1", "gateway-2"], grace_s, {"seconds": 3}),
    ]


def test_only_one_deploy_at_a_time(tmp_path):
    async def scenario():
        deployer, supervisor = deployer_of(tmp_path)
        supervisor.gate.clear()
        first = asyncio.create_task(deployer.deploy(DeployOrder("rolling", 0.0)))
        while not supervisor.calls:
            await asyncio.sleep(0)
        with pytest.raises(DeployRunningError, match="rolling"):
            await deployer.deploy(DeployOrder("all-at-once", 0.0))
        supervisor.gate.set()
        await first
        await deployer.deploy(DeployOrder("all-at-once", 0.0))

    asyncio.run(scenario())


def test_replacement_that_does_not_come_up_is_named_and_frees_the_way(tmp_path):
    deployer, supervisor = deployer_of(tmp_path, fails=["gateway-2"])
    with pytest.raises(DeployError, match="gateway-2 ended with status 2"):
        asyncio.run(deployer.deploy(DeployOrder("rolling", 0.0)))
    assert deployer.current is None
    assert not (tmp_path / "drain").exists()
    assert supervisor.calls[-1][:2] == ("restart", ["gateway-2"])


def test_blue_green_swaps_all_nodes_and_tells_them_what_to_say(tmp_path):
    deployer, supervisor = deployer_of(tmp_path)
    asyncio.run(deployer.deploy(DeployOrder("blue-green", 1.0, close_code=1012, retry_after_s=5.0)))
    said = {"seconds": 1, "code": 1012, "retry_after_s": 5}
    assert supervisor.calls == [("swap", ["gateway-1", "gateway-2"], MAX_DRAIN_S + END_GRACE_S, said)]


def test_api_is_handed_over_and_no_node_is_touched(tmp_path):
    deployer, supervisor = deployer_of(tmp_path)
    answer = asyncio.run(deployer.deploy(DeployOrder("rolling", 0.0, tier="api")))
    assert [call[:2] for call in supervisor.calls] == [("replace", ["api"])]
    assert answer["replaced"] == ["api"]


@pytest.mark.parametrize(
    ("order", "said"), [(("rolling", 0.0, "api"), "no api"), (("blue-green", 0.0), "share a port")]
)
def test_deploy_that_the_version_does_not_have_is_refused(tmp_path, order, said):
    deployer, supervisor = deployer_of(tmp_path, version="sync")
    with pytest.raises(SettingError, match=said):
        asyncio.run(deployer.deploy(DeployOrder(*order)))
    assert supervisor.calls == []


def test_rolling_deploy_rests_between_nodes_and_not_before_the_first(tmp_path, monkeypatch):
    rests = []

    async def sleep(seconds):
        rests.append((seconds, len(supervisor.calls)))

    deployer, supervisor = deployer_of(tmp_path, version="bifrost-4")
    monkeypatch.setattr(asyncio, "sleep", sleep)
    asyncio.run(deployer.deploy(DeployOrder("rolling", 0.0, pace_s=7.0)))
    assert rests == [(7.0, 1)]
