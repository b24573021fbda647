"""What the pages are told: bounded, each second once, and never a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadtest.web import watch as module
from loadtest.web.watch import Watch, shown_target

from ..users.conftest import chat
from .test_history import line


def events(watch: Watch, queue: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return what waits in a page's queue."""
    told = []
    while not queue.empty():
        kind, data = queue.get_nowait().decode().split("\n", 1)
        told.append((kind.removeprefix("event: "), json.loads(data.strip().removeprefix("data: "))))
    return told


OPEN: list[Any] = []
"""Pages that are open: one that is closed is forgotten at once."""


def follow(watch: Watch) -> Any:
    """Open a page; return its queue."""
    before = set(watch._queues)
    stream = watch.follow()
    OPEN.append(stream)
    assert next(stream).startswith(b"retry")
    (queue,) = watch._queues - before
    return queue


def test_a_page_hears_each_second_and_each_mark_in_order(watch: Watch) -> None:
    queue = follow(watch)
    watch.feed(line(1.0, log=["hello"]))
    watch.mark({"t_s": 1.5, "mark": "deploy", "kind": "deploy", "text": "all-at-once"})
    watch.feed(line(2.0))
    told = events(watch, queue)
    assert [kind for kind, _ in told] == ["line", "mark", "line"]
    numbers = [content["seq"] for _, content in told]
    assert numbers == sorted(set(numbers))
    assert told[0][1]["log"] == [[1.0, "hello"]]
    assert told[1][1]["mark"] == "deploy"


def test_a_page_that_opens_late_has_the_history_and_its_number(watch: Watch) -> None:
    watch.feed(line(1.0))
    watch.feed(line(2.0))
    history = watch.history()
    assert history["columns"]["t_s"] == [1.0, 2.0]
    assert (history["state"], history["title"]) == ("running", "profile")
    queue = follow(watch)
    watch.feed(line(3.0))
    assert events(watch, queue)[0][1]["seq"] == history["seq"] + 1


def test_a_page_that_does_not_keep_up_is_let_go(watch: Watch) -> None:
    slow, swift = follow(watch), follow(watch)
    for second in range(module.PATIENCE + 5):
        watch.feed(line(float(second)))
        events(watch, swift)
    assert slow not in watch._queues
    assert swift in watch._queues


def test_a_page_that_is_closed_is_forgotten(watch: Watch) -> None:
    follow(watch)
    OPEN.pop().close()
    assert watch._queues == set()


def test_more_pages_than_bearable_are_refused(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGES", 2)
    follow(watch)
    follow(watch)
    with pytest.raises(OverflowError):
        watch.follow()


def test_costly_answers_are_worked_out_once_a_second(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(watch, "_recovery", lambda: asked.append(1) or [])
    watch.feed(line(1.0))
    for _ in range(5):
        watch.recovery()
    watch.feed(line(2.0))
    watch.recovery()
    assert len(asked) == 2


def test_after_the_run_the_last_word_stays(watch: Watch) -> None:
    queue = follow(watch)
    watch.leave({"run_id": "r", "verdict": "fail", "reasons": ["Too slow."]})
    assert events(watch, queue)[-1][1]["outcome"] == {"run_id": "r", "verdict": "fail", "reasons": ["Too slow."]}
    assert watch.history()["state"] == "over"
    watch.begin("next", "elsewhere")
    assert (watch.history()["columns"]["t_s"], watch.history()["outcome"]) == ([], {})


def test_a_target_is_shown_without_what_its_url_carries() -> None:
    profile = chat(url="wss://user:hush@gateway.example/socket.io/?key=hush")
    assert "hush" not in shown_target(profile)
    assert "gateway.example" in shown_target(profile)


def test_no_secret_is_told(watch: Watch) -> None:
    watch.feed(line(1.0))
    told = json.dumps([watch.history(), watch.head(), watch.workers(), watch.recovery()])
    assert "secret-of-the-stack" not in told
