"""Several descriptor tables in one process: turns, and a node that holds more connections than it may open files."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from reference_gateway.errors import SettingError
from reference_gateway.gateway.settings import read_settings
from reference_gateway.gateway.tables import Table, TableLoop, Tables, Turns

from .conftest import UPGRADE, ValkeyProcess
from .test_gateway_e2e import RawClient, StartNode, publish, start_node  # noqa: F401 - a fixture

NEEDED = {"RG_PORT": "8001", "RG_API_URL": "http://127.0.0.1:9000"}


class Logbook:
    """Who began and ended to work, in order; one who works while another does is an error."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._working = threading.Lock()

    def work(self, name: str, for_s: float = 0.0) -> None:
        assert self._working.acquire(blocking=False), f"{name} works beside another"
        time.sleep(for_s)
        self.said.append(name)
        self._working.release()


def test_whoever_is_due_first_has_the_turn() -> None:
    turns, book = Turns(), Logbook()

    def other(name: str, gate: threading.Lock) -> None:
        gate.acquire()
        book.work(name)
        turns.leave()

    late, soon, own = gates = [threading.Lock() for _ in range(3)]
    for gate in gates:
        gate.acquire()
    threads = [threading.Thread(target=other, args=each) for each in (("late", late), ("soon", soon))]
    for thread in threads:
        thread.start()
    turns.enter(late, time.monotonic() + 60.0)
    turns.enter(soon, time.monotonic() + 0.5)
    turns.rest(own, 0.0)
    book.work("own")
    turns.rest(own, 1.0)
    book.work("own")
    turns.leave()
    for thread in threads:
        thread.join()
    assert book.said == ["own", "soon", "own", "late"]


def test_tables_work_one_at_a_time_and_a_wait_for_the_turn_counts() -> None:
    book, waited_s = Logbook(), []

    def work(table: Table) -> None:
        for _ in range(5):
            book.work(str(table.number), 0.01)
            table.rest(0.005)
        waited_s.append(table.waited_s())

    Tables(4).run(work)
    assert book.said[0] == "1", "the first table's work comes first"
    assert Counter(book.said) == {"1": 5, "2": 5, "3": 5, "4": 5}
    assert all(each_s > 0.05 for each_s in waited_s), "four rests, and three others with 10 ms each"


def test_table_with_ever_more_to_do_gives_way_after_a_while() -> None:
    book = Logbook()

    def work(table: Table) -> None:
        until_s = time.monotonic() + 0.5
        while time.monotonic() < until_s:
            book.work(str(table.number), 0.001)
            table.rest(0.0)

    Tables(2).run(work)
    assert 2 <= sum(one != next_one for one, next_one in zip(book.said, book.said[1:], strict=False)) <= 30


def test_each_table_has_descriptors_of_its_own() -> None:
    numbers, kept = [], []

    def work(table: Table) -> None:
        descriptors = [os.open("/dev/null", os.O_RDONLY) for _ in range(10)]
        numbers.append(descriptors)
        table.rest(0.001)
        kept.append([os.fstat(one).st_rdev for one in descriptors])
        for one in descriptors:
            os.close(one)
        table.rest(0.001)
        for one in descriptors:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(one)

    Tables(3).run(work)
    assert set(numbers[0]) & set(numbers[1]) & set(numbers[2]), "one number means three files"
    assert len(kept) == 3


@pytest.mark.parametrize("number", [1, 2, 3])
def test_fault_of_one_table_ends_all_and_is_raised(number: int) -> None:
    ended = []

    def work(table: Table) -> None:
        over = threading.Event()
        table.ends = over.set
        table.rest(0.001)
        if table.number == number:
            raise SettingError("what went wrong")
        while not over.is_set():
            table.rest(0.001)
        ended.append(table.number)

    with pytest.raises(SettingError, match="what went wrong"):
        Tables(3).run(work)
    assert sorted([*ended, number]) == [1, 2, 3]


