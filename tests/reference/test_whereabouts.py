"""Where a client is: whom the stack asks, what it makes of the answer, and when there is nobody to ask."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from reference_gateway.errors import SettingError
from reference_gateway.stack import whereabouts
from reference_gateway.stack.config import StackConfig, find_versions

COMPOSITION = SimpleNamespace(brokers=[SimpleNamespace(url="redis://one"), SimpleNamespace(url="redis://two")])


class Broker:
    """The servers of a broker, and the registry in it, of which two nodes hold "ann"."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.closed = 0

    def servers(self, urls: list[str], timeout_s: float) -> Broker:
        assert timeout_s < 10
        self.asked.append(urls)
        return self

    async def where(self, client: str) -> list[str]:
        return ["gateway-2@4711-c0ffee", "gateway-10@17-abcdef"] if client == "ann" else []

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    one = Broker()
    monkeypatch.setattr(whereabouts, "Servers", one.servers)
    monkeypatch.setattr(whereabouts, "Registry", lambda servers: servers)
    return one


def where(label: str, client: str, **settings: str) -> list[dict]:
    config = StackConfig(versions=find_versions(label), **settings)
    return asyncio.run(whereabouts.where(config, COMPOSITION, client))


def test_nodes_are_told_by_name_and_process(broker: Broker) -> None:
    assert where("bifrost-6", "ann") == [{"name": "gateway-10", "pid": 17}, {"name": "gateway-2", "pid": 4711}]
    assert where("bifrost-6", "bob") == []
    assert broker.asked == [["redis://one", "redis://two"]] * 2
    assert broker.closed == 2


def test_broker_of_somebody_else_is_asked_where_it_is(broker: Broker) -> None:
    where("bifrost-5", "ann", redis_url="redis://three redis://four")
    assert broker.asked == [["redis://three", "redis://four"]]


@pytest.mark.parametrize(
    ("label", "client", "said"),
    [("bifrost-4", "ann", "from bifrost-5 on: this stack is bifrost-4"), ("bifrost-5", "", "client")],
)
def test_stack_without_a_registry_and_client_without_a_name_are_refused(broker: Broker, label, client, said) -> None:
    with pytest.raises(SettingError, match=said):
        where(label, client)
    assert broker.asked == []
