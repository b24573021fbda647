"""A web UI in the eighth hour of a run: its history is full, and another second comes every second.

python long_web_run.py SECONDS_BEFORE    prints its URL; what it is fed is made up, the pages are the real ones
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment

from loadtest.faults.fault import Control
from loadtest.metrics.books import Gauge
from loadtest.profile.loader import load_profile
from loadtest.results.folder import RunFolder
from loadtest.users.master_bridge import MasterBridge, WorkerInfo
from loadtest.users.recorder import Recorder
from loadtest.users.striker import Striker
from loadtest.web.guest import show
from loadtest.web.watch import Watch

WORKERS, CONNECTIONS = 10, 20_000


def line(second: int) -> dict[str, Any]:
    """Return an interval line of a run with 20,000 connections and a storm every ten minutes."""
    waiting = CONNECTIONS if second % 600 == 599 else 0
    wave = 1 + 0.3 * math.sin(second / 50)
    return {
        "t_s": second + 0.123,
        "phase": "hold",
        "workers": WORKERS,
        "target": CONNECTIONS,
        "connections": {
            **{"idle": 0, "waiting": waiting, "connecting": 0, "opening": 0, "subscribing": 0},
            "subscribed": CONNECTIONS - waiting,
        },
        "attempts": waiting,
        "connected": waiting,
        "subscribed": waiting,
        "drops": waiting,
        "failures": {"refused": 17} if waiting else {},
        "connect_ms": {"count": waiting, "p50": 1.0, "p90": 2.0, "p99": 3.0 * wave, "max": 4.0},
        "fanout": {
            **{"published": 100, "delivered": 40_000, "p50_ms": 3.21 * wave, "p90_ms": 6.54 * wave},
            **{"p99_ms": 12.34 * wave, "max_ms": 34.56 * wave},
        },
        "delivery": {"expected": 40_000, "delivered": 40_000, "lost": 0, "duplicated": 0, "reordered": 0},
        "generator": {"lateness_p99_ms": 0.4, "loop_lag_p99_ms": 2.2, "cpu_max_percent": 42.0, "rss_bytes": 1 << 30},
        "events": [],
        "log": ["deploy: every client is back"] if waiting else [],
    }


def watched(environment: Environment, out: str) -> Watch:
    """Return the watch of a run that has begun, with ten workers."""
    environment.create_local_runner()
    watch = show(environment, out)
    profile = load_profile("deploy-storm")
    recorder = Recorder(MasterBridge(environment), profile, RunFolder.create(out, "long"), watch, [], {})
    recorder.begin()
    for number in range(WORKERS):
        recorder.bridge.workers[f"w{number}"] = WorkerInfo(f"w{number}", "herd", 0, "here", number)
        recorder.books.workers[number] = Gauge()
    watch.attend(recorder, Striker(recorder, {}, Control("http://127.0.0.1:9", "")))
    return watch


def main(seconds: int) -> None:
    """Serve until killed."""
    environment = Environment()
    web_ui = environment.create_web_ui("127.0.0.1", 0, delayed_start=True)
    watch = watched(environment, tempfile.mkdtemp())
    for second in range(seconds):
        watch.feed(line(second))
        if second % 600 == 598:
            watch.mark({"t_s": float(second), "mark": f"deploy-{second // 600}", "kind": "deploy", "text": "rolling"})
    web_ui.start()
    while web_ui.server is None or not web_ui.server.started:
        gevent.sleep(0.01)
    sys.stdout.write(f"http://127.0.0.1:{web_ui.server.server_port}\n")
    sys.stdout.flush()
    while Path("/proc/self").exists():
        gevent.sleep(1)
        seconds += 1
        watch.feed(line(seconds))


if __name__ == "__main__":
    main(int(sys.argv[1]))
