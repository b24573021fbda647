"""The open-loop schedule on a clock that only sleeping moves, and publishing by HTTP against a real small server."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import gevent
import pytest

from loadtest.clock import NS_PER_MS, NS_PER_S, FakeClock
from loadtest.users import messages, publisher_user
from loadtest.users.attach import make_bridge
from loadtest.users.publisher_user import PublisherUser
from loadtest.users.publishing import CanaryOrder
from tests.users.conftest import chat

PLAN = {"run": "0123abcd", "worker": 0, "herd": 0, "herds": 1, "connections": 20, "profile": None, "folder": ""}


class Enough(Exception):  # noqa: N818 - the end of a test's schedule
    """Ends the schedule."""


class Way:
    """Takes what is published; `seconds` pass while it does."""

    def __init__(self, clock: FakeClock, *, seconds: float = 0.0, live: bool = True) -> None:
        self.clock, self.seconds, self.live = clock, seconds, live
        self.published = []

    def publish(self, variables, message) -> bool:
        self.clock.advance(self.seconds)
        if self.live:
            self.published.append((variables["marker"], message))
        return self.live

    def stop(self) -> None:
        """Nothing to stop."""


@pytest.fixture
def speaker(environment, request):
    class Speaker(PublisherUser):
        profile = getattr(request, "param", None) or chat()

    bridge = make_bridge(environment, "publisher")
    for name in (messages.HELLO, messages.PUBLISHED, messages.REPORT):
        environment.runner.register_message(name, lambda **_: None)
    environment.runner.send_message(messages.PLAN, PLAN)
    user = Speaker(environment)
    user.on_start()
    user._greenlet_of_schedule.kill()
    yield user
    user.on_stop()
    bridge.stop()


def run(speaker: PublisherUser, monkeypatch, *, until_s: float, born_s: float = 0.0, **way: object) -> Way:
    """Run the schedule from second 1 until the clock says `until_s`."""
    clock = FakeClock()
    speaker._born_ns = clock() + round(born_s * NS_PER_S)
    clock.advance(born_s)
    speaker._clock, speaker._way = clock, Way(clock, **way)
    speaker._bridge.publish_from_ns = NS_PER_S

    def sleep(seconds: float) -> None:
        clock.advance(seconds)
        if clock() >= until_s * NS_PER_S:
            raise Enough

    monkeypatch.setattr(publisher_user, "gevent", SimpleNamespace(sleep=sleep))
    with pytest.raises(Enough):
        speaker._run()
    monkeypatch.undo()
    return speaker._way


def test_messages_are_evenly_spaced_and_channels_take_turns(speaker, monkeypatch) -> None:
    published = [message for _, message in run(speaker, monkeypatch, until_s=2).published]
    assert [message.sched_ns for message in published] == [NS_PER_S + 100 * NS_PER_MS * n for n in range(10)]
    assert [message.channel for message in published] == [0, 1] * 5
    assert [message.seq for message in published] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert {message.late_ns for message in published} == {0}
    assert len({message.epoch for message in published}) == 1


def test_a_slow_system_does_not_slow_the_schedule(speaker, monkeypatch) -> None:
    published = [message for _, message in run(speaker, monkeypatch, until_s=60, seconds=0.15).published[:17]]
    assert [message.sched_ns for message in published[:4]] == [NS_PER_S + 100 * NS_PER_MS * n for n in range(4)]
    assert [message.late_ns for message in published[:4]] == [50 * NS_PER_MS * n for n in range(4)]
    marker = speaker._way.published[3][0]
    assert marker == f"lt1.0123abcd.1.{published[3].epoch}.1.1300000000.150000000"


def test_a_publisher_that_is_spawned_late_owes_nothing_for_the_time_before(speaker, monkeypatch) -> None:
    published = [message for _, message in run(speaker, monkeypatch, until_s=2, born_s=0.5).published]
    assert [message.late_ns for message in published] == [0] * 5
    assert published[0].sched_ns == NS_PER_S * 3 // 2


def test_without_a_connection_nothing_is_sent_late_or_numbered(speaker, monkeypatch) -> None:
    run(speaker, monkeypatch, until_s=2, live=False)
    assert speaker._bridge.publishing.unsent == 10
    assert speaker._regular.sent == {}


def test_several_publisher_workers_share_the_channels_and_the_rate(speaker, monkeypatch) -> None:
    speaker._bridge.number, speaker._bridge.of = 1, 2
    speaker._prepare()
    speaker._greenlet_of_schedule.kill()
    published = [message for _, message in run(speaker, monkeypatch, until_s=2).published]
    assert [message.channel for message in published] == [1] * 5


def obey(speaker: PublisherUser, *orders: CanaryOrder, at_s: float) -> list:
    """Have the publisher obey orders at a time on its clock; return what it published."""
    clock = FakeClock()
    clock.advance(at_s - clock() / NS_PER_S)
    speaker._clock, speaker._way = clock, Way(clock)
    for order in orders:
        speaker._bridge.canary(order)
    speaker._greenlets_of_canaries.join(timeout=5)
    return [message for _, message in speaker._way.published]


def test_a_canary_is_scheduled_for_when_it_was_ordered_and_numbered_apart(speaker, monkeypatch) -> None:
    regular = [message for _, message in run(speaker, monkeypatch, until_s=2).published]
    orders = [CanaryOrder(0, 2, 3 * NS_PER_S), CanaryOrder(1, 1, 4 * NS_PER_S)]
    published = obey(speaker, *orders, at_s=4.25)
    assert [(message.channel, message.seq, message.sched_ns, message.late_ns) for message in published] == [
        (0, 0, 3 * NS_PER_S, 1250 * NS_PER_MS),
        (1, 0, 3 * NS_PER_S, 1250 * NS_PER_MS),
        (1, 1, 4 * NS_PER_S, 250 * NS_PER_MS),
    ]
    assert len({message.epoch for message in published} | {message.epoch for message in regular}) == 2
    assert speaker._bridge.publishing.lateness.count == 10 + 3


def test_a_canary_goes_to_the_channels_of_this_publisher_alone(speaker) -> None:
    speaker._bridge.number, speaker._bridge.of = 1, 2
    speaker._prepare()
    published = obey(
        speaker, CanaryOrder(0, 2, NS_PER_S), CanaryOrder(0, 1, NS_PER_S), CanaryOrder(7, 9, NS_PER_S), at_s=1
    )
    assert [message.channel for message in published] == [1]


def test_a_publisher_that_has_left_obeys_no_more(speaker) -> None:
    speaker.on_stop()
    assert speaker._bridge.canary is None


# --- by HTTP ---------------------------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """POST /ok, /no (503), /garbage (not HTTP), /gone (closes)."""

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/garbage":
            self.wfile.write(b"this is not HTTP\r\n\r\n")
        elif self.path != "/gone":
            self.send_response({"/ok": 202, "/no": 503}[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.bodies = []
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "failures"),
    [("ok", 0), ("no", "http_503"), ("garbage", "httpparseerror"), ("gone", "httpconnectionclosed")],
)
def test_an_http_publish_counts_when_it_was_accepted(speaker, server, path, failures) -> None:
    profile = chat().model_dump(by_alias=True, mode="json", exclude_none=True)
    del profile["publish"]["event"], profile["publish"]["args"]
    profile["publish"] |= {
        "via": "http",
        "http": {"url": f"http://127.0.0.1:{server.server_port}/{path}", "body": {"text": "{marker}"}},
    }
    speaker._plan = type(chat()).model_validate(profile)
    way = publisher_user._ByHttp(speaker)
    message = publisher_user.Announced(0, 1, 2, 3, 4)
    with gevent.Timeout(5):
        assert way.publish({"marker": "lt1.m"}, message)
        way._pool.join()
    assert server.bodies[0] == b'{"text":"lt1.m"}'
    publishing = speaker._bridge.publishing
    assert publishing.published == (0 if failures else 1)
    assert publishing.failures == (Counter([failures]) if failures else Counter())
    way.stop()
