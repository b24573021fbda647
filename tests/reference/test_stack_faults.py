"""Faults of the stack's parts: who can have which, what is refused, and that they come and go."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from reference_gateway.errors import FaultError, SettingError
from reference_gateway.health import Health
from reference_gateway.stack.faults import process
from reference_gateway.stack.faults.link import Link
from reference_gateway.stack.faults.order import FaultOrder
from reference_gateway.stack.faults.process import is_stopped
from reference_gateway.stack.faults.ward import STORAGE, Ward
from reference_gateway.stack.forking import Nursery
from reference_gateway.stack.part import Part, State
from reference_gateway.stack.supervisor import Supervisor
from reference_gateway.storage.trouble import Trouble


@pytest.mark.parametrize(
    ("body", "order"),
    [
        ({"kind": "kill", "part": "api"}, FaultOrder("kill", "api")),
        ({"kind": "down", "part": "api"}, FaultOrder("down", "api")),
        ({"kind": "slow", "part": "gateway-*", "share": 0.5}, FaultOrder("slow", "gateway-*", share=0.5)),
        ({"kind": "database-slow", "part": "storage", "delay_s": 1}, FaultOrder("database-slow", "storage", delay_s=1)),
        ({"kind": "partition", "part": "broker"}, FaultOrder("partition", "broker", how="refuse")),
    ],
)
def test_order_is_read(body, order):
    assert FaultOrder.parse(body) == order


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "JSON object"),
        ({"part": "api"}, "kind None: allowed are kill, down, freeze"),
        ({"kind": ["kill"], "part": "api"}, "kind"),
        ({"kind": "kill"}, "part None"),
        ({"kind": "freeze", "part": "api", "share": 0.1}, "unknown key 'share': freeze has no keys of its own"),
        ({"kind": "slow", "part": "api", "share": 1}, "share 1: allowed is 0.01 to 0.99"),
        ({"kind": "slow", "part": "api", "share": True}, "share True"),
        ({"kind": "database-slow", "part": "storage"}, "delay_s None: allowed is more than 0, up to 60"),
        ({"kind": "replica-lag", "part": "broker-replica", "delay_s": float("inf")}, "delay_s inf"),
        ({"kind": "partition", "part": "api", "how": "loudly"}, "refuse or silence"),
    ],
)
def test_impossible_order_names_the_key(body, said):
    with pytest.raises(SettingError, match=said):
        FaultOrder.parse(body)


class Supervised:
    """Parts that are `sleep`, under a real supervisor, in a ward."""

    def __init__(self, tmp_path, names, links=()):
        async def probe(*_):
            return Health.HEALTHY

        sleep, log = shutil.which("sleep"), tmp_path / "log"
        self.parts = [
            Part(name, kind, [sleep, "60"], dict(os.environ), "127.0.0.1", 1, "", probe, log) for name, kind in names
        ]
        self.supervisor = Supervisor(5.0, Nursery([], {}, tmp_path / "nursery.log"))
        self.trouble_file = tmp_path / "trouble.json"
        self.ward = Ward(self.supervisor, self.parts, links, self.trouble_file)

    async def __aenter__(self):
        await self.supervisor.start_all(self.parts)
        return self

    async def __aexit__(self, *_):
        await self.ward.heal_all()
        await self.supervisor.stop_all(self.parts, 1.0)


NODES = [("gateway-1", "gateway"), ("gateway-2", "gateway"), ("api", "api")]


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def test_part_that_is_not_there_or_cannot_have_it_is_named(tmp_path):
    ward = Ward(SimpleNamespace(), [SimpleNamespace(name="gateway-1", kind="gateway")], [], tmp_path / "t")
    for order, said in (
        (FaultOrder("kill", "broker"), "no part 'broker': it has gateway-1, storage"),
        (
            FaultOrder("database-down", "gateway-1"),
            "gateway-1 cannot have database-down: it has kill, down, freeze, slow",
        ),
        (FaultOrder("partition", "gateway-*"), "cannot have partition"),
    ):
        with pytest.raises(SettingError, match=said):
            asyncio.run(ward.strike("x", order))


def test_links_and_a_replica_make_more_possible(tmp_path):
    parts = [SimpleNamespace(name=name, kind=kind) for name, kind in [*NODES, ("b", "broker"), ("r", "broker")]]
    links = [Link("gateway-1", "b", "127.0.0.1", 1, 2), Link("r", "b", "127.0.0.1", 3, 2)]
    offers = Ward(SimpleNamespace(), parts, links, tmp_path / "t").offers
    assert offers["gateway-1"] == ["kill", "down", "freeze", "slow", "partition"]
    assert offers["gateway-2"] == ["kill", "down", "freeze", "slow"]
    assert offers["b"] == ["kill", "down", "freeze", "slow", "partition", "failover"]
    assert offers["r"] == ["kill", "down", "freeze", "slow", "partition", "replica-lag"]
    assert offers[STORAGE] == ["database-slow", "database-down"]


@pytest.mark.e2e
def test_frozen_parts_stand_still_until_the_fault_is_taken_back(tmp_path):
    async def body():
        async with Supervised(tmp_path, NODES) as stack:
            pids = [part.pid for part in stack.parts]
            assert await stack.ward.strike("ice", FaultOrder("freeze", "gateway-*")) == ["gateway-1", "gateway-2"]
            assert [is_stopped(pid) for pid in pids] == [True, True, False]
            with pytest.raises(FaultError, match="gateway-1: ice"):
                await stack.ward.strike("more", FaultOrder("slow", "gateway-1"))
            with pytest.raises(FaultError, match="called ice"):
                await stack.ward.strike("ice", FaultOrder("kill", "api"))
            assert await stack.ward.heal("ice")
            await until(lambda: not any(map(is_stopped, pids)))
            assert not await stack.ward.heal("ice")
            assert stack.ward.describe() == []

    asyncio.run(body())


@pytest.mark.e2e
def test_killed_part_comes_back_by_itself_and_one_that_is_to_stay_away_does_not(tmp_path):
    async def body():
        async with Supervised(tmp_path, NODES) as stack:
            node, api = stack.parts[0], stack.parts[2]
            first = node.process
            await stack.ward.strike("crash", FaultOrder("kill", "gateway-1"))
            assert first.returncode == -signal.SIGKILL
            await until(lambda: node.pid not in (None, first.pid))
            await stack.ward.strike("away", FaultOrder("down", "api"))
            await asyncio.sleep(0.3)  # longer than the first backoff
            assert api.pid is None
            with pytest.raises(FaultError, match="api: away"):
                await stack.ward.strike("twice", FaultOrder("freeze", "api"))
            await stack.ward.heal("away")
            assert api.pid is not None

    asyncio.run(body())


@pytest.mark.e2e
def test_part_that_cannot_come_up_when_the_fault_is_taken_back_comes_when_it_can(tmp_path, monkeypatch):
    async def body():
        async with Supervised(tmp_path, NODES) as stack:
            api, needed = stack.parts[2], tmp_path / "needed"
            await stack.ward.strike("away", FaultOrder("down", "api"))
            api.argv = ["/bin/sh", "-c", f"test -e {needed} && exec sleep 60"]
            assert await stack.ward.heal("away")
            assert stack.ward.describe() == []
            needed.touch()
            await until(lambda: api.state is State.HEALTHY)

    monkeypatch.setattr(process, "BACK_S", 0.2)
    asyncio.run(body())


@pytest.mark.e2e
def test_nobody_is_started_for_the_end(tmp_path):
    async def body():
        stack = Supervised(tmp_path, NODES)
        async with stack:
            await stack.ward.strike("away", FaultOrder("down", "api"))
            killed = stack.parts[2].process
        assert stack.parts[2].process is killed

    asyncio.run(body())


@pytest.mark.e2e
def test_fault_of_several_parts_is_in_all_of_them_or_in_none(tmp_path):
    async def body():
        async with Supervised(tmp_path, NODES) as stack:
            await stack.supervisor.stop(stack.parts[1], 1.0)
            with pytest.raises(FaultError, match="gateway-2 is not running"):
                await stack.ward.strike("ice", FaultOrder("freeze", "gateway-*"))
            await until(lambda: not is_stopped(stack.parts[0].pid))
            assert stack.ward.describe() == []

    asyncio.run(body())


@pytest.mark.e2e
def test_slowed_part_gets_its_share_of_the_time_and_all_of_it_afterwards(tmp_path):
    async def body():
        async with Supervised(tmp_path, NODES) as stack:
            pid = stack.parts[0].pid
            await stack.ward.strike("mud", FaultOrder("slow", "gateway-1", share=0.2))
            looks = []
            for _ in range(100):
                looks.append(is_stopped(pid))
                await asyncio.sleep(0.007)
            assert 0.6 < sum(looks) / len(looks) < 0.95
            await stack.ward.heal("mud")
            await until(lambda: not is_stopped(pid))
            await asyncio.sleep(0.15)
            assert not is_stopped(pid)

    asyncio.run(body())


@pytest.mark.e2e
def test_everything_is_taken_back_at_the_end_and_what_is_frozen_can_be_ended(tmp_path):
    async def body():
        stack = Supervised(tmp_path, NODES)
        async with stack:
            await stack.ward.strike("ice", FaultOrder("freeze", "gateway-1"))
            await stack.ward.strike("mud", FaultOrder("slow", "gateway-2"))
            await stack.ward.strike("dry", FaultOrder("database-down", STORAGE))
            assert Trouble.read(stack.trouble_file).down
        assert [part.process.returncode for part in stack.parts] == [-signal.SIGTERM] * 3
        assert not stack.trouble_file.exists()

    asyncio.run(body())


SUPERVISOR = """
import asyncio, os, sys
from pathlib import Path
from reference_gateway.stack.faults.order import FaultOrder
sys.path.insert(0, sys.argv[2])
from tests.reference.test_stack_faults import NODES, Supervised

