from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import ProtocolError
from loadtest.herd import interner
from loadtest.herd.interner import MAX_CHUNK_BYTES, Interner
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


@pytest.mark.parametrize("chunk", [OPEN, text('40{"sid":"n"}'), OPEN + text("2"), OPEN + text('40{"sid":"n"}')])
def test_greetings_name_one_session_and_are_not_kept(chunk: bytes) -> None:
    interned = made()
    parcels = [interned.find(chunk) for _ in range(2)]
    assert all(parcel is not None and type(parcel.events[0]) in (Opened, Joined) for parcel in parcels)
    assert parcels[0] is not parcels[1]
    assert not interned.young
    assert not interned._bytes


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
