"""What the autoscaler does, in which order: a journal of fakes, a clock in the hand, no process and no socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiohttp import ClientError

from reference_gateway.errors import PartFailedError
from reference_gateway.scaling.decision import Moment, ScalePlan
from reference_gateway.stack import scaler as scaling
from reference_gateway.stack.part import State
from reference_gateway.stack.scaler import Scaler

CALM_S = 10.0
PLAN = ScalePlan(1, 4, calm_s=CALM_S)


class World:
    """Nodes that tell what the test says; everything that is done to anybody is a line of `journal`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, plan: ScalePlan = PLAN, nodes: int = 1) -> None:
        self.journal: list[str] = []
        self.elapsed_s = 0.0
        self.load: dict[str, float] = {}
        self.clients: dict[str, int] = {}
        self.broken: set[str] = set()  # nodes that do not come up, or "godserver"
        self.made = 0
        self.composition = SimpleNamespace(
            gateways=[self.another() for _ in range(nodes)],
            another=self.another,
            front=None,
            godserver=SimpleNamespace(url="http://godserver"),
            order_token="of-the-nodes",
        )
        self.deployer = SimpleNamespace(current=None)
        monkeypatch.setattr(scaling, "time", SimpleNamespace(monotonic=lambda: self.elapsed_s, time=lambda: 0.0))
        monkeypatch.setattr(scaling, "asyncio", SimpleNamespace(sleep=self.sleep, gather=asyncio.gather))
        monkeypatch.setattr(scaling, "ask_health", self.ask_health)
        monkeypatch.setattr(scaling, "relocate", self.relocate)
        self.scaler = Scaler(plan, self.composition, self, self.deployer, "of-the-stack")  # type: ignore[arg-type]

    @property
    def nodes(self) -> list[str]:
        return [part.name for part in self.composition.gateways]

    def look(self, after_s: float = 0.0, **load: float) -> list[str]:
        """Let time pass and the nodes (gateway_1=0.9) be so full, have the scaler look; return what it did."""
        self.elapsed_s += after_s
        self.load = {name.replace("_", "-"): value for name, value in load.items()}
        self.journal.clear()
        asyncio.run(self.scaler._look(self))  # type: ignore[arg-type]
        return self.journal

    # --- the fakes -----------------------------------------------------------------------------------------------

    def another(self) -> SimpleNamespace:
        self.made += 1
        name = f"gateway-{self.made}"
        return SimpleNamespace(name=name, url=f"ws://{name}", version="bifrost-6", state=State.HEALTHY)

    async def sleep(self, seconds: float) -> None:
        self.journal.append(f"wait {seconds:g} s")
        self.elapsed_s += seconds

    async def start(self, part: SimpleNamespace) -> None:
        self.journal.append(f"start {part.name}")
        if part.name in self.broken:
            raise PartFailedError(f"{part.name} ended with status 1")

    async def stop_all(self, parts: list[SimpleNamespace], grace_s: float, patient: bool = False) -> None:
        assert patient
        assert grace_s > 0
        self.journal.append(f"stop {' '.join(part.name for part in parts)}")

    async def ask_health(self, _http: object, part: SimpleNamespace) -> dict[str, object]:
        if part.name not in self.load:
            raise ClientError("no answer")
        return {"load": self.load[part.name], "connections": self.clients.get(part.name, 0)}

    async def relocate(self, _http: object, part: SimpleNamespace, order: object, token: str) -> int:
        assert (order.shares, token) == (None, "of-the-nodes")  # type: ignore[attr-defined]
        leaving = round(self.clients.get(part.name, 0) * order.part)  # type: ignore[attr-defined]
        self.journal.append(f"{leaving} leave {part.name} over {order.over_s:g} s")  # type: ignore[attr-defined]
        return leaving

    @asynccontextmanager
    async def put(self, url: str, data: str, headers: dict[str, str]):
        assert (url, headers["Authorization"]) == ("http://godserver/v1/fleet", "Bearer of-the-stack")
        fleet = json.loads(data)["bifrost-6"]
        self.journal.append(f"fleet {' '.join(url.removeprefix('ws://') for url in fleet)}")
        if "godserver" in self.broken:
            raise ClientError("godserver does not answer")
        yield SimpleNamespace(raise_for_status=lambda: None)

    async def reload(self, gateways: list[SimpleNamespace]) -> None:
        self.journal.append(f"front {' '.join(part.name for part in gateways)}")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    return lambda **how: World(monkeypatch, **how)


def test_full_node_gets_another_which_is_told_of_once_it_is_up_and_then_given_its_share(world) -> None:
    one = world()
    one.clients = {"gateway-1": 100}
    one.load = {"gateway-2": 0.0}
    done = one.look(gateway_1=0.6, gateway_2=0.0)
    assert done == ["start gateway-2", "fleet gateway-1 gateway-2", "50 leave gateway-1 over 2 s"]
    assert one.nodes == ["gateway-1", "gateway-2"]
    assert one.scaler.changes == [{"at_s": 0.0, "from": 1, "to": 2, "why": "a mean load of 0.60"}]


