"""The master's end of the bridge: introduces workers to the run, relays announcements, merges reports into the books.

    workers --clock--> what time it is                     (see `timekeeper`)
    workers --hello--> who is there --plan--> workers      (before any user is spawned)
    worker --published--> all other workers                (a message is expected everywhere its channel has members)
    workers --report--> Books;  malformed ones are counted, named and dropped

Law: a worker speaks only with the identity Locust gave its connection (`gate`); two that claim the same number, or one
that does not fit the run (`muster`), or one that comes after the plan, are told so and take no part. What a worker says
that cannot be taken is counted and named, and of it nothing counts.
"""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import STATE_MISSING, LocalRunner, MasterRunner

from loadtest.clock import NS_PER_MS, NS_PER_S, now_ns
from loadtest.faults.fault import FaultFailedError
from loadtest.metrics.books import Books
from loadtest.metrics.wire import integer
from loadtest.profile.model import Profile
from loadtest.users import messages, shipment
from loadtest.users.afflictor import is_answer
from loadtest.users.gate import Gate
from loadtest.users.muster import Needs, unfit
from loadtest.users.timekeeper import MOST_NS, answer, clock_identity

logger = logging.getLogger(__name__)

MAX_ANNOUNCED = 100_000
MOST_AHEAD_NS = 5 * NS_PER_S
"""How far a worker's times may be ahead of the master's: their clocks agree within milliseconds."""

MOST_NAMED = 5
"""How often the log names one worker for what was refused; all are counted."""

LOCAL = "local"


@dataclass(slots=True)
class WorkerInfo:
    """A worker that introduced itself. `number` counts from 0 over all; `of_role` within its role.

    pid: 0 for a remote worker: a pid means something on its own machine only.
    files: how many it may open in each of its `tables`; 0: it did not say.
    clock_offset_ns: what it adds to its clock to have the master's. clock_error_ns: the largest error of that so far.
    planned: it has its place in this run; under plain Locust a worker may come later and wait for the next.
    """

    node: str
    role: str
    pid: int
    host: str
    number: int
    of_role: int = 0
    lost: str = ""
    remote: bool = False
    files: int = 0
    tables: int = 1
    clock_offset_ns: int = 0
    clock_error_ns: int = 0
    planned: bool = False

    def most_files(self, herd_files: int) -> int:
        """Return how many it may open for connections, in tables that each take whole herds of `herd_files`."""
        return max(self.files, self.tables * (self.files - self.files % max(1, herd_files)))


