"""The doctor agrees with what a run refuses, names the narrowest limit, and prints what lifts it."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from loadtest.errors import UsageError
from loadtest.herd import quick
from loadtest.launch.doctor import (
    BOTH_ENDS,
    CLIENT_ONLY,
    MOST,
    both_ends,
    capacity,
    client_only,
    examine,
    remote,
    show,
    summary,
    verdict,
)
from loadtest.launch.machine import Machine
from loadtest.launch.preflight import findings, refusals

MACHINE = Machine(
    nofile=20_000,
    nofile_hard=20_000,
    files_free=2_400_000,
    cores=2,
    memory_bytes=22 * 1024**3,
    ports=28_232,
    nofile_most=1_048_576,
    threads_free=30_000,
    epoll_watches=5_000_000,
    conntrack_free=262_144,
    tcp_bytes=2_300_000_000,
    buffer_bytes=4_096,
    backlog=4_096,
    kernel="6.18.44",
)


def printed(asked: int | None, machine: Machine = MACHINE, *, terminal: bool = False, **more: bool) -> str:
    out = io.StringIO()
    show(examine(machine, asked, **more), Console(file=out, force_terminal=terminal, width=200))
    return out.getvalue()


@pytest.mark.parametrize("change", [{}, {"memory_bytes": 10**9}, {"files_free": 7_777}, {"nofile": 1_024}])
def test_the_capacity_is_the_last_number_that_no_run_is_refused_for(change: dict) -> None:
    machine = replace(MACHINE, **change)
    for plan in (client_only(machine), both_ends(machine)):
        holds = capacity(machine, plan)
        assert 0 < holds < MOST
        assert refusals(findings(machine, plan(holds))) == []
        assert refusals(findings(machine, plan(holds + 1))) != []


def test_the_million_fits_with_both_ends_on_two_cores_and_24_gib() -> None:
    diagnosis = examine(MACHINE, 1_000_000)
    assert diagnosis.judged == BOTH_ENDS
    assert diagnosis.fits
    assert verdict(diagnosis) == "1,000,000 connections fit this machine (both ends)."


def test_the_narrowest_limit_is_named_for_each_kind_of_run() -> None:
    assert summary(examine(MACHINE)) == [
        "client only: 12,000 connections; the narrowest limit: local ports",
        "both ends: 1,200,000 connections; the narrowest limit: open files of the system",
    ]
    assert summary(examine(replace(MACHINE, memory_bytes=2 * 1024**3)))[1].endswith("memory in bytes")


def test_more_addresses_lift_the_ports_of_clients() -> None:
    (case, _) = examine(MACHINE, sources=10).cases
    assert case.holds == 120_000
    assert case.by_limit["local ports"] == 120_000
    assert case.by_limit["open files per process"] == MOST, "more processes, more files"


def test_relays_take_files_ports_and_memory_too() -> None:
    plain, relayed = examine(MACHINE).cases[1], examine(MACHINE, relay=True).cases[1]
    assert relayed.holds == 2_400_000 // 4 < plain.holds, "four ends of each connection are on this machine"
    (relays,) = [each for each in relayed.found if each.limit == "open files per relay"]
    assert (relays.have, relays.ok) == (20_000, True), "as many relays as it takes"
    assert "open files per relay" not in plain.by_limit
    tight = examine(replace(MACHINE, files_free=150), 50, relay=True)
    assert not tight.fits
    assert examine(replace(MACHINE, files_free=150), 50).fits


def test_lifting_what_it_says_makes_it_fit() -> None:
    tight = replace(MACHINE, files_free=1_000_000)
    diagnosis = examine(tight, 1_000_000)
    assert not diagnosis.fits
    (bad,) = [each for each in diagnosis.case.found if not each.ok and not each.advice]
    assert bad.lines == ("sysctl -w fs.file-max=4000000",)
    assert examine(replace(tight, files_free=4_000_000), 1_000_000).fits


def test_a_target_elsewhere_is_judged_as_client_only() -> None:
    diagnosis = examine(MACHINE, 20_000, remote_target=True)
    assert diagnosis.judged == CLIENT_ONLY
    assert verdict(diagnosis) == "20,000 connections do not fit this machine (client only)."
    assert examine(MACHINE, 12_000, remote_target=True).fits


def test_nobody_asked_nothing_is_refused() -> None:
    diagnosis = examine(replace(MACHINE, memory_bytes=10**9))
    assert diagnosis.fits
    assert verdict(diagnosis) == ""


@pytest.mark.parametrize("terminal", [False, True])
def test_lines_to_type_are_printed_whole(terminal: bool) -> None:
    text = printed(1_000_000, replace(MACHINE, nofile=300, nofile_hard=300, nofile_most=400), terminal=terminal)
    for line in (
        "# or: 84 addresses in population.source_addresses, or 50 after sysctl -w"
        ' net.ipv4.ip_local_port_range="1024 65535" (ip address add ADDRESS/PREFIX dev INTERFACE for each)',
        "sysctl -w net.netfilter.nf_conntrack_max=2000000",
    ):
        assert f"      {line}\n" in text
    assert "do not fit" in text


def test_piped_output_is_plain() -> None:
    text = printed(1_000)
    assert "\x1b" not in text
    assert "│" not in text
    assert text.count("open files per process") == 2
    assert "─" in printed(1_000, terminal=True)


def test_an_interpreted_hot_path_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(quick.VARIABLE, "0")
    assert "hot path: interpreted" in printed(1_000)
    assert examine(MACHINE).as_json()["hot_path"] == "python"
    monkeypatch.setenv(quick.VARIABLE, "1")
    assert ("hot path" in printed(1_000)) is (quick.COMPILED is None)


def test_json_says_everything() -> None:
    said = json.loads(json.dumps(examine(MACHINE, 1_500_000).as_json()))
    assert (said["schema"], said["fits"], said["judged"]) == ("loadtest.doctor/1", False, "both_ends")
    assert said["cases"]["both_ends"]["holds"] == 1_200_000
    assert said["cases"]["both_ends"]["narrowest"] == ["open files of the system"]
    assert said["machine"]["nofile"] == 20_000
    bad = [each for each in said["cases"]["both_ends"]["findings"] if not each["ok"] and not each["advice"]]
    assert {each["limit"] for each in bad} == {"open files of the system", "memory in bytes"}


@pytest.mark.parametrize(
    ("target", "elsewhere"),
    [
        ("ws://127.0.0.1:8001/socket.io/", False),
        ("ws://localhost/", False),
        ("wss://[::1]/", False),
        ("wss://gateway.example/socket.io/", True),
        ("ws://10.0.0.7:8001", True),
    ],
)
def test_a_target_on_loopback_is_here(target: str, elsewhere: bool) -> None:
    assert remote(target) is elsewhere


def test_a_target_that_is_no_gateways_url_is_refused() -> None:
    with pytest.raises(UsageError, match="--target"):
        remote("gateway.example")