async def body():
    async with Supervised(Path(sys.argv[1]), NODES) as stack:
        await stack.ward.strike("ice", FaultOrder("freeze", "gateway-1"))
        await stack.ward.strike("mud", FaultOrder("slow", "gateway-2"))
        print(*(part.pid for part in stack.parts), flush=True)
        await asyncio.Event().wait()

asyncio.run(body())
"""


@pytest.mark.e2e
def test_killed_supervisor_leaves_nobody_frozen_or_throttled(tmp_path):
    async def body():
        argv = [sys.executable, "-c", SUPERVISOR, str(tmp_path), str(Path.cwd())]
        process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        pids = [int(word) for word in (await process.stdout.readline()).split()]
        assert is_stopped(pids[0])
        process.kill()
        await process.wait()
        await until(lambda: all(map(is_gone, pids)))

    asyncio.run(body())


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Echo:
    """A server that sends back what it gets, behind a link."""

    async def __aenter__(self):
        async def echo(reader, writer):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()

        self.server = await asyncio.start_server(echo, "127.0.0.1", 0)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.link = Link("gateway-1", "broker", "127.0.0.1", port, self.server.sockets[0].getsockname()[1])
        await self.link.start()
        return self

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.link.port)

    async def __aexit__(self, *_):
        self.link.close()
        self.server.close()
        await asyncio.sleep(0.01)


async def answered(reader, writer, data, seconds=2.0):
    writer.write(data)
    async with asyncio.timeout(seconds):
        return await reader.readexactly(len(data))


@pytest.mark.e2e
def test_link_passes_everything_in_order_and_late_when_told(tmp_path):
    async def body():
        async with Echo() as echo:
            reader, writer = await echo.connect()
            data = bytes(range(256)) * 40_000
            assert await answered(reader, writer, data, 10) == data
            echo.link.delay_s = 0.1
            loop = asyncio.get_running_loop()
            begun_s = loop.time()
            assert await answered(reader, writer, b"late") == b"late"
            assert 0.2 <= loop.time() - begun_s < 1.0  # there and back
            writer.close()

    asyncio.run(body())


@pytest.mark.e2e
def test_silenced_link_tells_nobody_and_delivers_when_it_is_mended(tmp_path):
    async def body():
        async with Echo() as echo:
            reader, writer = await echo.connect()
            assert await answered(reader, writer, b"a") == b"a"
            echo.link.cut(refuse=False)
            late = await echo.connect()
            for one in ((reader, writer), late):
                with pytest.raises(TimeoutError):
                    await answered(*one, b"b", 0.1)
            await echo.link.mend()
            assert await asyncio.wait_for(reader.readexactly(1), 2) == b"b"
            assert await asyncio.wait_for(late[0].readexactly(1), 2) == b"b"
            writer.close()
            late[1].close()

    asyncio.run(body())


@pytest.mark.e2e
def test_refusing_link_resets_what_is_open_and_refuses_what_comes(tmp_path):
    async def body():
        async with Echo() as echo:
            reader, writer = await echo.connect()
            assert await answered(reader, writer, b"a") == b"a"
            echo.link.cut(refuse=True)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await answered(reader, writer, b"b")
            with pytest.raises(ConnectionRefusedError):
                await echo.connect()
            await echo.link.mend()
            reader, writer = await echo.connect()
            assert await answered(reader, writer, b"c") == b"c"
            writer.close()

    asyncio.run(body())
