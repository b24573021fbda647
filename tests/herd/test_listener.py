"""The listener between literal bytes and a herd that writes down what it is told."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.clock import NS_PER_S, FakeClock
from loadtest.herd.account import Account
from loadtest.herd.clients import Hooks
from loadtest.herd.listener import FIRST_FREE_REQUEST, Listener
from loadtest.herd.states import JOINING, LIVE, SUBSCRIBING
from loadtest.herd.wires import Wires
from loadtest.herd.witnesses import Witnesses
from loadtest.metrics.ledger import Ledger
from loadtest.protocol.dialect import Dialect, Resumption
from loadtest.protocol.events import Acked
from loadtest.protocol.websocket_dialect import WebSocketDialect
from tests.herd.peers import RUN, close, frame, marker, revision, text
from tests.herd.rig import Notes, socketio

OPEN = text('0{"sid":"s","pingInterval":3000,"pingTimeout":1000}')


class Desk:
    """One slot's listener; stands in for the herd (`Sessions`) and its wires."""

    def __init__(
        self,
        state: int = LIVE,
        *,
        dialect: Dialect | None = None,
        hooks: Notes | None = None,
        listening: bool = True,
    ) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.hints: list[float | None] = []
        self.sent: list[bytes] = []
        self.states = bytearray([state])
        self.open = True
        self.quick = True
        self.breaks = False
        self.witnesses = Witnesses()
        self.clock = FakeClock()
        self.account = Account()
        self.ledger = Ledger([0, 0], 5 * NS_PER_S) if listening else None
        if self.ledger is not None:
            self.ledger.grow(1)
            self.ledger.assign(0, 0)
            self.ledger.subscribed(0, 1)
        self.listener = Listener(
            self,
            cast(Wires, self),
            dialect or socketio(),
            self.ledger,
            cast("Hooks | None", hooks),
            self.account,
            states=self.states,
            groups=1,
            run=RUN,
            clock=self.clock,
        )

    # the herd

    def opened(self, slot: int, patience_ns: int, resumption: Resumption | None) -> None:
        self.told.append(("opened", patience_ns))

    def joined(self, slot: int, now_ns: int) -> None:
        self.told.append(("joined",))
        self.states[0] = SUBSCRIBING

    def subscribed(self, slot: int, answer: Acked, now_ns: int) -> None:
        self.told.append(("subscribed", answer.id, answer.ok))

    def heard(self, slot: int, now_ns: int) -> None:
        self.told.append(("heard",))

    def reached(self, slot: int, now_ns: int) -> None:
        self.told.append(("reached",))

    def transmit(self, slot: int, frames: bytes) -> bool:
        if self.breaks:
            self.lose(slot, "reset")
            return False
        self.sent.append(frames)
        return True

    def lose(self, slot: int, reason: str, hint_s: float | None = None) -> None:
        assert self.open, f"lost twice: {reason}"
        self.told.append(("lost", reason))
        self.hints.append(hint_s)
        self.open = False
        self.listener.forget(slot)

    # the wires

    def is_open(self, slot: int) -> bool:
        return self.open

    def make_quick(self, slot: int, *, on: bool) -> None:
        self.quick = on

    def send(self, slot: int, data: bytes) -> None:
        self.sent.append(data)

    # the test

    def hear(self, *chunks: bytes) -> list[tuple[Any, ...]]:
        """Give it chunks while it is open; return what the herd was told."""
        for chunk in chunks:
            if self.open:
                self.listener.chunk(0, chunk, self.clock.now_ns)
        told, self.told = self.told, []
        return told

    def counts(self) -> dict[str, int]:
        assert self.ledger is not None
        return {name: count for name, count in self.ledger.take()["counts"].items() if count}


# --- sessions --------------------------------------------------------------------------------------------------------


def test_session_opens_joins_and_is_told_its_patience() -> None:
    desk = Desk(JOINING)
    assert desk.hear(OPEN, text('40{"sid":"n"}')) == [("opened", 4 * NS_PER_S), ("joined",)]


@pytest.mark.parametrize("state", [SUBSCRIBING, LIVE])
def test_session_that_stands_is_not_opened_or_joined_again(state: int) -> None:
    assert Desk(state).hear(OPEN, text('40{"sid":"n"}')) == []


def test_heartbeat_is_answered_then_told() -> None:
    desk = Desk()
    assert desk.hear(text("2")) == [("heard",)]
    assert desk.sent == [b"\x81\x81\0\0\0\x003"]
    assert desk.hear(frame(0x89, b"hi")) == [("heard",)]
    assert desk.sent[1] == b"\x8a\x82\0\0\0\0hi"


