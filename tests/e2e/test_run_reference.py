"""The main job against the reference stack: hold, deploy, drop, recover, report, and nothing left behind."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtest.results.histogram_log import read_totals
from loadtest.results.schema import ANY, RUN, validate

from .topics import COLLECTIONS

pytestmark = pytest.mark.e2e

SECRET = "correct-horse-battery-staple"

STORM = (
    f"""
name = "storm"
duration = "6s"
thresholds = ["events.deploy.t_sub.99.9 < 8s", "delivery.throughout.loss == 0", "delivery.duplicated == 0"]

[target]
stack = "reference"
version = "bifrost-1"
nodes = 2

[client]
auth = {{ client = "{{client}}", key = "{SECRET}" }}
headers = {{ Authorization = "Bearer {SECRET}" }}
query = {{ token = "{SECRET}" }}

[population]
connections = 120
herd_size = 30

[[population.channels]]
name = "collection-{{n}}"
count = 6
"""
    + COLLECTIONS.format(rate=30, deadline="3s")
    + "connections = 2\n"
    + """
[ramp]
rate = "200/s"

[phases]
warmup = "500ms"

[[faults]]
kind = "deploy"
after_steady = "2s"

[recovery]
window = "2s"
"""
)


def holds_together(result: dict) -> None:
    """What is true of every run that went well, whatever it did."""
    assert validate(result) == []
    fanout = result["fanout"]
    assert fanout["expected"] == fanout["delivered"] + fanout["lost"]
    assert fanout["imbalance"] == 0
    assert fanout["delivered"] > 0
    assert fanout["by_class"]["throughout"]["lost"] == 0
    assert fanout["foreign"] == fanout["misrouted"] == 0
    assert result["generator"]["workers_lost"] == 0
    assert result["connections"]["at_end"] == result["connections"]["target"]


MAY_BE_NULL = {
    "connections.bytes_per_connection",  # everybody was there before the first report: no growth was seen
    "events.recovery.t_svc_s",  # two seconds as good as before the deploy: a busy machine may not give them
    "events.recovery.t_rec_s",
}


def null_keys(value: Any, shape: Any = RUN, key: str = "") -> Iterator[str]:
    """Yield the keys of the schema that hold nothing."""
    if isinstance(shape, list):
        for item in value:
            yield from null_keys(item, shape[0], key)
    elif isinstance(shape, dict) and ANY not in shape:
        for name, inner in shape.items():
            yield from null_keys(value[name], inner, f"{key}.{name}" if key else name)
    elif value is None:
        yield key


def log_adds_up(folder: Path, result: dict) -> None:
    """The stretches of histograms.hlog together are what run.json tells of the whole run."""
    lines = [line for line in (folder / "histograms.hlog").read_text().splitlines() if line.startswith("Tag=")]
    assert sum(line.startswith("Tag=fanout.latency,") for line in lines) > 3
    totals, bad = read_totals(folder / "histograms.hlog")
    assert bad == 0
    fanout, connections = result["fanout"], result["connections"]
    told = {
        "fanout.latency": fanout["latency_ms"],
        "fanout.uncorrected": fanout["uncorrected_ms"],
        "publish.ack": fanout["ack_ms"],
        "connections.connect": connections["connect_ms"],
        "connections.subscribe": connections["subscribe_ms"],
    }
    for tag, latency_ms in told.items():
        assert totals[tag].count == latency_ms["count"] > 0, tag
        assert totals[tag].percentile_ns(99) == pytest.approx(latency_ms["p99"] * 1e6, rel=1e-3, abs=512), tag
    assert fanout["ack_ms"]["count"] <= fanout["published"]
    for share, reached in fanout["ttk_ms"].items():
        assert 0 < totals[f"fanout.ttk.{share}"].count <= fanout["ttk_traced"]
        if reached["p50"] is not None:
            assert totals[f"fanout.ttk.{share}"].count >= fanout["ttk_traced"] / 2


def test_a_deploy_drops_everybody_and_everybody_comes_back(loadtest_run, kernel_established) -> None:
    run = loadtest_run(STORM, "--workers", "2", "--tag", "case=e2e")
    ready_file = run.until(lambda: run.folders and next(iter(run.folder.glob("logs/stack.json")), None))
    assert stat.S_IMODE(ready_file.stat().st_mode) == 0o600
    ready = run.until(lambda: ready_file.read_text().endswith("}\n") and json.loads(ready_file.read_text()))
    run.until_said("mark=hold")
    ports = [int(url.split(":")[2].split("/")[0]) for url in ready["gateway_urls"]]
    herds = [pid for name, pid in run.workers().items() if name.startswith("herd")]
    run.until_said("phase=hold")
    run.until(lambda: sum(kernel_established(port=port, pids=herds) for port in ports) == 120, seconds=2)
    assert "subscribed=120/120" in run.said, "the harness says the same of itself"
    assert run.wait(40) == 0, run.said

    result = run.result
    holds_together(result)
    log_adds_up(run.folder, result)
    assert result["verdict"] == "pass"
    assert set(null_keys(result)) <= MAY_BE_NULL
    assert result["tags"] == {"case": "e2e"}
    assert (result["target"]["version"], result["target"]["nodes"]) == ("bifrost-1", 2)
    (event,) = result["events"]
    assert (event["name"], event["kind"], event["announced"]) == ("deploy", "deploy", True)
    assert event["population"] == event["dropped"] == 120
    assert event["recovery"]["attempts"] >= 120
    for curve in ("t_conn_s", "t_sub_s"):
        times = [event["recovery"][curve][share] for share in ("50", "90", "99", "99.9", "100")]
        assert times == sorted(times)
        assert 0 < times[0] <= times[-1] < 8
    assert result["connections"]["failures"].keys() <= {"refused", "reset", "eof"}
    assert (run.folder / "report.html").stat().st_size > 100_000
    curves = json.loads((run.folder / "curves.json").read_text())
    assert curves["deploy"]["subscribed"][-1] == 1.0
    assert "Pass" in run.said
    assert str(run.folder / "report.html") in run.said

    assert not ready_file.exists()
    for path in run.folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert SECRET.encode() not in content, f"the clients' secret is in {path}"
        assert ready["control"]["token"].encode() not in content, f"the control token is in {path}"


def test_the_monolith_and_a_rolling_deploy_with_drain_and_bootstrap(loadtest_run) -> None:
    """Two runs side by side, with stacks and ports of their own; in one every connect asks godserver first."""
    monolith = loadtest_run(STORM, "--set", "target.version=sync", "--set", "target.nodes=1")
    rolling = loadtest_run(
        STORM.replace("[client]", '[target.bootstrap]\nevery = "connect"\n\n[client]'),
        *("--set", "faults.0.strategy=rolling", "--set", "faults.0.drain_seconds=1", "--set", "duration=8s"),
        name="rolling",
    )
    for run in (monolith, rolling):
        assert run.wait(50) == 0, run.said
        holds_together(run.result)

    assert monolith.result["target"]["version"] == "sync"
    (event,) = monolith.result["events"]
    assert event["dropped"] == event["population"] == 120
    assert event["recovery"]["t_sub_s"]["99.9"] is not None

    (event,) = rolling.result["events"]
    assert event["population"] == 120
    assert 120 <= event["dropped"] + event["recovery"]["secondary_drops"] <= 240
    assert event["recovery"]["t_sub_s"]["100"] is not None
    assert "rolling" in rolling.said
