"""Runs for the tests of comparisons: built in memory, or written as folders."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

from loadtest.compare.group import Group
from loadtest.results.reader import RunRecord

PROFILE = 'name = "quiet"\nduration = "12s"\n[target]\nversion = "a"\n[publish]\nrate = "40/s"\n'


def make_run(number: int = 0, version: str = "a", p50: float = 2.0, t_rec: float | None = 3.0) -> dict[str, Any]:
    """Return the keys of run.json that comparisons read."""
    latency = {"count": 8000, "min": p50 / 2, "p50": p50, "p90": p50 * 1.5, "p99": p50 * 3, "p99.9": p50 * 5}
    t_sub = dict.fromkeys(("50", "90", "99", "99.9", "100"), t_rec)
    recovery = {"t_conn_s": t_sub, "t_sub_s": t_sub, "t_rec_s": t_rec, "amplification": 1.0, "outage_s_mean": 1.2}
    return {
        "schema": "loadtest.run/1",
        "run_id": f"run-{version}-{number}",
        "started_at": f"2026-03-01T12:{number:02d}:00+00:00",
        "verdict": "pass",
        "reasons": [],
        "profile": {"name": "quiet", "sha256": "9f"},
        "target": {"url": "ws://127.0.0.1:1/", "dialect": "socketio", "version": version, "nodes": 2},
        "harness": {"version": "0.1.0", "locust": "2", "python": "3.11.7", "workers": 2, "cores": 2, "kernel": "6.18"},
        "connections": {
            "attempts": 400,
            "failures": {},
            "connect_ms": {"count": 400, "min": 1.0, "p50": 2.0, "p90": 3.0, "p99": 8.0, "p99.9": 9.0, "max": 10.0},
        },
        "fanout": {
            "published": 500,
            "expected": 8000,
            "delivered": 8000,
            "lost": 0,
            "duplicated": 0,
            "reordered": 0,
            "completeness": 1.0,
            "latency_ms": latency | {"max": p50 * 8},
        },
        "events": [{"name": "deploy", "kind": "deploy", "population": 200, "dropped": 200, "recovery": recovery}],
        "generator": {"clock_error_ms": 0.0, "workers_lost": 0},
        "thresholds": [],
    }


def make_record(run: dict[str, Any], **more: Any) -> RunRecord:
    """Return a record as the reader gives it."""
    known = {"intervals": [], "curves": {}, "profile_text": PROFILE} | more
    return RunRecord(Path("runs") / run["run_id"], run, run, **known)


def make_group(name: str, p50s: list[float], **more: Any) -> Group:
    """Return a group with one run for each fan-out median; it is interleaved with others by its runs' minutes."""
    return Group(name, tuple(make_record(make_run(at, name, p50, **more)) for at, p50 in enumerate(p50s)))


def around(level: float, count: int = 5, spread: float = 0.03, seed: int = 1) -> list[float]:
    """Return figures of runs of one version."""
    rng = random.Random(seed)
    return [level * rng.gauss(1, spread) for _ in range(count)]


def write_run(folder: Path, run: dict[str, Any], *, log: str | None = None) -> Path:
    """Write a run folder; `log` replaces the interval log."""
    folder.mkdir(parents=True)
    head = {"schema": "loadtest.intervals/1", "run_id": run["run_id"], "started_at": run["started_at"]}
    (folder / "intervals.jsonl").write_text(json.dumps(head) + "\n" if log is None else log)
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "curves.json").write_text("{}")
    (folder / "manifest.json").write_text(json.dumps({"run_id": run["run_id"]}))
    (folder / "profile.toml").write_text(PROFILE.replace('"a"', f'"{run["target"]["version"]}"'))
    return folder


def write_group(folder: Path, version: str, p50s: list[float]) -> Path:
    """Write a folder of run folders."""
    for at, p50 in enumerate(p50s):
        write_run(folder / f"{at:02d}", make_run(at, version, p50))
    return folder


def slower(record: RunRecord, factor: float) -> RunRecord:
    """Return a run whose every delivery took `factor` times as long; what was measured otherwise stays."""
    run = copy.deepcopy(record.run)
    for key in ("latency_ms", "uncorrected_ms"):
        figures = run["fanout"][key]
        run["fanout"][key] = {
            name: value if name == "count" or value is None else value * factor for name, value in figures.items()
        }
    return RunRecord(
        record.path, run, run, record.intervals, record.marks, record.curves, record.manifest, record.profile_text
    )