class MasterBridge:
    """One per master (or local runner). `log` takes what a person should know.

    Args:
        needs: what the run asks of its workers; may be set later, before any has come.
    """

    def __init__(self, environment: Environment, needs: Needs | None = None) -> None:
        runner = environment.runner
        assert isinstance(runner, MasterRunner | LocalRunner)
        self.run = secrets.token_hex(4)
        self.workers: dict[str, WorkerInfo] = {}
        self.books: Books | None = None
        self.needs = needs or Needs()
        self._runner = runner
        self.log: Callable[[str], None] = logger.info
        self._distributed = isinstance(runner, MasterRunner)
        self._closed = False
        self._refused: set[str] = set()
        self._named: Counter[str] = Counter()
        self._answers: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        self._identity = clock_identity()
        if isinstance(runner, MasterRunner):
            Gate(runner, self._refuse_words)
            runner.register_message(messages.CLOCK, self._on_clock)
        runner.register_message(messages.HELLO, self._on_hello)
        runner.register_message(messages.REPORT, self._on_report)
        runner.register_message(messages.PUBLISHED, self._on_published)
        runner.register_message(messages.AFFLICTED, self._on_afflicted)

    # --- who is there ------------------------------------------------------------------------------------------------

    def role_of(self, node: str) -> str:
        """Return the role a worker introduced itself with; "" when it takes no part in this run."""
        info = self.workers.get(node)
        return info.role if info is not None and info.planned else ""

    def _on_hello(self, environment: Environment, msg: Any, **_: Any) -> None:  # noqa: ARG002 - Locust's signature
        if isinstance(self._runner, MasterRunner) and msg.node_id not in self._runner.clients:
            return  # not a worker of Locust's, such as one that a master before this one left behind; it asks again
        data = msg.data if isinstance(msg.data, dict) else {}
        role, remote = str(data.get("role", "any")), data.get("remote") is True
        if self.needs.sends_profile and role == "any":
            role = "herd"  # a plain `locust --worker` that joins a run whose publishers are workers of their own
        if reason := unfit(data, self.needs):
            self._refuse(msg.node_id, reason)
        elif msg.node_id in self.workers:
            return  # it says hello until it has its plan
        elif self._closed:
            self._refuse(msg.node_id, "the run has begun without it")
        else:
            given = data.get("pid")
            pid = given if isinstance(given, int) and not remote else 0
            host = str(data.get("host", ""))[:255]
            files, tables = data.get("files"), data.get("tables")
            self.workers[msg.node_id] = WorkerInfo(
                msg.node_id,
                role,
                pid,
                host,
                len(self.workers),
                remote=remote,
                files=files if isinstance(files, int) else 0,
                tables=tables if isinstance(tables, int) else 1,
            )

    def _refuse(self, node: str, reason: str) -> None:
        """Tell a worker that it takes no part; it may ask again, but the log has it once."""
        if node not in self._refused:
            self._refused.add(node)
            self.log(f"worker {node} refused: {reason}")
        self._send(messages.REFUSED, {"reason": reason}, node)

    def _refuse_words(self, node: str, why: str) -> None:
        """Count a message that was refused and name its sender; a stranger hears why, a worker is still needed."""
        info = self.workers.get(node)
        if info is None:
            self._send(messages.REFUSED, {"reason": why}, node)
        elif self.books is not None and info.planned:
            self.books.rejected += 1
        self._name(node, f"message of {f'worker {info.number}' if info else f'stranger {node!r}'} refused: {why}")

    def _name(self, node: str, sentence: str) -> None:
        self._named[node] += 1
        if self._named[node] <= MOST_NAMED:
            last = self._named[node] == MOST_NAMED
            self.log(sentence + ("; more of it is counted, not told" if last else ""))

    def _on_clock(self, environment: Environment, msg: Any, **_: Any) -> None:  # noqa: ARG002 - Locust's signature
        heard_ns = now_ns()
        try:
            self._send(messages.CLOCK, answer(msg.data or {}, heard_ns, self._identity), msg.node_id)
        except (ValueError, AttributeError) as error:  # another process's words: said, and not answered
            self._name(msg.node_id, f"question of worker {msg.node_id} about the time refused: {error}")

    def clock_error_ns(self) -> int:
        """Return the largest error of a time between two workers, publisher and listener: the sum of both; 0 here."""
        publishing = [info.clock_error_ns for info in self.workers.values() if info.role != "herd"]
        listening = [info.clock_error_ns for info in self.workers.values() if info.role != "publisher"]
        return max(publishing, default=0) + max(listening, default=0)

    def clocks(self) -> dict[int, dict[str, float]]:
        """Return, by worker, how far the master's clock is from its own, and how wrong that can be."""
        return {
            info.number: {
                "clock_offset_s": info.clock_offset_ns / NS_PER_S,
                "clock_error_ms": info.clock_error_ns / NS_PER_MS,
            }
            for info in self.workers.values()
        }

    def count(self, role: str | None = None) -> int:
        """Return how many workers (of a role) have introduced themselves and are not lost."""
        return sum(1 for info in self.workers.values() if not info.lost and role in (None, info.role))

    def renew(self) -> None:
        """Begin another run: a new run id, no books yet, and without the workers that were lost."""
        self.run = secrets.token_hex(4)
        self.books = None
        self.workers = {info.node: info for info in self.workers.values() if not info.lost}
        for number, info in enumerate(self.workers.values()):
            info.number, info.planned = number, False

    def send_plan(self, profile: Profile | None, connections: int) -> None:
        """Tell every worker its place in the run, and the profile unless each user class names its own."""
        self._closed = profile is not None  # else Locust leads, and a worker that comes late has its place next time
        parcel = None
        of_role: dict[bool, int] = {True: 0, False: 0}
        for info in sorted(self.workers.values(), key=lambda info: info.node):  # the order in which users are dealt
            publishes = info.role == "publisher"
            info.of_role, info.planned = of_role[publishes], True
            of_role[publishes] += 1
        for info in self.workers.values():
            plan = {
                "run": self.run,
                "worker": info.number,
                "herd": info.of_role,
                "herds": of_role[info.role == "publisher"],
                "connections": connections,
                "profile": None if profile is None else profile.content(),
                "folder": "" if profile is None else str(profile.file("")),
            }
            if info.remote and profile is not None:
                parcel = shipment.pack(profile) if parcel is None else parcel
                plan["files"] = parcel
            self._send(messages.PLAN, plan, info.node)

    def silent_workers(self) -> list[WorkerInfo]:
        """Return workers that Locust has given up and that are not marked lost yet."""
        runner = self._runner
        if not isinstance(runner, MasterRunner):
            return []
        return [info for info in self._taking_part() if not self._is_heard(info)]

    def forget_absent(self) -> None:
        """Forget workers that said hello and left before the run had begun; the others are numbered anew."""
        if isinstance(self._runner, MasterRunner) and not all(map(self._is_heard, self.workers.values())):
            self.workers = {info.node: info for info in self.workers.values() if self._is_heard(info)}
            for number, info in enumerate(self.workers.values()):
                info.number = number

    def _is_heard(self, info: WorkerInfo) -> bool:
        client = self._runner.clients.get(info.node) if isinstance(self._runner, MasterRunner) else None
        return client is not None and client.state != STATE_MISSING

    def _taking_part(self) -> list[WorkerInfo]:
        return [info for info in self.workers.values() if info.planned and not info.lost]

    def give_up(self, info: WorkerInfo, why: str) -> None:
        """Mark a worker lost."""
        info.lost = why
        if self.books is not None:
            self.books.lose(info.number)

    # --- messages ----------------------------------------------------------------------------------------------------

    def tell(self, name: str, data: dict[str, Any]) -> None:
        """Send a message to every worker that takes part and is not lost."""
        for info in self._taking_part():
            self._send(name, data, info.node)

    def ask(self, act: str, data: dict[str, Any], timeout_s: float) -> list[dict[str, Any]]:
        """Tell every worker that takes part to `act` ("afflict" or "relieve") on a fault, and return their answers.

        Raises:
            FaultFailedError: a worker cannot, with its reason, or does not answer in time; one that is lost is not
                waited for.
        """
        fault = data["id"]
        answers = self._answers[act, fault] = {}
        self.tell(messages.AFFLICT if act == "afflict" else messages.RELIEVE, data)
        deadline_ns = now_ns() + round(timeout_s * NS_PER_S)
        try:
            while any(info.node not in answers for info in self._taking_part()):
                if now_ns() > deadline_ns:
                    silent = [info.number for info in self._taking_part() if info.node not in answers]
                    raise FaultFailedError(f"fault {fault}: worker {silent[0]} did not {act} within {timeout_s:g} s")
                gevent.sleep(0.01)
        finally:
            del self._answers[act, fault]
        wrong = [answer["error"] for answer in answers.values() if answer["error"]]
        if wrong:
            raise FaultFailedError(wrong[0] if wrong[0].startswith("fault ") else f"fault {fault}: {wrong[0]}")
        return list(answers.values())

    def _on_afflicted(self, environment: Environment, msg: Any, **_: Any) -> None:  # noqa: ARG002 - Locust's signature
        answer = msg.data
        if not is_answer(answer):
            self._refuse_words(msg.node_id, "an answer to a fault is {id, act, error, hit or facts}")
            return
        answers = self._answers.get((answer["act"], answer["id"]))
        if answers is not None and msg.node_id in self.workers:
            answers[msg.node_id] = answer

    def _send(self, name: str, data: dict[str, Any], node: str) -> None:
        self._runner.send_message(name, data, client_id=None if node == LOCAL else node)

    def _on_report(self, environment: Environment, msg: Any, **_: Any) -> None:  # noqa: ARG002 - Locust's signature
        info = self.workers.get(msg.node_id)
        if self.books is None or info is None or not info.planned:
            return
        rejected = self.books.rejected
        try:
            offset_ns, error_ns = _clock_of(msg.data, info.number)
            self.books.merge(msg.data)
            info.clock_offset_ns, info.clock_error_ns = offset_ns, max(info.clock_error_ns, error_ns)
        except ValueError as error:
            self.books.rejected = rejected + 1
            self._name(info.node, f"report of worker {info.number} refused: {error}")

    def _on_published(self, environment: Environment, msg: Any, **_: Any) -> None:  # noqa: ARG002 - Locust's signature
        if not self._distributed:
            return
        rows = msg.data.get("messages") if isinstance(msg.data, dict) else None
        latest_ns = now_ns() + MOST_AHEAD_NS
        few = isinstance(rows, list) and len(rows) <= MAX_ANNOUNCED
        if not few or not all(_is_announcement(row, latest_ns) for row in rows or ()):
            self._refuse_words(msg.node_id, "announcements are a list of [channel, epoch, seq, ns, ns], of the past")
            return
        for info in self._taking_part():
            if info.node != msg.node_id and info.role != "publisher":
                self._send(messages.PUBLISHED, {"messages": rows}, info.node)

    def finish(self, timeout_s: float) -> list[WorkerInfo]:
        """Ask for the last reports and wait for them; return the workers that did not answer in time."""
        self.tell(messages.FINISH, {})
        assert self.books is not None
        deadline_ns = now_ns() + round(timeout_s * NS_PER_S)
        while self._unfinished() and now_ns() < deadline_ns:
            gevent.sleep(0.02)
        return self._unfinished()

    def _unfinished(self) -> list[WorkerInfo]:
        assert self.books is not None
        gauges = self.books.workers
        return [info for info in self._taking_part() if not (info.number in gauges and gauges[info.number].final)]


def _clock_of(report: object, number: int) -> tuple[int, int]:
    """Check what the master alone can tell of a report; return the offset of its clock and the error of its times.

    Raises:
        ValueError: it is another worker's, or from the future.
    """
    if not isinstance(report, dict):
        return 0, 0  # the books say what is wrong with it
    if report.get("worker") != number:
        raise ValueError(f"it speaks as worker {str(report.get('worker'))[:40]}")
    ahead_ns = integer(report.get("t_ns"), "t_ns", 0, MOST_NS) - now_ns()
    if ahead_ns > MOST_AHEAD_NS:
        raise ValueError(f"its time is {ahead_ns / NS_PER_S:.0f} s ahead of the master's")
    offset_ns = integer(report.get("clock_offset_ns", 0), "clock_offset_ns", -MOST_NS, MOST_NS)
    return offset_ns, integer(report.get("clock_error_ns", 0), "clock_error_ns", 0, MOST_NS)


def _is_announcement(row: object, latest_ns: int) -> bool:
    if not isinstance(row, list | tuple) or len(row) != 5:
        return False
    return all(type(value) is int and 0 <= value < MOST_NS for value in row) and row[3] <= latest_ns
