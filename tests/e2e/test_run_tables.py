"""More connections than a worker may open files: descriptor tables, in whole runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from .topics import COLLECTIONS, TOPICS

pytestmark = pytest.mark.e2e

PROFILE = (
    """
name = "tables"
duration = "{duration}"

[target]
dialect = "websocket"
url = "{url}/feed"

[population]
connections = 300
herd_size = 50

[[population.channels]]
name = "topic-{{n}}"
count = 3

[ramp]
rate = "300/s"

[reconnect]
policy = "fixed"
delay = "200ms"
"""
    + TOPICS
)
FAULTS = """
[[faults]]
kind = "drop"
number = 100
after_steady = "2s"

[[faults]]
kind = "blackhole"
number = 60
after_steady = "300ms"
duration = "500ms"

[[faults]]
kind = "mute"
number = 20
after_steady = "300ms"
duration = "500ms"
"""
FILES = 130  # 117 usable: two herds a table


def test_a_worker_holds_more_than_it_may_open_files(loadtest_run, websocket_target, kernel_established) -> None:
    """Everything that touches a socket does it in the right table: connect, read, write, drop, fall silent, leave."""
    run = loadtest_run(
        PROFILE.format(url=websocket_target.url, rate=20, duration="4s") + FAULTS, "--workers", "1", fds=FILES
    )
    run.until_said("mark=hold")
    assert websocket_target.count()["topics"] == {f"topic-{number}": 100 for number in range(3)}
    assert run.wait(60) == 0, run.said
    result = run.result
    assert result["verdict"] == "pass"
    assert result["connections"]["peak"] == result["connections"]["at_end"] == 300
    assert result["connections"]["failures"] == {}
    assert result["fanout"]["by_class"]["throughout"]["lost"] == result["fanout"]["duplicated"] == 0
    events = {event["name"]: event for event in result["events"]}
    assert events["drop"]["dropped"] == 100, "the number is the whole run's, however many herds share it"
    assert events["drop"]["recovery"]["t_sub_s"]["100"] < 4
    assert events["blackhole"]["fault"]["connections"] == 60
    assert events["mute"]["fault"]["opened"] == 20
    run_log = (run.folder / "logs" / "herd-1.log").read_text()
    assert "Traceback" not in run_log
    assert kernel_established(websocket_target.port) == 0


def test_a_killed_worker_takes_all_its_tables_along(loadtest_run, websocket_target) -> None:
    run = loadtest_run(PROFILE.format(url=websocket_target.url, rate=20, duration="4s"), "--workers", "2", fds=FILES)
    run.until_said("mark=hold")
    os.kill(run.workers()["herd-2"], signal.SIGKILL)
    assert run.wait(60) == 3, run.said
    result = run.result
    assert result["verdict"] == "invalid"
    assert result["generator"]["workers_lost"] == 1
    assert result["connections"]["at_end"] == 150
    assert websocket_target.count()["sockets"] <= 1


def test_ending_early_ends_all_tables(loadtest_run, websocket_target, no_leftovers) -> None:
    run = loadtest_run(PROFILE.format(url=websocket_target.url, rate=20, duration="60s"), "--workers", "1", fds=FILES)
    run.until_said("mark=hold")
    run.process.send_signal(signal.SIGINT)
    assert run.wait(30) != 0
    assert run.result["connections"]["peak"] == 300


STACK = """
name = "tables-of-nodes"
duration = "8s"
thresholds = ["delivery.throughout.loss == 0", "delivery.duplicated == 0"]

[target]
stack = "reference"
version = "bifrost-1"
nodes = 2
tables = 3

[population]
connections = 300
herd_size = 50

[[population.channels]]
name = "collection-{n}"
count = 3

[ramp]
rate = "300/s"

[[faults]]
kind = "deploy"
strategy = "all-at-once"
after_steady = "1s"

[reconnect]
policy = "full-jitter"
base = "1s"
cap = "2s"
""" + COLLECTIONS.format(rate=20, deadline="2s")


def test_nodes_and_workers_of_several_tables_go_through_a_deploy(loadtest_run) -> None:
    run = loadtest_run(STACK)
    run.until_said("mark=hold")
    run.until_said("delivered=")
    nodes = [pid for name, pid in run.parts().items() if name.startswith("gateway-")]
    threads = [path.read_text().strip() for pid in nodes for path in Path(f"/proc/{pid}/task").glob("*/comm")]
    assert sorted(threads) == ["gateway-1"] * 3 + ["gateway-2"] * 3, "no thread of libuv, which belongs to one table"
    assert run.wait(60) == 0, run.said
    result = run.result
    (event,) = result["events"]
    assert event["dropped"] == event["population"] == 300
    assert 0 < event["recovery"]["t_sub_s"]["100"] < 6
    assert result["connections"]["at_end"] == 300


def test_what_tables_cannot_do_is_said_by_the_stack(loadtest_run) -> None:
    run = loadtest_run(STACK, "--set", 'target.version="bifrost-2"')
    assert run.wait(60) == 2
    assert "--tables 3: not with --version bifrost-2" in run.said
