"""The harness is killed with faults in place: nothing stays frozen, throttled, away, partitioned or silent.

    a kind's table --> a run that has it --> seen from outside to be in place --> kill -9 --> seen to be gone

Nobody takes a fault back then. Each kind that lasts has a row here.
"""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
from websockets.sync.client import connect

from loadtest.profile import faults

from .conftest import LoadtestRun, StartRun
from .reference_stack import edit, roles, tell_broker
from .test_run_network_faults import relay_pids
from .topics import COLLECTIONS, RELAYED

pytestmark = pytest.mark.e2e

GONE_S = 10.0


class Row(NamedTuple):
    """The keys of a fault's table, and whether it is seen to be in place, given the stack's ready file."""

    keys: str
    seen: Callable[[dict[str, Any]], bool]


HARNESS_KILLED = {
    "slow": Row('part = "api"', lambda ready: stops_and_goes(pid_of(ready, "api"))),
    "down": Row('part = "godserver"', lambda ready: state_of(pid_of(ready, "godserver")) == ""),
    "database-slow": Row('delay = "100ms"', lambda ready: seconds_of_edit(ready) > 0.25),  # begin, bump, insert
    "partition": Row('part = "broker-replica"', lambda ready: roles(ready)["broker-replica"] == (False, False)),
}
SUPERVISOR_KILLED_TOO = {
    "freeze": Row('part = "gateway-*"', lambda ready: state_of(pid_of(ready, "gateway-2")) == "T"),
    "database-down": Row("", lambda ready: edit(ready) == 503),
    "replica-lag": Row('delay = "5s"', lambda ready: not reaches_replica(ready, 1.0)),
}
FOREIGN = {
    "network-delay": 'delay = "10s"\nshare = "10%"',
    "network-jitter": 'jitter = "10s"\nshare = "10%"',
    "network-bandwidth": 'bytes_per_s = "10B"\nshare = "10%"',
    "network-stall": 'share = "10%"',
    "network-cut": 'share = "10%"',
    "blackhole": 'share = "10%"',
    "half-open": "number = 5",
    "slow-reader": 'share = "10%"\nbytes_per_s = "10B"',
    "slowloris": "number = 10",
    "mute": "number = 10",
}
"""At a target that the harness did not start and that outlives it."""

STACK = (
    """
name = "{name}"
duration = "60s"

[target]
stack = "reference"
version = "bifrost-6"
nodes = 2

[population]
connections = 40
herd_size = 20

[[population.channels]]
name = "collection-{{n}}"
count = 2

[ramp]
rate = "400/s"

[phases]
warmup = "200ms"
"""
    + COLLECTIONS
)


def test_every_kind_that_lasts_has_a_row() -> None:
    models = get_args(get_args(faults.Fault)[0])
    lasting = {kind for kind, model in zip(faults.KINDS, models, strict=True) if model.lasts}
    assert lasting == {*HARNESS_KILLED, *SUPERVISOR_KILLED_TOO, *FOREIGN}


def test_killed_harness_leaves_nothing_at_its_stack_and_the_next_run_is_well(
    loadtest_run: StartRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs over one database, of one the stack's supervisor is killed as well; then a third one."""
    folders = tmp_path / "temporary"
    folders.mkdir()
    monkeypatch.setenv("TMPDIR", str(folders))
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/revisions.sqlite3")
    struck = [struck_run(loadtest_run, "one", HARNESS_KILLED), struck_run(loadtest_run, "both", SUPERVISOR_KILLED_TOO)]
    pids = []
    for run, rows in zip(struck, (HARNESS_KILLED, SUPERVISOR_KILLED_TOO), strict=True):
        for kind, row in rows.items():
            run.until_said(f"{kind}: applied in", 60)
            run.until(lambda row=row, run=run: row.seen(ready_of(run)), 20)
        pids += [part["pid"] for part in ready_of(run)["parts"] if part["pid"]]
        pids += run.workers().values()
    os.kill(ready_of(struck[1])["pid"], signal.SIGKILL)
    for run in struck:
        run.process.kill()
        run.process.wait()
    until_none(lambda: [pid for pid in pids if state_of(pid) not in ("", "Z")])
    calm = loadtest_run(STACK.format(name="calm", rate=20, deadline="2s"), "--set", "duration=2s")
    assert calm.wait(60) == 0, calm.said
    fanout = calm.result["fanout"]
    assert fanout["delivered"] == fanout["expected"] > 0
    assert fanout["latency_ms"]["p50"] < 200
    assert list(folders.glob("reference-gateway-*")) == []


def test_killed_harness_leaves_nothing_at_a_target_that_outlives_it(loadtest_run: StartRun, websocket_target) -> None:
    tables = "".join(f'[[faults]]\nkind = "{kind}"\n{keys}\n' for kind, keys in FOREIGN.items())
    run = loadtest_run(RELAYED.format(url=websocket_target.url, rate=20, duration="60s") + tables)
    for kind in FOREIGN:
        run.until_said(f"{kind}: applied in")
    relays = relay_pids(run.process.pid)
    assert len(relays) == 2
    assert websocket_target.count()["sockets"] > 0
    run.process.kill()
    run.process.wait()
    until_none(lambda: websocket_target.count()["sockets"])
    until_none(lambda: [pid for pid in relays if state_of(pid) not in ("", "Z")])
    begun_s = time.monotonic()
    with connect(f"{websocket_target.url}/feed") as client:
        for op in ("join", "say"):
            client.send(json.dumps({"op": op, "topic": "topic-1", "body": "x"}))
            client.recv(timeout=5)
    assert time.monotonic() - begun_s < 1


def struck_run(loadtest_run: StartRun, name: str, rows: dict[str, Row]) -> LoadtestRun:
    tables = "".join(f'[[faults]]\nkind = "{kind}"\n{row.keys}\n' for kind, row in rows.items())
    return loadtest_run(STACK.format(name=name, rate=20, deadline="2s") + tables, name=name)


def ready_of(run: LoadtestRun) -> dict[str, Any]:
    return dict(json.loads((run.folder / "logs" / "stack.json").read_text()))


def pid_of(ready: dict[str, Any], name: str) -> int:
    (pid,) = (part["pid"] for part in ready["parts"] if part["name"] == name)
    return int(pid)


def state_of(pid: int) -> str:
    """Return the state of a process as proc_pid_stat has it, "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def stops_and_goes(pid: int) -> bool:
    """Return whether a process is seen stopped and seen not stopped within a third of a second."""
    seen = set()
    for _ in range(50):
        seen.add(state_of(pid) == "T")
        time.sleep(0.007)
    return seen == {True, False}


def seconds_of_edit(ready: dict[str, Any]) -> float:
    begun_s = time.monotonic()
    assert edit(ready) == 200
    return time.monotonic() - begun_s


def reaches_replica(ready: dict[str, Any], within_s: float) -> bool:
    """Return whether what is written at the primary can be read at the replica in time."""
    key = uuid.uuid4().hex
    assert "+OK" in tell_broker(ready, "broker", f"SET {key} there")
    deadline_s = time.monotonic() + within_s
    while not (here := "there" in tell_broker(ready, "broker-replica", f"GET {key}")) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return here


def until_none(look: Callable[[], object]) -> None:
    """Wait until there is nothing left of what `look` finds."""
    deadline_s = time.monotonic() + GONE_S
    while left := look():
        assert time.monotonic() < deadline_s, left
        time.sleep(0.05)
