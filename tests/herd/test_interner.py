from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import ProtocolError
from loadtest.herd import interner
from loadtest.herd.interner import MAX_CHUNK_BYTES, MAX_OPENING_BYTES, MAX_OPENINGS, Interner
from loadtest.protocol.events import Delivered, Joined, Opened, Pinged
from tests.herd.peers import close, frame, revision, text
from tests.herd.rig import socketio

HEADER = text('451-["pic",{"_placeholder":true,"num":0}]')


def made() -> Interner:
    return Interner(socketio())


def test_equal_bytes_are_one_parcel() -> None:
    interned = made()
    first = interned.find(text(revision(0)))
    assert first is not None
    assert interned.find(bytes(bytearray(text(revision(0))))) is first
    assert interned.young[text(revision(0))] is first
    assert interned.find(text(revision(1))) is not first
    assert first.books is None


def test_chunk_of_several_frames_has_all_their_events_in_order() -> None:
    parcel = made().find(text(revision(0)) + text("2") + text('42["news"]'))
    assert parcel is not None
    assert [type(event) for event in parcel.events] == [Delivered, Pinged, Delivered]


@pytest.mark.parametrize(
    "chunk",
    [
        b"\x81",
        text(revision(0))[:-1],
        text(revision(0)) + b"\x81",
        frame(0x01, b"42"),
        frame(0x80, b"tail"),
        text("2") + frame(0x01, b"42"),
        HEADER,
        HEADER + frame(0x82, b"\1\2"),
        text(revision(0)) + HEADER + frame(0x82, b"\1\2"),
    ],
)
def test_what_needs_a_memory_is_left_to_the_slow_path_and_never_kept(chunk: bytes) -> None:
    interned = made()
    assert interned.find(chunk) is None
    assert not interned.young


@pytest.mark.parametrize("chunk", [text("garbage"), b"\x81\x80\0\0\0\0", frame(0x82, b"\1"), frame(0x83)])
def test_fault_is_raised_each_time_and_never_kept(chunk: bytes) -> None:
    interned = made()
    for _ in range(2):
        with pytest.raises(ProtocolError):
            interned.find(chunk)
    assert not interned.young


def test_control_frames_are_parcels_too() -> None:
    assert made().find(close(1000)) is not None


OPEN = text('0{"sid":"s","pingInterval":25000,"pingTimeout":20000}')
GREETINGS = [OPEN, text('40{"sid":"n"}'), OPEN + text("2")]


def renamed(chunk: bytes, name: bytes) -> bytes:
    return chunk.replace(b'"sid":"s"', b'"sid":"' + name + b'"').replace(b'"sid":"n"', b'"sid":"' + name + b'"')


@pytest.mark.parametrize("chunk", GREETINGS)
def test_greetings_alike_but_for_the_session_share_one_parcel(chunk: bytes) -> None:
    interned = made()
    parcels = [interned.find_opening(renamed(chunk, name)) for name in (b"a", b"b", b"c")]
    assert parcels[0] is not None
    assert type(parcels[0].events[0]) in (Opened, Joined)
    assert parcels[0] is parcels[1] is parcels[2]
    assert not interned.young


def test_greetings_that_differ_otherwise_are_read_each() -> None:
    interned = made()
    slow = OPEN.replace(b"25000", b"26000")
    first, second = interned.find_opening(OPEN), interned.find_opening(slow)
    assert first is not None
    assert second is not None
    assert (first.events[0].ping_interval_s, second.events[0].ping_interval_s) == (25.0, 26.0)  # type: ignore[union-attr]


def test_greeting_that_names_two_sessions_or_is_long_is_not_shared() -> None:
    interned = made()
    for chunk in (OPEN + text('40{"sid":"n"}'), text('40{"sid":"n","x":"' + "y" * MAX_OPENING_BYTES + '"}')):
        first, second = interned.find_opening(chunk), interned.find_opening(chunk)
        assert first is not None
        assert first is not second


def test_greetings_remembered_are_bounded() -> None:
    interned = made()
    for number in range(MAX_OPENINGS + 50):
        assert interned.find_opening(text('40{"sid":"n","x":' + str(number) + "}")) is not None
    assert len(interned._openings) == MAX_OPENINGS


def test_bad_greeting_is_bad_each_time() -> None:
    interned = made()
    for _ in range(2):
        with pytest.raises(ProtocolError):
            interned.find_opening(text('0{"sid":"s","pingInterval":-1,"pingTimeout":20000}'))


def test_large_chunk_is_read_but_not_kept() -> None:
    interned = made()
    assert interned.find(text('42["' + "x" * MAX_CHUNK_BYTES + '"]')) is not None
    assert not interned.young


def test_two_generations_bound_the_entries_and_keep_what_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interner, "MAX_ENTRIES", 4)
    interned = made()
    used = interned.find(text("2"))
    for number in range(50):
        interned.find(text(f'42["n",{number}]'))
        assert interned.find(text("2")) is used
        assert len(interned.young) <= 4
        assert len(interned._old) <= 4
    assert text('42["n",0]') not in {**interned.young, **interned._old}


def test_two_generations_bound_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interner, "MAX_BYTES", 1000)
    interned = made()
    for number in range(200):
        interned.find(text(f'42["n",{number},"{"x" * 60}"]'))
        assert sum(map(len, interned.young)) <= 1100
    assert interned._old


@given(chunk=st.binary(max_size=40))
def test_no_bytes_raise_anything_else(chunk: bytes) -> None:
    try:
        made().find(chunk)
    except ProtocolError:
        return
