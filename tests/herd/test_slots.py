from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loadtest.herd.slots import Slots
from loadtest.herd.states import CONNECTING, IDLE, IN_FLIGHT, LIVE, SHOWN, SUBSCRIBING, WAITING, shown


def test_rows_come_idle_and_know_their_clients() -> None:
    slots = Slots()
    assert slots.add(range(10, 13)) == range(3)
    assert slots.add(iter([7])) == range(3, 4)
    assert list(slots.index) == [10, 11, 12, 7]
    assert len(slots) == 4
    assert slots.population[IDLE] == 4


def test_every_column_has_every_row() -> None:
    slots = Slots()
    slots.add(range(5))
    columns = [getattr(slots, name) for name in Slots.__slots__ if name != "population"]
    assert {len(column) for column in columns} == {5}


@given(moves=st.lists(st.tuples(st.integers(0, 4), st.integers(0, LIVE)), max_size=50))
def test_population_counts_the_rows_in_each_state(moves: list[tuple[int, int]]) -> None:
    slots = Slots()
    slots.add(range(5))
    for slot, state in moves:
        slots.set(slot, state)
    assert slots.population == [list(slots.state).count(state) for state in range(LIVE + 1)]
    assert slots.live() == [slot for slot in range(5) if slots.state[slot] == LIVE]
    assert slots.in_flight == sum(state in IN_FLIGHT for state in slots.state)


def test_shown_names_cover_every_state() -> None:
    assert len(SHOWN) == LIVE + 1
    assert shown([1, 2, 3, 4, 5, 6, 7, 8, 9]) == {
        "idle": 1,
        "waiting": 2,
        "connecting": 3,
        "opening": 22,
        "subscribing": 8,
        "subscribed": 9,
    }
    assert (SHOWN[WAITING], SHOWN[CONNECTING], SHOWN[SUBSCRIBING]) == ("waiting", "connecting", "subscribing")