def test_table_that_cannot_begin_keeps_the_others_from_it() -> None:
    begun = []

    def work(table: Table) -> None:
        begun.append(table.number)
        raise SettingError("taken")

    with pytest.raises(SettingError, match="taken"):
        Tables(3).run(work)
    assert begun == [1]


def test_loop_of_a_table_asks_nothing_of_other_threads() -> None:
    before = threads_of_this_process()

    async def connect(port: int) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", port))
            assert client.getpeername()[1] == port
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("localhost", port)

    with socket.create_server(("127.0.0.1", 0)) as server, asyncio.Runner(loop_factory=TableLoop) as runner:
        runner.run(connect(server.getsockname()[1]))
        assert threads_of_this_process() == before


def threads_of_this_process() -> set[str]:
    return {path.name for path in Path("/proc/self/task").iterdir()}


def test_end_reaches_every_table_at_its_next_turn() -> None:
    def work(table: Table) -> None:
        over = threading.Event()
        table.ends = over.set
        for turn in range(1_000):
            table.rest(0.001)
            if turn == 10 and table.number == 1:
                table.end()
            if over.is_set():
                return
        raise AssertionError("not told")

    Tables(3).run(work)


def test_tables_share_the_bounds_of_a_node() -> None:
    one = read_settings(NEEDED)
    settings = read_settings({**NEEDED, "RG_TABLES": "7"})
    assert settings.max_connections == 7 * one.max_connections
    assert (settings.of_one_table.max_connections, settings.of_one_table.reuse_port) == (one.max_connections, True)
    assert settings.rest_s > 0, "tables work in turns"
    assert read_settings({**NEEDED, "RG_TABLES": "7", "RG_MAX_CONNECTIONS": "70"}).of_one_table.max_connections == 10
    assert one.of_one_table is one


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"RG_TABLES": "0"}, "RG_TABLES"),
        ({"RG_TABLES": "65"}, "RG_TABLES"),
        ({"RG_REST_S": "0"}, "RG_REST_S"),
        ({"RG_MAX_CONNECTIONS": "1"}, "RG_MAX_CONNECTIONS"),
        ({"RG_HANDOVER": "1"}, "RG_HANDOVER: not with RG_TABLES=2; run more nodes"),
        ({"RG_SESSION_KEY": "secret"}, "RG_SESSION_KEY"),
        ({"RG_ORDER_TOKEN": "secret"}, "RG_ORDER_TOKEN"),
        ({"RG_CAPACITY": "10"}, "RG_CAPACITY"),
        ({"RG_ADMIT_PER_S": "10"}, "RG_ADMIT_PER_S"),
        ({"RG_CPU_CORES": "0.5"}, "RG_CPU_CORES"),
        ({"RG_MEMORY_BYTES": "1000000000"}, "RG_MEMORY_BYTES"),
        ({"RG_API_URL": "http://api:9000"}, "RG_API_URL: with RG_TABLES=2 give the host as an IP address"),
        ({"REDIS_URL": "redis://user:secret@broker:6379/0"}, "REDIS_URL: with RG_TABLES=2"),
    ],
)
def test_what_tables_cannot_do_is_named_with_the_remedy(change: dict[str, str], named: str) -> None:
    with pytest.raises(SettingError, match=named) as refused:
        read_settings({**NEEDED, "RG_TABLES": "2", **change})
    assert "secret" not in str(refused.value)


@pytest.fixture
def start_tables(start_node: StartNode) -> StartNode:  # noqa: F811
    """Return what starts a node of five tables with 400 descriptors each: 144 connections."""

    def start(**env: str) -> object:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
        try:
            return start_node(RG_TABLES="5", RG_REST_S="0.002", RG_PING_INTERVAL_S="300", **env)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    return start


def message(client: RawClient) -> bytes:
    """Return the next message that is not a ping."""
    while (payload := client.frame()[1]) == b"2":
        continue
    return payload


