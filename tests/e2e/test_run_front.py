"""The reference stack behind NGINX: held, deployed, limited, and gone when the stack is."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.reference_stack import ask, running_stack, start_up, wait_ready

from .topics import COLLECTIONS

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        (shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")) is None,
        reason="nginx is not installed",
    ),
]

PROFILE = (
    """
name = "front"
duration = "5s"

[target]
stack = "reference"
version = "bifrost-1"
nodes = 2
front = "nginx"

[client]
auth = { client = "{client}" }

[population]
connections = 500

[[population.channels]]
name = "collection-{n}"
count = 10
"""
    + COLLECTIONS.format(rate=10, deadline="1s")
    + """
[ramp]
rate = "400/s"

[phases]
warmup = "500ms"

[reconnect]
policy = "fixed"
delay = "300ms"

[recovery]
window = "1s"
"""
)
DEPLOY = """
[[faults]]
kind = "deploy"
after_steady = "1s"
"""
HELD, RATE = 250, 100
UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def lines(run: Any) -> list[dict[str, Any]]:
    written = [json.loads(line) for line in (run.folder / "intervals.jsonl").read_text().splitlines()]
    return [line for line in written if "connected" in line]


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended and is not collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def nginx_processes(master: int) -> list[int]:
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return [master, *map(int, children)]


def test_500_connections_are_held_through_it_and_come_back_after_a_deploy(loadtest_run, kernel_established) -> None:
    run = loadtest_run(PROFILE + DEPLOY)
    url = (
        run.until(lambda: list(run.out.glob("*/logs/stack.json")))
        and json.loads((run.folder / "logs" / "stack.json").read_text())["gateway_urls"]
    )
    assert len(url) == 1
    port = int(url[0].split(":")[2].split("/")[0])
    run.until(lambda: kernel_established(port) >= 500)
    assert run.wait(60) == 0, run.said
    (deploy,) = run.result["events"]
    assert deploy["dropped"] == deploy["population"] == 500
    assert deploy["recovery"]["t_sub_s"]["100"] is not None
    assert run.result["connections"]["at_end"] == 500
    assert run.result["fanout"]["imbalance"] == 0


def test_limits_hold_and_the_refused_are_counted_by_class(loadtest_run) -> None:
    limits = [f"target.front_connections={HELD}", f"target.front_rate={RATE}/s", "duration=1s", "ramp.timeout=3s"]
    run = loadtest_run(PROFILE, *(word for key in limits for word in ("--set", key)))
    assert run.wait(60) in (0, 1), run.said
    failures = run.result["connections"]["failures"]
    assert failures["http_429"] > 0
    assert failures["http_503"] > 0
    written = lines(run)
    publishers = 4
    assert max(sum(line["connections"].values()) - line["connections"]["idle"] for line in written) <= 500
    assert HELD - publishers <= max(line["connections"]["subscribed"] for line in written) <= HELD


def test_accepted_rate_is_the_configured_one(tmp_path: Path) -> None:
    """Offered three times the rate for two seconds; a tenth of a second's worth may come at once."""
    seconds, offered = 2.0, 3 * RATE

    async def knock(host: str, port: int, due_s: float) -> bytes:
        await asyncio.sleep(due_s)
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(UPGRADE)
        status = (await reader.readuntil(b"\r\n")).split()[1]
        if status != b"101":
            assert b"Retry-After: " in await reader.read()
        writer.close()
        return status

    async def crowd(host: str, port: int) -> Counter[bytes]:
        count = round(seconds * offered)
        return Counter(await asyncio.gather(*(knock(host, port, number / offered) for number in range(count))))

    with running_stack(tmp_path, "bifrost-1", 1, "--front", "nginx", "--front-rate", str(RATE)) as stack:
        where = stack.ready["gateway_urls"][0].removeprefix("ws://").split("/")[0]
        host, _, port = where.partition(":")
        statuses = asyncio.run(crowd(host, int(port)))
    assert set(statuses) == {b"101", b"429"}
    assert statuses[b"101"] == pytest.approx(RATE * seconds + RATE / 10, rel=0.05)


def test_master_killed_is_replaced_and_the_stack_killed_takes_all_of_it_along(tmp_path: Path, no_leftovers) -> None:
    with running_stack(tmp_path, "bifrost-1", 1, "--front", "nginx") as stack:
        first = stack.pids()["front"]
        family = nginx_processes(first)
        assert len(family) == 3
        os.kill(first, signal.SIGKILL)
        stack.wait_for(lambda status: stack.pids()["front"] not in (first, None))
        stack.wait_for(lambda status: {part["state"] for part in status["parts"]} == {"healthy"})
        assert not any(is_alive(pid) for pid in family)
        where = stack.ready["gateway_urls"][0].removeprefix("ws://").split("/")[0]
        assert ask(f"http://{where}/healthz")[1]["node"] == "gateway-1"
        family = nginx_processes(stack.pids()["front"])
    assert not any(is_alive(pid) for pid in family)
    (tmp_path / "again").mkdir()
    ready_file = tmp_path / "again" / "ready.json"
    killed = start_up(tmp_path / "again", "--front", "nginx", "--ready-file", str(ready_file))
    ready = wait_ready(killed, ready_file)
    (master,) = [part["pid"] for part in ready["parts"] if part["name"] == "front"]
    family = nginx_processes(master)
    killed.kill()
    killed.wait()
    deadline = time.monotonic() + 3
    while left := [pid for pid in family if is_alive(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def test_configuration_that_nginx_refuses_is_never_started(tmp_path: Path) -> None:
    """`up` ends with what nginx said: here a program of that name which refuses whatever it is given."""
    broken = tmp_path / "nginx"
    broken.write_text("#!/bin/sh\necho 'emerg: no such thing' >&2\nexit 1\n")
    broken.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "reference_gateway.cli", "up", "--front", "nginx"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 4
    assert "nginx does not accept" in done.stderr
    assert "no such thing" in done.stderr
