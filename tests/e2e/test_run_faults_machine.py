"""What runs out, and what of the target falls over: ports, open files, a gateway node."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess

import pytest

from loadtest.results.reader import open_run
from loadtest.results.schema import validate

from .conftest import first
from .topics import COLLECTIONS, TOPICS

pytestmark = pytest.mark.e2e

STACK = """
name = "narrow"
duration = "2s"
thresholds = ["delivery.duplicated == 0"]

[target]
stack = "reference"
version = "bifrost-1"
nodes = {nodes}

[population]
connections = 300
herd_size = 50
{addresses}

[[population.channels]]
name = "collection-{{n}}"
count = 3

[ramp]
rate = "300/s"
timeout = "3s"

[phases]
warmup = "200ms"

[reconnect]
policy = "fixed"
delay = "500ms"
"""
EDITED = COLLECTIONS.format(rate=20, deadline="1s")

PLAIN = (
    """
name = "few-files"
duration = "2s"

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
rate = "100/s"
timeout = "4s"
"""
    + TOPICS
)


def ended(run, code: int) -> dict:
    assert run.wait(60) == code, run.said
    result = run.result
    assert validate(result) == []
    assert open_run(run.folder).warnings == ()
    assert (run.folder / "report.html").exists()
    assert result["generator"]["workers_lost"] == 0
    assert result["fanout"]["imbalance"] == 0
    return result


def test_ports_run_out(loadtest_run) -> None:
    """A network of its own with 200 ports, and one address to leave from."""
    network = [
        "unshare",
        "--net",
        *first("ip link set lo up && echo 30000 30199 >/proc/sys/net/ipv4/ip_local_port_range"),
    ]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*network, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no network namespaces here")
    profile = STACK.format(nodes=1, addresses='source_addresses = ["127.0.9.1"]') + EDITED
    refused = loadtest_run(profile, under=network)
    assert refused.wait(30) == 2
    assert "local ports: 300 needed, " in refused.said
    assert "addresses in population.source_addresses, or sysctl -w net.ipv4.ip_local_port_range" in refused.said
    result = ended(loadtest_run(profile, "--force", under=network), 3)
    assert result["verdict"] == "invalid"
    connections = result["connections"]
    assert set(connections["failures"]) == {"no_local_port"}
    held = connections["at_end"]
    assert 180 < held == connections["peak"] <= 200, "some of the ports are listeners of the stack"
    assert connections["attempts"] == held + connections["failures"]["no_local_port"]
    assert "more population.source_addresses" in " ".join(result["reasons"])
    assert result["fanout"]["lost"] == 0, "who is there is served"


def test_open_files_run_out_in_the_middle_of_the_ramp(loadtest_run, websocket_target) -> None:
    run = loadtest_run(PLAIN.format(url=websocket_target.url, rate=20), "--workers", "2")
    run.until_said("t=1.0 phase=ramp")
    for name in ("herd-1", "herd-2"):
        resource.prlimit(run.workers()[name], resource.RLIMIT_NOFILE, (100, 100))
    result = ended(run, 3)
    assert result["verdict"] == "invalid"
    connections = result["connections"]
    assert set(connections["failures"]) == {"no_file_descriptor"}
    assert 50 < connections["at_end"] < 200
    assert "a higher ulimit -n, or more --workers" in " ".join(result["reasons"])
    assert result["fanout"]["delivered"] == result["fanout"]["expected"] > 0
    assert "Traceback" not in (run.folder / "logs" / "herd-1.log").read_text()


def test_a_gateway_node_is_killed(loadtest_run) -> None:
    """The stack's supervisor brings it back; the run opens an event by itself and says who was dropped and returned."""
    run = loadtest_run(STACK.format(nodes=2, addresses="") + EDITED, "--set", "duration=8s")
    run.until_said("mark=hold")
    run.until_said("delivered=")
    parts = run.parts()
    os.kill(parts["gateway-2"], signal.SIGKILL)
    result = ended(run, 0)
    (event,) = result["events"]
    assert (event["name"], event["announced"], event["population"]) == ("unannounced-1", False, 300)
    assert event["dropped"] == 150
    assert 0 < event["recovery"]["t_sub_s"]["100"] < 6
    assert result["connections"]["at_end"] == 300
    assert "a mass disconnect nobody announced" in run.said