@pytest.mark.e2e
def test_node_holds_more_connections_than_it_may_open_files(valkey: ValkeyProcess, start_tables: StartNode) -> None:
    node = start_tables()
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(node.port)).join("c-1") for _ in range(450)]
        assert node.metric("rg_connections") == 450
        assert node.metric("rg_sessions_opened_total") == 450
        publish(valkey.url, "c-1", 3, "news")
        for client in clients:
            assert [b"news" in message(client) for _ in range(3)] == [True] * 3
        assert node.metric("rg_broadcasts_total") == 15, "three of each table"
        for client in clients[:200]:
            client.socket.close()
        deadline_s = time.monotonic() + 10
        while node.metric("rg_connections") != 250:
            assert time.monotonic() < deadline_s
        workers = {path.read_text().strip() for path in Path(f"/proc/{node.process.pid}/task").glob("*/comm")}
        assert "libuv-worker" not in workers, "they belong to one table"
        node.process.send_signal(signal.SIGTERM)
        for client in clients[200:]:
            assert client.close_code() == 1001
        assert node.process.wait(timeout=5) == 0
    assert "Traceback" not in node.logged()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", node.port))


@pytest.mark.e2e
def test_tables_drain_at_the_pace_they_are_told(start_tables: StartNode) -> None:
    node = start_tables(RG_DRAIN_SECONDS="0.6")
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(node.port)).join("c-1") for _ in range(100)]
        start_s = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        for client in clients:
            assert client.close_code() == 1001
            client.socket.close()
        assert time.monotonic() - start_s >= 0.5
        assert node.process.wait(timeout=3) == 0


@pytest.mark.e2e
def test_killed_node_leaves_nothing_and_its_port_is_free(start_tables: StartNode) -> None:
    node = start_tables()
    with RawClient(node.port).join("c-1") as client:
        node.process.kill()
        assert node.process.wait() == -signal.SIGKILL
        assert client.socket.recv(1) == b""
    with socket.create_server(("127.0.0.1", node.port)):
        pass


@pytest.mark.e2e
def test_tables_end_a_node_without_clients(start_tables: StartNode) -> None:
    node = start_tables()
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(timeout=3) == 0


@pytest.mark.e2e
def test_full_node_refuses_and_is_healthy(start_tables: StartNode) -> None:
    node = start_tables(RG_MAX_CONNECTIONS="10")
    with ExitStack() as stack:
        answers: Counter[bytes] = Counter()
        for _ in range(60):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", node.port)))
            client.sendall(UPGRADE)
            answers[client.recv(12)] += 1
        assert answers == {b"HTTP/1.1 101": 10, b"HTTP/1.1 503": 50}, "two of each table"
        assert node.metric("rg_rejected_total") == 50
        assert node.get("/healthz")[0] == 200


@pytest.mark.e2e
def test_client_that_polls_is_told_that_nobody_does_here(start_tables: StartNode) -> None:
    status, body = start_tables().get("/socket.io/?EIO=4&transport=polling")
    assert (status, body) == (400, '{"code": 0, "message": "Transport unknown"}')


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("env", "said"),
    [({"REDIS_URL": "nats://127.0.0.1"}, "no broker for scheme 'nats'"), ({}, "cannot listen on 127.0.0.1 port")],
)
def test_node_of_tables_that_cannot_start_says_why_once_and_exits_2(env: dict[str, str], said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [sys.executable, "-m", "reference_gateway.gateway"],
            env={**os.environ, **NEEDED, "RG_PORT": str(taken.getsockname()[1]), "RG_TABLES": "3", **env},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


@pytest.mark.e2e
def test_tables_listen_on_the_port_that_the_first_was_given() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "reference_gateway.gateway"],
        env={**os.environ, **NEEDED, "RG_PORT": "0", "RG_TABLES": "3"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        port = int(process.stderr.readline().rpartition(" ")[2])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=5) == 0
    finally:
        process.kill()
        process.communicate()