def test_heartbeat_that_cannot_be_answered_ends_the_chunk() -> None:
    desk = Desk()
    desk.breaks = True
    assert desk.hear(text("2") + text("2") + text(revision(0))) == [("lost", "reset")]


@pytest.mark.parametrize(
    ("chunk", "reason"),
    [
        (text('44{"message":"no"}'), "session_refused"),
        (text("41"), "disconnected_by_server"),
        (text("1"), "disconnected_by_server"),
        (close(1012), "close_1012"),
        (frame(0x88), "close_1005"),
        (frame(0x88, b"\x03"), "bad_close"),
        (text("9"), "malformed_packet"),
        (frame(0x82, b"\1"), "malformed_packet"),
        (frame(0xC1, b"2"), "bad_rsv"),
        (frame(0x83), "bad_opcode"),
        (b"\x81\xff" + b"\0" * 20, "bad_mask"),
        (frame(0x81, b"\xff"), "bad_utf8"),
        (frame(0x80, b"x"), "bad_fragment"),
    ],
)
@pytest.mark.parametrize("slowly", [False, True])
def test_end_has_its_reason_on_both_paths(chunk: bytes, reason: str, slowly: bool) -> None:
    desk = Desk()
    if slowly:
        desk.hear(text("6")[:1])
        chunk = text("6")[1:] + chunk
    assert desk.hear(chunk + text("2")) == [("lost", reason)]
    assert not desk.listener._readers


@pytest.mark.parametrize(
    ("chunk", "hint_s"),
    [
        (frame(0x88, b"\x0f\xadretry-after=12.5"), 12.5),
        (frame(0x88, b'\x0f\xad{"retry_after_s": 3}'), 3.0),
        (close(4013), None),
        (text('44{"message":"busy","data":{"retry_after_s":0.5}}'), 0.5),
        (text("41"), None),
    ],
)
def test_hint_of_the_server_is_handed_on(chunk: bytes, hint_s: float | None) -> None:
    desk = Desk()
    desk.hear(chunk)
    assert desk.hints == [hint_s]


def test_close_is_answered_with_its_code() -> None:
    desk = Desk()
    desk.hear(close(1001))
    assert desk.sent == [b"\x88\x82\0\0\0\0\x03\xe9"]


def test_close_of_a_peer_that_has_ended_its_side_is_not_answered() -> None:
    desk = Desk()
    desk.listener.chunk(0, close(1001), desk.clock.now_ns, ended=True)
    assert desk.sent == []
    assert desk.told == [("lost", "close_1001")]


# --- acknowledgements ------------------------------------------------------------------------------------------------


def test_own_requests_are_the_herds_and_others_the_hooks() -> None:
    notes = Notes()
    desk = Desk(SUBSCRIBING, hooks=notes)
    chunks = [text('430[{"ok":true}]'), text('431[{"ok":false}]'), text(f"43{FIRST_FREE_REQUEST + 5}[]")]
    assert desk.hear(*chunks) == [("subscribed", 0, True), ("subscribed", 1, False)]
    assert notes.told == [("acked", 0, FIRST_FREE_REQUEST + 5)]


def test_late_answer_to_a_subscription_is_nobodys() -> None:
    notes = Notes()
    assert Desk(LIVE, hooks=notes).hear(text('430[{"ok":true}]')) == []
    assert notes.told == []


def test_answers_without_numbers_are_the_herds_until_it_is_live() -> None:
    notes = Notes()
    rule = {"subscribe_ack": True, "ack_path": "type", "ack_equals": "ok"}
    desk = Desk(SUBSCRIBING, dialect=WebSocketDialect(subscribe_message={}, **rule), hooks=notes)
    assert desk.hear(text('{"type":"ok"}')) == [("subscribed", None, True)]
    desk.states[0] = LIVE
    assert desk.hear(text('{"type":"ok"}')) == []
    assert notes.told == [("acked", 0, None)]


# --- messages --------------------------------------------------------------------------------------------------------


def sched() -> int:
    return FakeClock().now_ns


def test_chunk_of_messages_of_this_run_gets_its_books_once_handled() -> None:
    desk = Desk()
    chunk = text(revision(0, sched_ns=sched())) + text(revision(1, sched_ns=sched()))
    assert desk.hear(chunk) == [("reached",), ("reached",)]
    books = desk.listener.interner.young[chunk].books
    assert books is not None
    assert [book.seq for book in books] == [0, 1]
    assert [len(book.times) for book in books] == [1, 1]


