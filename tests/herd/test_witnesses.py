"""The sample of clients whose messages are noted: how many, for how long, who is a bystander; and in a herd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loadtest.clock import NS_PER_MS, NS_PER_S
from loadtest.herd.slots import Slots
from loadtest.herd.states import LIVE, WAITING
from loadtest.herd.witnesses import AT_LEAST, AT_MOST, MOST, ONE_IN, Witnesses
from loadtest.metrics.others import BystanderPart
from tests.herd.peers import FewClients, revision
from tests.herd.rig import Rig

S = NS_PER_S
T = 1_000 * S
WINDOW_NS, DEADLINE_NS = 10 * S, 2 * S


def witnesses(size: int, since_ns: int = T - 100 * S) -> tuple[Witnesses, Slots]:
    """Slots that are all in session, each in channel 0 only."""
    slots = Slots()
    slots.add(range(size))
    for slot in range(size):
        slots.set(slot, LIVE)
        slots.live_since[slot] = since_ns
    made = Witnesses()
    made.heed(slots, lambda index: (0, -1), WINDOW_NS, DEADLINE_NS)
    return made, slots


def live(made: Witnesses, slots: range, from_ns: int, to_ns: int, rate: int = 10, late_ms: int = 2) -> None:
    """Publish evenly to `slots`."""
    for sched_ns in range(from_ns, to_ns, S // rate):
        made.announced(sched_ns, 0)
        for slot in slots:
            if made.wants(slot):
                made.saw(slot, sched_ns, sched_ns + late_ms * NS_PER_MS)


def told(made: Witnesses, now_ns: int, *, final: bool = False) -> dict[str, BystanderPart]:
    return {event_id: BystanderPart.read(part) for event_id, part in made.take(now_ns, final=final)}


@pytest.mark.parametrize("size", [1, 8, 63, 64, 65, 250, 1_500, 2_048, 5_000, 20_000])
def test_the_sample_is_one_in_32_within_its_limits(size: int) -> None:
    made, _ = witnesses(size)
    sampled = [slot for slot in range(size) if made.wants(slot)]
    assert abs(len(sampled) - min(size, max(AT_LEAST, min(size / ONE_IN, AT_MOST)))) <= 4


@pytest.mark.parametrize("nodes", [2, 3, 7, 10])
def test_the_sample_is_out_of_step_with_gateways(nodes: int) -> None:
    made, _ = witnesses(1_500)
    sampled = [slot % nodes for slot in range(1_500) if made.wants(slot)]
    assert max(map(sampled.count, range(nodes))) <= 1.7 * len(sampled) / nodes
    assert min(map(sampled.count, range(nodes))) >= 0.4 * len(sampled) / nodes


def test_nobody_is_wanted_before_it_is_told_to() -> None:
    made = Witnesses()
    made.grow(100)
    made.announced(T, 0)
    made.follow("e", T)
    assert not any(made.wants(slot) for slot in range(100))
    assert told(made, T, final=True) == {}


def test_an_event_is_told_once_its_windows_have_passed_and_once_only() -> None:
    made, slots = witnesses(20)
    live(made, range(20), T - 15 * S, T)
    made.follow("e", T)
    slots.set(3, WAITING)
    live(made, range(20), T, T + 15 * S)
    assert told(made, T + 13 * S) == {}
    (part,) = told(made, T + 14 * S).values()
    assert (part.clients, part.judged, part.degraded) == (19, 19, 0)
    assert sorted(second for second, *_ in part.seconds) == list(range(-10, 10))
    assert all((missing, latencies.count) == (0, 190) for _, missing, latencies in part.seconds)
    assert told(made, T + 15 * S, final=True) == {}


def test_who_was_dropped_and_is_back_is_no_bystander() -> None:
    made, slots = witnesses(20)
    live(made, range(20), T - 10 * S, T)
    made.follow("e", T)
    live(made, range(20), T, T + 10 * S)
    slots.live_since[5] = T + S
    assert told(made, T + 30 * S)["e"].clients == 19


def test_an_event_followed_late_and_a_run_that_ends_early() -> None:
    made, _ = witnesses(20)
    live(made, range(20), T - 10 * S, T + 6 * S)
    made.follow("late", T)
    made.follow("other", T + S)
    parts = told(made, T + 6 * S, final=True)
    assert set(parts) == {"late", "other"}
    assert max(second for second, *_ in parts["late"].seconds) == 4, "later ones may yet come"
    assert all(missing == 0 for _, missing, _ in parts["late"].seconds)


def test_messages_are_kept_as_long_as_they_may_be_asked_for_and_no_longer() -> None:
    made, _ = witnesses(5)
    keep_s = (2 * WINDOW_NS + DEADLINE_NS) // S + 2 + 10 + 2
    live(made, range(5), T - 400 * S, T + 14 * S, rate=4)
    assert len(made._old.slot) + len(made._young.slot) <= 2 * (keep_s + 1) * 4 * 5
    assert min(made._old.sched) <= T - WINDOW_NS
    made.follow("e", T)
    (part,) = told(made, T + 14 * S).values()
    assert sum(latencies.count for _, _, latencies in part.seconds) == 20 * 4 * 5


def test_a_flood_halves_the_sample_and_the_windows_stay_whole() -> None:
    made, _ = witnesses(256)
    wanted = sum(made.wants(slot) for slot in range(256))
    live(made, range(256), T - 12 * S, T + 12 * S, rate=40)
    left = sum(made.wants(slot) for slot in range(256))
    assert left <= 0.6 * wanted
    assert len(made._young.slot) <= MOST
    made.follow("e", T)
    (part,) = told(made, T + 14 * S).values()
    assert part.clients == part.judged == left
    assert {(missing, latencies.count) for _, missing, latencies in part.seconds} == {(0, 40 * left)}


# --- in a herd -------------------------------------------------------------------------------------------------------


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig(4, clients=FewClients())
    made.herd.witnesses.heed(made.herd.slots, FewClients().channels, WINDOW_NS, DEADLINE_NS)
    yield made
    made.stop()


def test_a_herd_notes_what_it_receives_and_tells_of_those_that_stayed(rig: Rig) -> None:
    peers = rig.come()
    assert -1 not in rig.herd._wires._fd
    assert all(rig.herd._wires.quick[fd] == -1 for fd in rig.herd._wires._fd), "none of the sample is quick"
    rig.advance(1)
    witness = rig.herd.witnesses
    for seq in range(40):
        rig.advance(0.25)
        if seq == 20:
            witness.follow("e", rig.clock.now_ns - S // 100)
        sched_ns = rig.clock.now_ns
        rig.publish(seq, sched_ns=sched_ns)
        witness.announced(sched_ns, 0)
        rig.clock.advance(0.003 if seq < 20 else 0.009)
        rig.say(peers[1:] if seq > 30 else peers, revision(seq, sched_ns=sched_ns))
    rig.advance(12)
    (part,) = told(witness, rig.clock.now_ns).values()
    before = [latencies for second, _, latencies in part.seconds if second < 0]
    assert (part.clients, sum(latencies.count for latencies in before)) == (4, 80)
    assert {latencies.max_ns for latencies in before} == {3 * NS_PER_MS}
    assert sum(missing for _, missing, _ in part.seconds) == 9
    assert rig.books()["lost"] == 9
    assert part.judged == 0, "80 messages are no baseline"
