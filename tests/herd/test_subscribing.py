from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from loadtest.clock import NS_PER_S
from loadtest.herd.slots import Slots
from loadtest.herd.subscribing import Subscribing
from loadtest.metrics.ledger import NOT_SUBSCRIBED, Ledger
from loadtest.protocol.events import Acked
from loadtest.protocol.socketio_dialect import SocketIODialect
from tests.herd.peers import FewClients
from tests.herd.rig import socketio

THREE: Sequence[Callable[[int], int]] = (lambda index: 0, lambda index: -1, lambda index: 2)


class Table:
    """Slots of clients with subscriptions in groups 0 and 2, and none in group 1."""

    def __init__(self, groups: Sequence[Callable[[int], int]] = THREE, *, listening: bool = True) -> None:
        self.slots = Slots()
        self.ledger = Ledger([0, 1, 2], 5 * NS_PER_S)
        self.subscribing = Subscribing(self.slots, FewClients(groups), socketio(), self.ledger if listening else None)
        self.subscribing.assign(self.slots.add(range(2)))

    def since(self, slot: int = 1) -> list[int]:
        return list(self.ledger.since[slot * 3 : slot * 3 + 3])

    def answer(self, number: int | None, now_ns: int = 7) -> bool:
        return self.subscribing.answered(1, Acked(number), now_ns)


@pytest.fixture
def table() -> Table:
    return Table()


def test_request_asks_for_each_channel_by_its_groups_number(table: Table) -> None:
    frames = table.subscribing.request(1, {"client": "c1"})
    assert frames.count(b'420["subscribe",{"collection":"room-0"}]') == 1
    assert frames.count(b'422["subscribe",{"collection":"room-2"}]') == 1
    assert table.slots.pending[1] == 2
    assert table.slots.pending[0] == 0


def test_client_without_channels_asks_for_nothing() -> None:
    table = Table([lambda index: -1])
    assert table.subscribing.request(1, {}) == b""
    assert table.slots.pending[1] == 0


@pytest.mark.parametrize("order", [(0, 2), (2, 0)])
def test_acknowledgements_in_any_order_and_the_last_one_completes(table: Table, order: tuple[int, int]) -> None:
    table.subscribing.request(1, {})
    assert not table.answer(order[0], 7)
    assert table.answer(order[1], 9)
    assert table.since()[order[0]] == 7
    assert table.since()[order[1]] == 9
    assert table.since(0) == [NOT_SUBSCRIBED] * 3


@pytest.mark.parametrize("stray", [0, 1, 3, 999])
def test_acknowledgement_that_is_double_or_of_nothing_asked_changes_nothing(table: Table, stray: int) -> None:
    table.subscribing.request(1, {})
    assert not table.answer(0)
    assert not table.answer(stray, 50)
    assert table.slots.pending[1] == 1
    assert table.since() == [7, NOT_SUBSCRIBED, NOT_SUBSCRIBED]
    assert table.answer(2)


def test_acknowledgements_without_numbers_count_in_order(table: Table) -> None:
    table.subscribing.request(1, {})
    assert not table.answer(None, 7)
    assert table.since() == [7, NOT_SUBSCRIBED, NOT_SUBSCRIBED]
    assert table.answer(None, 8)
    assert not table.answer(None, 9)
    assert table.since() == [7, NOT_SUBSCRIBED, 8]


def test_all_at_once_when_nothing_acknowledges(table: Table) -> None:
    table.subscribing.request(1, {})
    table.subscribing.all(1, 11)
    assert table.since() == [11, NOT_SUBSCRIBED, 11]
    assert table.slots.pending[1] == 0


def test_drop_loses_all_and_a_new_session_starts_again(table: Table) -> None:
    table.subscribing.request(1, {})
    table.answer(0)
    table.subscribing.drop(1, 20)
    assert table.since() == [NOT_SUBSCRIBED] * 3
    table.subscribing.request(1, {})
    assert not table.answer(0, 30)
    assert table.answer(2, 31)


def test_publishers_subscribe_to_nothing() -> None:
    table = Table([], listening=False)
    assert table.subscribing.request(1, {}) == b""
    assert not table.answer(0)
    table.subscribing.all(1, 3)
    table.subscribing.drop(1, 4)


def test_profile_without_a_subscription_asks_for_nothing() -> None:
    slots = Slots()
    ledger = Ledger([0], NS_PER_S)
    subscribing = Subscribing(slots, FewClients(), SocketIODialect(), ledger)
    subscribing.assign(slots.add(range(1)))
    assert subscribing.request(0, {}) == b""
