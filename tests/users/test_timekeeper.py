"""A worker's copy of the master's clock: the clock itself at home, an estimate with a bound elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.clock import NS_PER_S, now_ns
from loadtest.users import timekeeper
from loadtest.users.timekeeper import AT_FIRST, EVERY_NS, Timekeeper, answer, clock_identity

AHEAD_NS = 5_000 * NS_PER_S


class Wire:
    """Carry questions to a master whose clock is `ahead_ns` ahead, and its answers back."""

    def __init__(self, ahead_ns: int, identity: str) -> None:
        self.questions: list[dict] = []
        self._ahead_ns = ahead_ns
        self._identity = identity

    def ask(self, question: dict) -> None:
        self.questions.append(question)

    def deliver(self, keeper: Timekeeper) -> None:
        """Answer the oldest question."""
        said = answer(self.questions.pop(0), now_ns(), self._identity)
        keeper.take(said | {key: said[key] + self._ahead_ns for key in ("heard_ns", "answered_ns")})


def known(wire: Wire) -> Timekeeper:
    keeper = Timekeeper(wire.ask)
    keeper.tend()
    while wire.questions:
        wire.deliver(keeper)
    return keeper


def test_the_masters_own_clock_is_the_clock_itself() -> None:
    wire = Wire(0, clock_identity())
    keeper = known(wire)
    assert keeper.known
    assert keeper.clock is now_ns, "no cost"
    assert keeper.error_ns == 0
    keeper.tend()
    assert wire.questions == [], "one exchange is enough"


def test_another_clock_is_followed_within_its_error() -> None:
    keeper = known(Wire(AHEAD_NS, "another boot"))
    assert keeper.known
    assert 0 < keeper.error_ns < NS_PER_S
    before, copy, after = now_ns(), keeper.clock(), now_ns()
    assert before + AHEAD_NS - keeper.error_ns <= copy <= after + AHEAD_NS + keeper.error_ns


def test_it_is_not_used_before_some_exchanges() -> None:
    wire = Wire(AHEAD_NS, "another boot")
    keeper = Timekeeper(wire.ask)
    keeper.tend()
    for number in range(AT_FIRST):
        assert not keeper.known
        assert len(wire.questions) == 1, f"asked again at once after answer {number}"
        wire.deliver(keeper)
    assert keeper.known
    assert wire.questions == []


def test_a_lost_question_is_repeated_and_a_known_clock_asked_for_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0, NS_PER_S // 8, NS_PER_S, NS_PER_S + 1])
    monkeypatch.setattr(timekeeper, "now_ns", lambda: next(times))
    wire = Wire(0, "another boot")
    keeper = Timekeeper(wire.ask)
    for _ in range(4):
        keeper.tend()
    assert [question["asked_ns"] for question in wire.questions] == [0, NS_PER_S]
    monkeypatch.undo()
    wire = Wire(AHEAD_NS, "another boot")
    keeper = known(wire)
    keeper.tend()
    assert wire.questions == [], "not yet"
    monkeypatch.setattr(timekeeper, "now_ns", lambda: now_ns() + EVERY_NS)
    keeper.tend()
    keeper.tend()
    assert len(wire.questions) == 1


def test_a_process_that_is_the_master_too_asks_nobody() -> None:
    keeper = Timekeeper(None)
    keeper.tend()
    assert keeper.known
    assert keeper.answered
    assert keeper.clock is now_ns
    assert keeper.error_ns == 0


@pytest.mark.parametrize("stamps", [{}, {"asked_ns": "1", "heard_ns": 1, "answered_ns": 1}, {"asked_ns": -1}])
def test_an_answer_that_is_none_is_refused(stamps: dict) -> None:
    keeper = Timekeeper(lambda _: None)
    with pytest.raises(ValueError):
        keeper.take(stamps)
    assert not keeper.known


@pytest.mark.parametrize("question", [{}, {"asked_ns": 1.5}, {"asked_ns": True}, {"asked_ns": -1}])
def test_a_question_that_is_none_is_refused(question: dict) -> None:
    with pytest.raises(ValueError, match="asked_ns"):
        answer(question, 0, "")


def test_the_identity_tells_boots_and_time_namespaces_apart(tmp_path: Path) -> None:
    def identity(boot: str, offsets: str | None) -> str:
        root = tmp_path / boot / (offsets or "none").replace(" ", "_")
        (root / "proc/sys/kernel/random").mkdir(parents=True)
        (root / "proc/sys/kernel/random/boot_id").write_text(boot + "\n")
        (root / "proc/self").mkdir(parents=True)
        if offsets is not None:
            (root / "proc/self/timens_offsets").write_text(f"monotonic {offsets}\nboottime 0 0\n")
        return clock_identity(root)

    found = {identity(boot, offsets) for boot in ("b1", "b2") for offsets in ("0 0", "5000 0", None)}
    assert len(found) == 6
    assert clock_identity(tmp_path / "nowhere") == "", "unknown is never the same"


def test_unknown_identities_are_not_taken_for_the_same_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timekeeper, "clock_identity", lambda: "")
    keeper = known(Wire(AHEAD_NS, ""))
    assert keeper.clock is not now_ns
