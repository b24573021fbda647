"""A run that never was: 5,000 clients, ramp, hold, deploy, recovery, 120 s; written as a run folder on demand."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

from loadtest.report.data import ReportData

POPULATION = 5000
RAMP_S, HOLD_S, DROP_S, END_S = 5, 8, 32, 114
PROFILE = 'name = "deploy-storm"\ndescription = "Everybody at once"\nduration = "100s"\n\n[publish]\nrate = "100/s"\n'


def _share_back(since_s: float, scale: float) -> float:
    """Share of the clients that are back: S-shaped, all of them after 6.1 s x scale."""
    if since_s <= 0.4 * scale:
        return 0.0
    if since_s >= 6.1 * scale:
        return 1.0
    return min(0.9998, 1 - math.exp(-(((since_s / scale - 0.4) / 1.6) ** 1.7)))


def _when(share: float, scale: float) -> float:
    return next(step / 1000 for step in range(100_000) if _share_back(step / 1000, scale) >= share)


def latency(scale: float = 1.0, count: int = 3_998_000) -> dict[str, float]:
    """Return a LATENCY object, in ms."""
    values = {"min": 0.21, "p50": 2.14, "p90": 5.31, "p99": 12.7, "p99.9": 48.2, "max": 212.9}
    return {"count": count} | {key: value * scale for key, value in values.items()}


def make_run(scale: float = 1.0, version: str = "bifrost-1") -> dict[str, Any]:
    """Return run.json of the run, its recovery stretched by `scale`."""
    steps = {"50": 0.5, "90": 0.9, "99": 0.99, "99.9": 0.999, "100": 1.0}
    t_sub = {step: round(_when(share, scale), 3) for step, share in steps.items()}
    return {
        "schema": "loadtest.run/1",
        "run_id": f"20260301T120000-deploy-storm-{version[-4:]}",
        "started_at": "2026-03-01T12:00:00Z",
        "finished_at": "2026-03-01T12:01:54Z",
        "verdict": "pass",
        "reasons": [],
        "profile": {"name": "deploy-storm", "sha256": "9f" * 32},
        "target": {"url": "ws://127.0.0.1:8001/socket.io/", "dialect": "socketio", "version": version, "nodes": 2},
        "harness": {
            "version": "0.1.0",
            "locust": "2.47.0",
            "python": "3.11.9",
            "workers": 3,
            "cores": 2,
            "kernel": "6.18",
        },
        "connections": {
            "target": POPULATION,
            "peak": POPULATION,
            "at_end": POPULATION,
            "attempts": 11_842,
            "failures": {"refused": 1600, "timeout": 221, "http 503": 21},
            "ramp_seconds": 5.02,
            "connect_ms": latency(2.5, 10_000),
            "bytes_per_connection": None,
        },
        "fanout": {
            "published": 40_000,
            "expected": 3_998_000,
            "delivered": 3_998_000,
            "lost": 0,
            "duplicated": 0,
            "reordered": 0,
            "completeness": 1.0,
            "latency_ms": latency(),
            "uncorrected_ms": latency(0.97),
            "ttk_ms": {
                "50": {"p50": 2.2, "p99": 9.1},
                "99": {"p50": 6.2, "p99": 31.0},
                "100": {"p50": 8.8, "p99": 64.0},
            },
            "by_class": {
                "throughout": {"expected": 0, "delivered": 0, "lost": 0, "duplicated": 0, "reordered": 0},
                "recovered": {
                    "expected": 3_998_000,
                    "delivered": 3_998_000,
                    "lost": 0,
                    "duplicated": 0,
                    "reordered": 0,
                },
            },
        },
        "events": [
            {
                "name": "deploy",
                "kind": "deploy",
                "at_s": 32.1,
                "population": POPULATION,
                "dropped": POPULATION,
                "recovery": {
                    "t_conn_s": {step: round(value * 0.9, 3) for step, value in t_sub.items()},
                    "t_sub_s": t_sub,
                    "t_svc_s": 7.0 * scale,
                    "t_rec_s": 7.0 * scale,
                    "attempts": 6842,
                    "amplification": 1.368,
                    "peak_attempts_1s": 2210,
                    "peak_attempts_10s": 6800,
                    "secondary_drops": 0,
                    "outage_s_mean": 2.04 * scale,
                    "lost": 0,
                    "metastable": False,
                },
            }
        ],
        "generator": {
            "lateness_p99_ms": 0.31,
            "loop_lag_p99_ms": 0.9,
            "receive_queue_p50_ms": 0.11,
            "receive_queue_p99_ms": 0.52,
            "receive_queue_max_ms": 3.2,
            "receive_queue_count": 5_520,
            "receive_queue_connections": 79,
            "cpu_max_percent": 61.0,
            "clock_error_ms": 0.0,
            "workers_lost": 0,
        },
        "thresholds": [
            {"expr": "fanout.latency.p99 < 250ms", "value": 12.7, "verdict": "PASS"},
            {"expr": "events.deploy.t_sub.99.9 < 60s", "value": t_sub["99.9"], "verdict": "PASS"},
            {"expr": "delivery.loss == 0", "value": 0.0, "verdict": "PASS"},
        ],
    }


def make_intervals(scale: float = 1.0, end_s: int = END_S, seed: int = 7) -> list[dict[str, Any]]:
    """Return one interval line per second: ramp, warm-up, hold with a deploy at 32.1 s, drain."""
    rng = random.Random(seed)
    lines = []
    for second in range(1, end_s + 1):
        ramped = min(POPULATION, second * POPULATION // RAMP_S)
        since = second - DROP_S - 0.1
        share = _share_back(since, scale) if since > 0 else 1.0
        subscribed = int(ramped * share)
        away = ramped - subscribed
        phase = (
            "ramp" if second <= RAMP_S else "warmup" if second <= HOLD_S else "hold" if second <= end_s - 6 else "drain"
        )
        storm = 0 < since < 7 * scale
        attempts = POPULATION // RAMP_S if second <= RAMP_S else int(away * 0.6) if storm else 0
        failed = int(attempts * 0.3) if storm else 0
        p50 = 2 + rng.random() * 0.5 + (30 * (1 - share) if storm else 0)
        quiet = second <= RAMP_S or subscribed == 0
        event = {"name": "deploy", "at_s": 32.1, "population": POPULATION, "dropped": POPULATION}
        lines.append(
            {
                "t_s": float(second),
                "phase": phase,
                "workers": 3,
                "target": POPULATION,
                "connections": {
                    "idle": POPULATION - ramped,
                    "waiting": away // 2,
                    "connecting": away // 8,
                    "opening": away // 4,
                    "subscribing": away - away // 2 - away // 8 - away // 4,
                    "subscribed": subscribed,
                },
                "attempts": attempts,
                "connected": attempts - failed,
                "subscribed": attempts - failed,
                "drops": POPULATION if second == DROP_S + 1 else 0,
                "failures": {"refused": failed} if failed else {},
                "connect_ms": {"count": attempts, "p50": 5.3, "p90": 13.0, "p99": 31.0, "max": 80.0},
                "fanout": {
                    "published": 0 if quiet else 100,
                    "delivered": 0 if quiet else 10_000,
                    "p50_ms": None if quiet else round(p50, 2),
                    "p90_ms": None if quiet else round(p50 * 2.4, 2),
                    "p99_ms": None if quiet else round(p50 * 5.5 + rng.random() * 4, 2),
                    "max_ms": None if quiet else round(p50 * 9 + rng.random() * 40, 2),
                },
                "delivery": {"expected": 10_000, "delivered": 10_000, "lost": 0, "duplicated": 0, "reordered": 0},
                "generator": {
                    "lateness_p99_ms": round(0.2 + rng.random() * 0.2, 3),
                    "loop_lag_p99_ms": round(0.6 + rng.random() * 0.5 + (3 if storm else 0), 3),
                    "receive_queue_p99_ms": 0.62 if storm else 0.41,
                    "cpu_max_percent": 35.0 + (26 if storm else rng.random() * 4),
                    "rss_bytes": 88_000_000,
                },
                "events": [event | {"connected": subscribed, "subscribed": subscribed}] if since > 0 else [],
                "log": ["deploy complete: 2 nodes replaced in 1.2 s"] if second == 34 else [],
            }
        )
    return lines


def make_marks(end_s: int = END_S) -> list[dict[str, Any]]:
    """Return the marks of the phases and of the deploy."""
    starts = (("ramp", 0), ("warmup", RAMP_S), ("hold", HOLD_S), ("drain", end_s - 6))
    phases = [{"t_s": float(start_s), "mark": name, "kind": "phase"} for name, start_s in starts]
    deploy = {"t_s": 32.1, "mark": "deploy", "kind": "deploy", "text": "all-at-once, 2 nodes"}
    return [*phases[:3], deploy, phases[3]]


def make_curves(scale: float = 1.0) -> dict[str, Any]:
    """Return curves.json: one curve of 50 ms steps."""
    t_s = [0.0] + [round(0.05 * step * scale, 3) for step in range(1, 160)]
    shares = [_share_back(time_s, scale) for time_s in t_s]
    connected = [_share_back(time_s / 0.9, scale) for time_s in t_s]
    return {"deploy": {"population": POPULATION, "t_s": t_s, "connected": connected, "subscribed": shares}}


def make_data(scale: float = 1.0, version: str = "bifrost-1") -> ReportData:
    """Return the whole run."""
    return ReportData(
        run=make_run(scale, version),
        intervals=make_intervals(scale),
        marks=make_marks(),
        curves=make_curves(scale),
        profile_text=PROFILE,
    )


def write_folder(folder: Path, data: ReportData) -> Path:
    """Write `data` as a run folder, in the formats of the results room."""
    folder.mkdir(parents=True)
    head = {"schema": "loadtest.intervals/1", "run_id": data.run["run_id"], "started_at": data.run["started_at"]}
    lines = sorted([*data.intervals, *data.marks], key=lambda line: float(line["t_s"]))
    (folder / "intervals.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [head, *lines]))
    (folder / "run.json").write_text(json.dumps(data.run))
    (folder / "curves.json").write_text(json.dumps(data.curves))
    (folder / "manifest.json").write_text(json.dumps({"run_id": data.run["run_id"], "profile": data.run["profile"]}))
    (folder / "profile.toml").write_text(data.profile_text)
    return folder
