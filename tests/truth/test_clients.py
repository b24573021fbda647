"""The same run by the herd and by real clients: python-socketio and websocket-client say what the herd says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.truth.account import Account
from tests.truth.scenario import NICE, running_target

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_leftovers")]

LOCUSTFILE = Path(__file__).parent / "locustfiles" / "clients.py"
CONNECTIONS = 50
SCRIPT = {"delay": ["loguniform", 5, 200]}


def held_by(way: str, folder: Path, seconds: int = 6) -> tuple[dict, Account]:
    """Run the population held in one way; return run.json and the target's account."""
    folder.mkdir()
    users = CONNECTIONS if way.endswith("library") else 1
    with running_target(SCRIPT, folder / "target") as (_, port):
        argv = [*NICE, sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
        environment = os.environ | {"TRUTH_CLIENTS": way, "TRUTH_URL": f"ws://127.0.0.1:{port}"}
        done = subprocess.run(
            [*argv, "-u", str(users + 1), "-r", "100", "-t", f"{seconds}s", "--loadtest-out", str(folder / "runs")],
            env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        said = done.stderr.decode()
        assert done.returncode == 0, said
    (run,) = (folder / "runs").iterdir()
    return json.loads((run / "run.json").read_text()), Account(folder / "target")


@pytest.mark.parametrize("dialect", ["socketio", "websocket"])
def test_libraries_and_herd_agree(dialect: str, tmp_path) -> None:
    runs = {way: held_by(f"{dialect}-{way}", tmp_path / way) for way in ("herd", "library")}
    for result, account in runs.values():
        assert {"127.0.77.1", "127.0.77.2"} <= set(account.facts["sources"])
        assert (account.facts["bootstraps"] >= CONNECTIONS) == (dialect == "socketio")
        assert result["connections"]["peak"] == result["connections"]["at_end"] == CONNECTIONS
        assert result["connections"]["failures"] == {}
        fanout = result["fanout"]
        assert fanout["expected"] == fanout["delivered"] > 1_000
        assert fanout["lost"] == fanout["duplicated"] == fanout["foreign"] == fanout["imbalance"] == 0
    for key in ("p50", "p99"):
        herd_ms, library_ms = (runs[way][0]["fanout"]["latency_ms"][key] for way in ("herd", "library"))
        truth = {way: account.figures(1.0).latency_ms(float(key[1:])) for way, (_, account) in runs.items()}
        drawn_ms = truth["library"] - truth["herd"]  # the target drew other delays: its own account says how far apart
        assert abs(library_ms - herd_ms - drawn_ms) <= 0.5 + 0.05 * herd_ms, (key, herd_ms, library_ms, truth)
