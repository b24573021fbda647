"""`loadtest doctor` as a user starts it: exit codes, plain text, JSON, and agreement with `loadtest run`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from .conftest import first

pytestmark = pytest.mark.e2e


def doctor(*arguments: str, fds: int | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "loadtest.cli", "doctor", *arguments]
    if fds is not None:
        argv = [*first(f"ulimit -n {fds}"), *argv]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def test_without_a_number_it_says_what_this_machine_holds() -> None:
    done = doctor()
    assert done.returncode == 0, done.stderr
    assert "client only: " in done.stdout
    assert "both ends: " in done.stdout
    assert "the narrowest limit: " in done.stdout
    assert "\x1b" not in done.stdout


def test_a_number_that_fits_and_one_that_does_not() -> None:
    assert doctor("-n", "100").returncode == 0
    done = doctor("-n", "10000000")
    assert done.returncode == 2
    assert "10,000,000 connections do not fit this machine (both ends)." in done.stdout


def test_a_target_elsewhere_is_about_clients_only() -> None:
    done = doctor("-n", "100", "--target", "wss://gateway.example/socket.io/")
    assert done.returncode == 0
    assert "100 connections fit this machine (client only)." in done.stdout


def test_json_is_json() -> None:
    done = doctor("--json", "--relay", "-n", "5000000")
    assert done.returncode == 2
    said = json.loads(done.stdout)
    assert said["schema"] == "loadtest.doctor/1"
    assert said["fits"] is False
    assert said["cases"]["both_ends"]["holds"] < 5_000_000
    assert "open files per relay" in {each["limit"] for each in said["cases"]["client_only"]["findings"]}


def test_a_target_that_is_no_url_is_refused() -> None:
    done = doctor("--target", "gateway.example")
    assert done.returncode == 2
    assert "--target" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_agrees_with_what_a_run_refuses(loadtest_run) -> None:
    said = json.loads(doctor("--json", "-n", "3000", fds=600).stdout)
    assert said["machine"]["nofile"] == 600
    assert said["cases"]["both_ends"]["findings"][0]["limit"] == "open files per process"
    assert said["cases"]["both_ends"]["findings"][0]["ok"], "more workers do"
    settings = [
        "--set",
        "population.connections=3000",
        "--set",
        "target.nodes=20",
        "--set",
        "population.herd_size=1000",
    ]
    run = loadtest_run("smoke", *settings, fds=600)
    assert run.wait(30) == 2
    assert "open files per process: 1,112 needed, 600 there; population.herd_size of at most 540, or ulimit" in run.said
