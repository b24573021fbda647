"""Who is let in, who hears what, and what becomes of malformed words. No network: a master that keeps what it sends."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from loadtest import __version__
from loadtest.clock import NS_PER_S, now_ns
from loadtest.faults.fault import FaultFailedError
from loadtest.metrics.books import Books
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.receive_queue import ReceiveQueue
from loadtest.metrics.service_recovery import ServiceRecovery
from loadtest.users import messages
from loadtest.users.master_bridge import MasterBridge
from tests.users.conftest import FakeMaster, chat

NOTHING = Histogram().to_wire()


class House:
    """A master bridge with its fake master, and the log."""

    def __init__(self, *workers: str) -> None:
        self.master = FakeMaster(*workers)
        self.bridge = MasterBridge(SimpleNamespace(runner=self.master))
        self.said: list[str] = []
        self.bridge.log = self.said.append

    def hello(self, worker: str, role: str = "any", version: str = __version__, **more: object) -> None:
        self.master.hear(messages.HELLO, {"role": role, "version": version, "pid": 7, "host": "h", **more}, worker)

    def begin(self) -> Books:
        self.bridge.send_plan(None, 100)
        self.bridge.books = Books(100, 0, 10**9, ServiceRecovery(10, 0.1))
        return self.bridge.books

    def plan(self, worker: str) -> dict:
        return self.master.told(messages.PLAN, worker)[-1]


def report(worker: int, seq: int = 1, **more: object) -> dict:
    return {
        "worker": worker, "seq": seq, "t_ns": 1, "final": False, "herds": [], "outages": {}, "others": [],
        "clock_error_ns": 0,
        "publishing": {"published": 3, "unsent": 0, "failures": {}, "lateness": NOTHING},
        "generator": {
            "lag": NOTHING, "receive_queue": ReceiveQueue().to_wire(), "cpu_percent": 1.0, "rss_bytes": 1, "gc_ms": 0,
            "gc_max_ms": 0.0, "errors": 0,
        },
    } | more  # fmt: skip


def test_each_worker_gets_a_place_of_its_own() -> None:
    house = House("c", "a", "b", "p")
    for worker, role in (("c", "herd"), ("a", "herd"), ("p", "publisher"), ("b", "herd")):
        house.hello(worker, role)
    house.begin()
    plans = {worker: house.plan(worker) for worker in "abcp"}
    assert [plans[worker]["worker"] for worker in "capb"] == [0, 1, 2, 3]
    # places within a role follow the ids, as users are dealt
    assert {worker: (plan["herd"], plan["herds"]) for worker, plan in plans.items()} == {
        "a": (0, 3), "b": (1, 3), "c": (2, 3), "p": (0, 1)
    }  # fmt: skip
    assert [house.bridge.role_of(worker) for worker in ("a", "p", "stranger")] == ["herd", "publisher", ""]


class Obedient:
    """Workers that answer what they are asked, each with its own words."""

    def __init__(self, house: House, **answers: dict) -> None:
        send = house.master.send_message

        def answer(name: str, data: dict, client_id: str | None = None) -> None:
            send(name, data, client_id=client_id)
            if name == messages.AFFLICT and client_id in answers:
                told = {"id": data["id"], "act": "afflict", "error": "", "hit": 0}
                house.master.hear(messages.AFFLICTED, {**told, **answers[client_id]}, client_id)

        house.master.send_message = answer


def asked(**answers: dict) -> list[dict]:
    house = House(*answers)
    for worker in answers:
        house.hello(worker)
    house.begin()
    Obedient(house, **answers)
    return house.bridge.ask("afflict", {"id": "x"}, 0.05)


def test_every_worker_answers_what_a_fault_did_there() -> None:
    assert sum(answer["hit"] for answer in asked(a={"hit": 3}, b={"hit": 4})) == 7


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "no room"}, "fault x: no room"),
        ({"error": "fault x: no room"}, "^fault x: no room"),
        ({"id": "y"}, "worker 1 did not afflict within 0.05 s"),
        ({"hit": -1}, "worker 1 did not"),
        ({"hit": True}, "worker 1 did not"),
        ({"facts": {"a": float("nan")}}, "worker 1 did not"),
        ({"facts": {"a": "b"}}, "worker 1 did not"),
    ],
)
def test_a_fault_that_a_worker_did_not_carry_out_has_failed(answer: dict, words: str) -> None:
    with pytest.raises(FaultFailedError, match=words):
        asked(a={"hit": 1}, b=answer)


@pytest.mark.parametrize(
    ("hello", "words"),
    [
        ({"version": "0.0.9"}, "it runs version 0.0.9"),
        ({"version": None}, "it runs version None"),
        ({"role": "spy"}, "it has the role 'spy'"),
    ],
)
def test_who_does_not_fit_is_refused_and_told_why_once(hello, words) -> None:
    house = House("a")
    house.hello("a", **hello)
    house.hello("a", **hello)
    assert house.bridge.count() == 0
    assert len(house.said) == 1
    assert words in house.said[0]
    assert words in house.master.told(messages.REFUSED, "a")[0]["reason"]


def test_a_hello_of_nobody_that_locust_knows_is_not_heard() -> None:
    house = House("a")
    house.hello("orphan-of-another-master")
    assert house.bridge.count() == 0
    assert house.master.sent == []


def test_hello_without_sense_is_refused() -> None:
    house = House("a")
    house.master.hear(messages.HELLO, ["what"], "a")
    house.hello("a", pid="seven")
    assert house.bridge.workers["a"].pid == 0


def test_a_worker_that_comes_late_waits_for_the_next_run() -> None:
    house = House("a", "b")
    house.hello("a")
    books = house.begin()
    house.hello("b")
    house.bridge.tell(messages.GO, {})
    assert (len(house.master.told(messages.GO, "a")), house.master.told(messages.GO, "b")) == (1, [])
    assert house.bridge.role_of("b") == ""
    house.master.hear(messages.REPORT, report(0), "b")
    assert (books.rejected, books.workers) == (0, {})
    house.bridge.renew()
    house.begin()
    assert house.bridge.role_of("b") == "any"
    assert [house.plan(worker)["herds"] for worker in "ab"] == [2, 2]


def test_a_lost_worker_is_forgotten_in_the_next_run() -> None:
    house = House("a", "b")
    house.hello("a")
    house.hello("b")
    house.begin()
    house.bridge.give_up(house.bridge.workers["a"], "gone")
    house.bridge.renew()
    house.begin()
    plan = house.plan("b")
    assert (plan["worker"], plan["herds"]) == (0, 1)
    assert house.master.told(messages.PLAN, "a")[0]["run"] != plan["run"]


def test_a_worker_cannot_speak_as_another() -> None:
    house = House("a", "b")
    house.hello("a")
    house.hello("b")
    books = house.begin()
    house.master.hear(messages.REPORT, report(0), "b")
    assert books.rejected == 1
    assert house.said == ["report of worker 1 refused: it speaks as worker 0"]
    house.master.hear(messages.REPORT, report(1), "b")
    assert (books.total.published, books.rejected) == (3, 1)


@pytest.mark.parametrize("broken", [None, [], "x", {"worker": 0}, report(0, seq=0), report(0, herds={}),
                                    report(0, publishing=None), report(0, clock_error_ns=-1),
                                    report(0, t_ns=now_ns() + 3600 * NS_PER_S)])  # fmt: skip
def test_a_malformed_report_is_named_and_nothing_of_it_counts(broken) -> None:
    house = House("a")
    house.hello("a")
    books = house.begin()
    house.master.hear(messages.REPORT, broken, "a")
    assert (books.total.published, books.rejected) == (0, 1)
    assert len(house.said) == 1
    assert house.said[0].startswith("report")


def test_each_workers_clock_is_known_with_its_largest_error() -> None:
    house = House("a")
    house.hello("a")
    house.begin()
    for seq, (offset_ns, error_ns) in enumerate([(-5_000_000_000, 2_000_000), (-5_000_100_000, 1_000_000)], 1):
        more = {"clock_offset_ns": offset_ns, "clock_error_ns": error_ns}
        house.master.hear(messages.REPORT, report(0, seq, **more), "a")
    assert house.bridge.clocks() == {0: {"clock_offset_s": -5.0001, "clock_error_ms": 2.0}}
    assert house.bridge.clock_error_ns() == 4_000_000  # published and heard there: both times may be wrong


def test_a_report_sent_twice_counts_once() -> None:
    house = House("a")
    house.hello("a")
    books = house.begin()
    for _ in range(2):
        house.master.hear(messages.REPORT, report(0), "a")
    assert (books.total.published, books.rejected) == (3, 1)


def test_announcements_go_to_all_listeners_but_the_sender() -> None:
    house = House("a", "b", "p", "lost")
    for worker, role in (("a", "herd"), ("b", "any"), ("p", "publisher"), ("lost", "herd")):
        house.hello(worker, role)
    house.begin()
    house.bridge.give_up(house.bridge.workers["lost"], "gone")
    rows = [[0, 1, 2, 3, 4]]
    house.master.hear(messages.PUBLISHED, {"messages": rows}, "b")
    told = {worker: house.master.told(messages.PUBLISHED, worker) for worker in ("a", "b", "p", "lost")}
    assert told == {"a": [{"messages": rows}], "b": [], "p": [], "lost": []}


@pytest.mark.parametrize(
    "rows",
    [None, {}, [[1, 2, 3, 4]], [[0, 1, 2, 3, -4]], [[0, 1, 2, 3, True]], [["0", 1, 2, 3, 4]], [7],
     [[0, 1, 2, now_ns() + 3600 * NS_PER_S, 0]], [[0, 1, 1 << 63, 3, 0]]],
)  # fmt: skip
def test_malformed_announcements_are_named_and_go_nowhere(rows) -> None:
    house = House("a", "b")
    house.hello("a")
    house.hello("b")
    books = house.begin()
    house.master.hear(messages.PUBLISHED, {"messages": rows}, "a")
    assert house.master.told(messages.PUBLISHED, "b") == []
    assert house.said[0].startswith("message of worker 0 refused: announcements are a list")
    assert books.rejected == 1


def test_the_log_names_a_worker_a_few_times_and_counts_on() -> None:
    house = House("a")
    house.hello("a")
    books = house.begin()
    for _ in range(100):
        house.master.hear(messages.REPORT, None, "a")
    assert (len(house.said), books.rejected) == (5, 100)
    assert house.said[-1].endswith("; more of it is counted, not told")


def test_the_profile_goes_with_the_plan_when_the_master_leads() -> None:
    house = House("a")
    house.hello("a")
    profile = chat()
    house.bridge.send_plan(profile, 20)
    assert house.plan("a")["profile"] == profile.content()
