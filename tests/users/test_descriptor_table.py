"""Descriptor tables, as the kernel keeps them."""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import time
from pathlib import Path

import pytest
from gevent import monkey

from loadtest.users import descriptor_table
from loadtest.users.descriptor_table import DescriptorTable

REALLY_POLL = monkey.get_original("select", "epoll")


@pytest.fixture
def table():
    made = DescriptorTable()
    yield made
    made.close()


def open_null() -> int:
    return os.open("/dev/null", os.O_RDONLY)


def until(condition, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(condition())


def test_number_means_something_in_its_own_table_only(table, tmp_path: Path) -> None:
    ours = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match="Bad file descriptor"):
        table.run(lambda: os.fstat(ours))
    assert table.run(open_null) == 3, "nothing but the standard streams is taken along"
    assert table.run(Path("/proc/thread-self/fd/3").readlink) == Path("/dev/null")
    assert Path(f"/proc/self/fd/{ours}").readlink() == tmp_path
    os.close(ours)


def test_one_process_opens_more_than_its_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    tables = [DescriptorTable(), DescriptorTable()]
    limit = 3 + max(int(each.name) for each in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        opened = sum(len(table.run(as_many_as_possible)) for table in tables)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for table in tables:
            table.close()
    assert opened == 2 * (limit - 3) > limit


def as_many_as_possible() -> list[int]:
    opened = []
    while True:
        try:
            opened.append(open_null())
        except OSError:
            return opened


def test_what_is_shared_has_the_same_number_and_is_watched_from_outside() -> None:
    """As an engine does with a herd's poller: filled in the table, waited for by the process."""
    poller = REALLY_POLL()
    table = DescriptorTable({poller.fileno()})

    def watch_a_pipe() -> int:
        reader, writer = os.pipe()
        poller.register(reader, select.EPOLLIN)
        os.write(writer, b"x")
        return reader

    try:
        assert poller.poll(0) == []
        reader = table.run(watch_a_pipe)
        assert poller.poll(1) == [(reader, select.EPOLLIN)]
    finally:
        table.close()
        poller.close()


def test_what_is_raised_there_is_raised_here_and_the_table_lives_on(table) -> None:
    with pytest.raises(ZeroDivisionError):
        table.run(lambda: 1 // 0)
    assert table.run(lambda: "alive") == "alive"


def test_who_is_in_the_table_already_goes_on(table) -> None:
    assert table.run(lambda: table.run(lambda: table.run(lambda: 7))) == 7


def test_closed_table_closes_what_is_open_and_ends_its_thread(table) -> None:
    reader, writer = os.pipe()
    other = DescriptorTable({writer})
    os.close(writer)
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    thread = other.thread
    assert Path(f"/proc/self/task/{thread}").exists()
    other.close()
    other.close()
    assert until(lambda: not Path(f"/proc/self/task/{thread}").exists())
    assert os.read(reader, 1) == b"", "the only other end was in the table"
    os.close(reader)


def test_signals_come_to_the_process_not_to_a_table(table) -> None:
    """A handler notes them in a descriptor, whose number means a client's socket in a table."""
    lines = Path(f"/proc/self/task/{table.thread}/status").read_text().splitlines()
    (blocked,) = (int(line.split()[1], 16) for line in lines if line.startswith("SigBlk"))
    assert all(blocked >> (number - 1) & 1 for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD))


def test_system_that_does_not_allow_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose filter forbids unshare()."""
    libc = ctypes.CDLL(None)

    class Filtered:
        gettid, mallopt = libc.gettid, libc.mallopt

        @staticmethod
        def unshare(_: int) -> int:
            ctypes.set_errno(1)
            return -1

    descriptor_table.most.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Filtered)
    try:
        assert descriptor_table.most() == 1
        with pytest.raises(PermissionError, match="no descriptor table for a thread: Operation not permitted"):
            DescriptorTable()
    finally:
        descriptor_table.most.cache_clear()
    monkeypatch.undo()
    assert descriptor_table.most() == descriptor_table.MOST
