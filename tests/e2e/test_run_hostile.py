"""Servers that misbehave: every reason is counted by its class, nobody else suffers, and the run ends by itself."""

from __future__ import annotations

import socket
import time

import pytest

from loadtest.results.schema import validate

pytestmark = pytest.mark.e2e

PROFILE = """
name = "hostile"
duration = "{duration}"
thresholds = ["delivery.throughout.loss == 0"]

[target]
{dialect}
url = [{urls}]

[population]
connections = {connections}

[[population.channels]]
name = "room-{{n}}"
count = 2

{subscribe}

[publish]
{publish}
deadline = "1s"

[ramp]
rate = "200/s"
timeout = "4s"
connect_timeout = "1500ms"

[phases]
warmup = "200ms"

[reconnect]
policy = "fixed"
delay = "500ms"
"""
ROOMS = {
    "dialect": 'dialect = "socketio"',
    "subscribe": '[subscribe]\nevent = "enter-room"\nargs = ["{channel}"]\nack_path = "1.room"',
    "publish": 'event = "shout"\nargs = [{ to = "{channel}", body = "{marker}" }]\nmarker = "1.body"\nrate = "20/s"',
}
REASONS = {
    "reset": "upgrade_reset",
    "close": "upgrade_eof",
    "403": "http_403",
    "503": "http_503",
    "redirect": "http_302",
    "garbage": "garbage",
    "bad-accept": "bad_accept",
    "huge-head": "head_too_large",
    "slow-head": "timeout_upgrade",
    "never": "timeout_upgrade",
    "malformed": "bad_rsv",
    "masked": "bad_mask",
    "oversize": "frame_too_large",
    "bad-utf8": "bad_utf8",
    "garbage-packet": "malformed_packet",
    "cut": "eof",
    "close-1013": "close_1013",
    "stop-reading": "timeout_session",
    "silent": "timeout_session",
    "abrupt": "reset",
}
"""Path of the hostile target -> the class under which its clients' failures are counted."""


def quoted(urls: list[str]) -> str:
    return ", ".join(f'"{url}"' for url in urls)


def test_every_kind_of_misbehaviour_is_counted_and_the_others_are_served(
    loadtest_run, hostile_target, socketio_target
) -> None:
    """Clients are dealt to the addresses in turn: 5 to each bad one, 105 to the good one."""
    good = f"{socketio_target.url}/socket.io/"
    urls = [url for mode in REASONS for url in (f"{hostile_target.url}/{mode}/", good)] + [good]
    clients = 5 * len(urls)
    began = time.monotonic()
    run = loadtest_run(PROFILE.format(urls=quoted(urls), connections=clients, duration="2s", **ROOMS))
    assert run.wait(30) == 1, run.said
    assert time.monotonic() - began < 20

    result = run.result
    assert validate(result) == []
    failures = result["connections"]["failures"]
    assert set(failures) == set(REASONS.values())
    assert all(count >= 5 for count in failures.values()), failures
    assert failures["timeout_session"] + failures["timeout_upgrade"] < 100, "they are given up after their time"
    held = 5 * (len(REASONS) + 1)
    assert result["connections"]["at_end"] == held
    assert result["reasons"][0].startswith(f"Only {held} of {clients} clients were subscribed after 4 s (")
    fanout = result["fanout"]
    assert fanout["by_class"]["throughout"]["lost"] == fanout["imbalance"] == 0
    assert fanout["delivered"] > 1000
    assert result["generator"]["engine_errors"] == 0
    assert "reasons=" in run.said


def test_nobody_gets_through(loadtest_run, hostile_target) -> None:
    url = f"{hostile_target.url}/503"
    run = loadtest_run(PROFILE.format(urls=quoted([url]), connections=20, duration="2s", **ROOMS))
    assert run.wait(20) == 4, run.said
    result = run.result
    assert validate(result) == []
    assert result["verdict"] == "fail"
    assert url in result["reasons"][0]
    assert "http_503 x " in result["reasons"][0]
    assert url in run.said.replace("\n", " ")
    assert (run.folder / "report.html").exists()


def test_a_server_that_stops_reading_costs_only_its_own_publishes(loadtest_run, hostile_target) -> None:
    """The window and then the harness's own buffer fill up; the connection is given up and its reason counted."""
    run = loadtest_run(
        PROFILE.format(
            urls=quoted([f"{hostile_target.url}/stop-reading"]),
            connections=10,
            duration="4s",
            dialect='dialect = "websocket"',
            subscribe='[subscribe]\nmessage = "{channel}"\nack = false\nsettle = "100ms"',
            publish='message = "{marker}{padding}"\nrate = "60/s"\npayload = "512KiB"\nconnections = 1',
        )
    )
    assert run.wait(30) == 1, run.said
    result = run.result
    assert result["connections"]["at_end"] == 10, "who only listens is not disturbed"
    assert result["fanout"]["delivered"] == 0
    assert result["fanout"]["lost"] == result["fanout"]["expected"] > 0
    assert result["generator"]["engine_errors"] == 0


def test_a_port_without_a_listener_is_named_within_ten_seconds(loadtest_run, hostile_target) -> None:
    url = f"ws://127.0.0.1:{hostile_target.said['refused_port']}/socket.io/"
    began = time.monotonic()
    run = loadtest_run(PROFILE.format(urls=quoted([url]), connections=20, duration="2s", **ROOMS))
    assert run.wait(15) == 4, run.said
    assert time.monotonic() - began < 10
    assert f"{url} cannot be reached: connection refused" in run.said
    assert run.folders == []


def test_a_host_that_swallows_packets_is_named_within_ten_seconds(loadtest_run) -> None:
    """A full backlog drops what comes: the connect is never answered."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        url = f"ws://127.0.0.1:{full.getsockname()[1]}/"
        callers = [socket.socket() for _ in range(3)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(full.getsockname())
        began = time.monotonic()
        run = loadtest_run(PROFILE.format(urls=quoted([url]), connections=20, duration="2s", **ROOMS))
        assert run.wait(15) == 4, run.said
        assert time.monotonic() - began < 10
        assert f"{url} cannot be reached: no answer within" in run.said
        for caller in callers:
            caller.close()