def test_nodes_near_their_even_share_are_left_alone(world) -> None:
    one = world(nodes=2)
    one.clients = {"gateway-1": 109, "gateway-2": 100, "gateway-3": 91}
    done = one.look(gateway_1=0.6, gateway_2=0.6, gateway_3=0.0)
    assert done == ["start gateway-3", "fleet gateway-1 gateway-2 gateway-3"]


def test_newest_node_is_forgotten_first_left_by_its_clients_and_ended_last(world) -> None:
    one = world(nodes=3)
    one.clients = {"gateway-3": 20}
    idle = dict.fromkeys(("gateway_1", "gateway_2", "gateway_3"), 0.01)
    assert one.look(**idle) == []
    assert one.look(after_s=CALM_S - 0.1, **idle) == []
    assert one.look(after_s=0.1, **idle) == [
        "fleet gateway-1 gateway-2",
        "20 leave gateway-3 over 5 s",
        "wait 5 s",
        "stop gateway-3",
    ]
    assert one.nodes == ["gateway-1", "gateway-2"]
    assert one.scaler.changes[-1]["from"] == 3


def test_node_that_nobody_leaves_is_ended_at_once(world) -> None:
    one = world(nodes=2)
    idle = {"gateway_1": 0.0, "gateway_2": 0.0}
    one.look(**idle)
    assert one.look(after_s=CALM_S, **idle) == ["fleet gateway-1", "0 leave gateway-2 over 5 s", "stop gateway-2"]


def test_node_that_does_not_come_up_is_told_to_nobody_and_tried_again_after_the_pause(world) -> None:
    one = world()
    one.broken = {"gateway-2"}
    assert one.look(gateway_1=0.6) == ["start gateway-2", "fleet gateway-1"]
    assert one.nodes == ["gateway-1"]
    assert one.look(after_s=PLAN.pause_s - 0.1, gateway_1=0.6) == []
    assert one.look(after_s=0.1, gateway_1=0.6, gateway_3=0.0) == ["start gateway-3", "fleet gateway-1 gateway-3"]


def test_of_two_new_nodes_the_one_that_comes_up_is_kept(world) -> None:
    one = world(nodes=2)
    one.broken = {"gateway-3"}
    done = one.look(gateway_1=0.95, gateway_2=0.95)
    assert done == ["start gateway-3", "start gateway-4", "fleet gateway-1 gateway-2 gateway-4"]
    assert one.nodes == ["gateway-1", "gateway-2", "gateway-4"]


def test_godserver_that_does_not_listen_ends_nobody(world) -> None:
    one = world(nodes=2)
    one.broken = {"godserver"}
    one.look(gateway_1=0.0, gateway_2=0.0)
    assert one.look(after_s=CALM_S, gateway_1=0.0, gateway_2=0.0) == ["fleet gateway-1"]


def test_front_is_told_in_place_of_godserver(world) -> None:
    one = world()
    one.composition.front = one
    assert one.look(gateway_1=0.6, gateway_2=0.0) == ["start gateway-2", "front gateway-1 gateway-2"]


def test_node_that_is_not_healthy_or_does_not_answer_is_not_asked_twice_nor_ended(world) -> None:
    one = world(nodes=2)
    one.composition.gateways[1].state = State.BACKOFF
    assert one.look(gateway_1=0.0, gateway_2=0.9) == []
    assert one.look(after_s=CALM_S, gateway_1=0.0) == []
    assert one.nodes == ["gateway-1", "gateway-2"]


def test_schedule_is_counted_from_the_start_of_the_stack(world) -> None:
    one = world(plan=ScalePlan(1, 4, (Moment(30, 3, False),), reactive=False))
    assert one.look(after_s=29.9, gateway_1=1.0) == []
    one.look(after_s=0.1, gateway_1=1.0)
    assert one.nodes == ["gateway-1", "gateway-2", "gateway-3"]
    assert one.scaler.changes == [{"at_s": 30.0, "from": 1, "to": 3, "why": "the schedule"}]


def test_nobody_is_added_while_a_deploy_is_in_progress(world, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks twice a second: the deploy ends after three of those times, the world after five."""
    one = world()
    one.load = {"gateway-1": 0.6, "gateway-2": 0.0}
    one.deployer.current = "rolling"

    async def sleep(seconds: float) -> None:
        one.elapsed_s += seconds
        if one.elapsed_s > 1.5:
            one.deployer.current = None
        else:
            assert one.journal == []
        if one.elapsed_s > 2.5:
            raise asyncio.CancelledError

    @asynccontextmanager
    async def session(**_: object):
        yield one

    monkeypatch.setattr(scaling.asyncio, "sleep", sleep)
    monkeypatch.setattr(scaling, "ClientSession", session)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(one.scaler.run())
    assert one.journal == ["start gateway-2", "fleet gateway-1 gateway-2"]
    assert [change["at_s"] for change in one.scaler.changes] == [2.0]


def test_changes_that_are_kept_are_bounded(world) -> None:
    one = world()
    one.broken = {f"gateway-{number}" for number in range(2, 300)}
    for _ in range(150):
        one.look(after_s=PLAN.pause_s, gateway_1=0.6)
    assert len(one.scaler.changes) == 100
    assert one.scaler.changes[-1]["at_s"] == 150 * PLAN.pause_s