@pytest.mark.parametrize(
    "chunk",
    [
        text("2"),
        text('42["news"]'),
        text(revision(0, run="deadbeef")),
        text(revision(0, channel=7)),
        text(revision(0)) + text("2"),
        text(revision(0)) + text('42["news"]'),
    ],
)
def test_chunk_with_anything_else_keeps_none(chunk: bytes) -> None:
    desk = Desk()
    desk.hear(chunk)
    assert desk.listener.interner.young[chunk].books is None


def test_with_hooks_every_message_is_handed_on_every_time() -> None:
    notes = Notes()
    desk = Desk(hooks=notes)
    for _ in range(2):
        desk.hear(text(revision(0, sched_ns=sched())))
    assert notes.told == [("message", 0, "revision")] * 2


def test_foreign_message_is_counted_once_each_time_it_comes() -> None:
    desk = Desk()
    for _ in range(3):
        desk.hear(text(revision(0, channel=7)))
    assert desk.counts() == {"foreign": 3}
    for _ in range(2):
        desk.hear(text(revision(0, run="deadbeef")))
    assert desk.account.counts["foreign"] == 2
    assert desk.counts() == {}


def test_message_without_a_marker_is_received_and_with_no_ledger_all_are() -> None:
    desk = Desk()
    desk.hear(text('42["news"]'), text('42["revision",{"text":"lt1.nonsense"}]'))
    assert desk.account.counts["received"] == 2
    publisher = Desk(listening=False)
    publisher.hear(text(revision(0)))
    assert publisher.account.counts["received"] == 1


# --- the slow path ---------------------------------------------------------------------------------------------------

PICTURE = text('451-["pic",{"_placeholder":true,"num":0}]')
ATTACHMENT = frame(0x82, b"\1\2\3")


@given(cuts=st.lists(st.integers(0, 400), max_size=12))
def test_bytes_cut_anywhere_say_the_same(cuts: list[int]) -> None:
    data = (
        text(revision(0, sched_ns=sched()))
        + text("2")
        + PICTURE
        + ATTACHMENT
        + frame(0x01, b'42["ne')
        + frame(0x89)
        + frame(0x80, b'ws"]')
        + text(revision(1, sched_ns=sched()))
    )
    places = [0, *sorted(cut % len(data) for cut in cuts), len(data)]
    desk = Desk()
    chunks = [data[start:stop] for start, stop in pairwise(places) if start < stop]
    assert desk.hear(*chunks) == [("reached",), ("heard",), ("heard",), ("reached",)]
    assert desk.account.counts["received"] == 2
    assert desk.quick
    assert not desk.listener._readers
    assert not desk.listener._attachments


def test_slot_is_not_quick_while_something_is_unfinished() -> None:
    desk = Desk()
    desk.hear(PICTURE)
    assert not desk.quick
    desk.hear(ATTACHMENT[:2])
    assert not desk.quick
    desk.hear(ATTACHMENT[2:])
    assert desk.quick
    desk.hear(frame(0x01, b"42"))
    assert not desk.quick


def test_text_among_attachments_is_a_fault_and_control_frames_are_not() -> None:
    desk = Desk()
    assert desk.hear(PICTURE, frame(0x89, b"hi")) == [("heard",)]
    assert desk.hear(text("2")) == [("lost", "malformed_packet")]
    assert not desk.listener._attachments


def test_attachments_of_another_namespace_are_collected_and_dropped() -> None:
    desk = Desk()
    assert desk.hear(text('451-/other,["pic",{"_placeholder":true,"num":0}]'), ATTACHMENT, text("2")) == [("heard",)]
    assert desk.account.counts["received"] == 0


def test_attachments_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.herd.listener.MAX_MESSAGE_BYTES", 100)
    desk = Desk()
    piece = frame(0x82, bytes(40))
    assert desk.hear(text('453-["pic"]'), piece, piece) == []
    assert desk.hear(piece) == [("lost", "message_too_large")]


def test_forgetting_drops_what_was_unfinished() -> None:
    desk = Desk()
    desk.hear(PICTURE + ATTACHMENT[:1])
    desk.listener.forget(0)
    assert desk.hear(text("2")) == [("heard",)]


@given(chunks=st.lists(st.binary(max_size=30), max_size=4))
def test_no_bytes_raise(chunks: list[bytes]) -> None:
    Desk().hear(*chunks)


def test_marker_of_a_message_is_found_where_the_profile_says() -> None:
    desk = Desk()
    desk.hear(text(f'42["revision",{{"other":"{marker(0, sched_ns=sched())}"}}]'))
    assert desk.account.counts["received"] == 1
