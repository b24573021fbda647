"""Limits judged as values; no limit of this machine is needed to test them."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from loadtest.launch.machine import Machine
from loadtest.launch.preflight import (
    Demand,
    Finding,
    advices,
    findings,
    port_free,
    refusals,
)
from loadtest.launch.sizing import per_pair, relays_for

MACHINE = Machine(
    nofile=20_000,
    nofile_hard=20_000,
    files_free=2_000_000,
    cores=2,
    memory_bytes=24 * 10**9,
    ports=28_232,
    nofile_most=1_048_576,
    threads_free=30_000,
    epoll_watches=5_000_000,
    conntrack_free=None,
    tcp_bytes=2_300_000_000,
    buffer_bytes=4_096,
    backlog=4_096,
    kernel="6.18.44",
)


def test_findings_of_a_run_that_fits_are_all_ok() -> None:
    found = findings(MACHINE, Demand(5_000, workers=2, herd_size=250, served=5_000, nodes=2))
    assert [finding.limit for finding in found] == [
        "open files per process",
        "open files per gateway node",
        "open files of the system",
        "local ports",
        "memory in bytes",
        "processes and threads",
        "files watched by epoll",
        "tracked connections",
        "memory of TCP buffers",
        "smallest socket buffer",
        "listen backlog",
        "cores",
        "kernel",
    ]
    assert all(finding.ok and not finding.choices and not finding.lines for finding in found)
    assert refusals(found) == advices(found) == []


def test_the_million_fits_two_cores_and_24_gib() -> None:
    demand = Demand(1_000_000, workers=56, herd_size=1_000, sources=112, destinations=56, served=1_000_000, nodes=56)
    assert refusals(findings(MACHINE, demand)) == []
    few = replace(demand, workers=4, nodes=4, tables=14, sources=88, destinations=4)
    assert refusals(findings(replace(MACHINE, tables=64), few)) == []
    narrow = refusals(findings(MACHINE, few))
    assert "tables per gateway node: 14 needed, 1 there; target.tables of 1 and target.nodes of at least 51" in (
        narrow
    ), "where no process can have several tables"


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        (
            Demand(2_000_000, workers=1, herd_size=1_000, sources=200),
            "2,222,223 needed, 20,000 there; --workers 2, or ",
        ),
        (Demand(100_000, workers=1, herd_size=19_000, sources=200), "population.herd_size of at most 18000"),
        (Demand(10, workers=1, served=1_000_000, nodes=4, tables=12), "target.nodes of at least 5"),
    ],
)
def test_what_not_even_tables_can_hold_is_refused(demand: Demand, words: str) -> None:
    machine = replace(MACHINE, tables=64, memory_bytes=None, files_free=None)
    (text,) = refusals(findings(machine, demand))
    assert words in text


def test_everything_is_said_at_once() -> None:
    small = Machine(1_024, 1_024, 5_000, 1, 10**9, 1_000, 4_096, 10, 5_000, 1_000, 10, 10**6, 65_536, 128, "4.4.0")
    found = findings(small, Demand(100_000, workers=2, served=100_000, nodes=2))
    assert len(refusals(found)) == 9
    assert len(advices(found)) == 4


def test_too_few_workers_are_refused_with_the_number_that_fits() -> None:
    (text,) = refusals(findings(MACHINE, Demand(50_000, workers=2, herd_size=250, sources=8)))
    assert text == (
        "open files per process: 27,778 needed, 20,000 there; --workers 3, or ulimit -n 27778"
        " && echo '* - nofile 27778' >> /etc/security/limits.conf"
    )


def test_a_soft_limit_alone_is_no_matter_of_limits_conf() -> None:
    (text,) = refusals(findings(replace(MACHINE, nofile=1_024), Demand(2_000, workers=1)))
    assert text.endswith("--workers 3, or ulimit -n 2223")


def test_the_kernels_own_bound_on_files_is_lifted_first() -> None:
    (found, *_) = findings(MACHINE, Demand(2_000_000, workers=1, sources=200))
    assert found.lines[:2] == ("sysctl -w fs.nr_open=2222223", "ulimit -n 2222223")


def test_a_herd_larger_than_a_process_is_refused_with_a_size_that_fits() -> None:
    text, *_ = refusals(findings(replace(MACHINE, nofile=1_024), Demand(5_000, workers=5, herd_size=1_000)))
    assert "population.herd_size of at most 921" in text


def test_gateway_nodes_that_are_too_few_are_refused_with_a_number_that_fits() -> None:
    demand = Demand(30_000, workers=2, herd_size=250, sources=4, destinations=1, served=30_000, nodes=1)
    (text,) = refusals(findings(MACHINE, demand))
    assert text.startswith("open files per gateway node: 30,256 needed, 20,000 there; target.nodes of at least 2, or")
    assert refusals(findings(MACHINE, replace(demand, nodes=2, destinations=2))) == []


def test_a_relay_takes_two_files_a_connection() -> None:
    demand = Demand(20_000, workers=2, herd_size=250, sources=4, destinations=2, relays=1)
    (text,) = refusals(findings(MACHINE, demand))
    assert text.startswith("open files per relay: 44,445 needed, 20,000 there; relay.processes of at least 3, or")
    assert relays_for(20_000, MACHINE.nofile) == 3
    assert refusals(findings(MACHINE, replace(demand, relays=3))) == []
    assert demand.sockets == 60_000
    assert relays_for(100, 20_000) == 1


def test_ports_of_one_pair_are_refused_with_the_number_of_addresses() -> None:
    (text,) = refusals(findings(MACHINE, Demand(100_000, workers=6, herd_size=250)))
    assert text.startswith("local ports: 100,000 needed, 12,000 there; 9 addresses in population.source_addresses, or ")
    assert 'or 5 after sysctl -w net.ipv4.ip_local_port_range="1024 65535" (ip address add ' in text
    assert refusals(findings(MACHINE, Demand(100_000, workers=6, sources=9))) == []
    assert refusals(findings(MACHINE, Demand(100_000, workers=6, sources=3, destinations=3))) == []


@pytest.mark.parametrize(("ports", "carries"), [(28_232, 12_000), (64_512, 20_000), (1_000, 425), (1, 0)])
def test_a_pair_carries_under_half_of_its_ports(ports: int, carries: int) -> None:
    assert per_pair(ports) == carries <= ports / 2


def test_wide_port_ranges_are_not_asked_to_be_wider() -> None:
    (text,) = refusals(findings(replace(MACHINE, ports=64_512), Demand(20_001, workers=2)))
    assert text == "local ports: 20,001 needed, 20,000 there; " + (
        "2 addresses in population.source_addresses (ip address add ADDRESS/PREFIX dev INTERFACE for each)"
    )


def test_a_wider_port_range_is_a_line_to_type_where_it_is_enough() -> None:
    (text,) = refusals(findings(MACHINE, Demand(20_000, workers=2)))
    assert text.endswith(', or sysctl -w net.ipv4.ip_local_port_range="1024 65535"')
    assert refusals(findings(replace(MACHINE, ports=64_512), Demand(20_000, workers=2))) == []


def test_memory_is_refused_with_the_population_that_fits() -> None:
    machine = replace(MACHINE, memory_bytes=1_000_000_000)
    demand = Demand(100_000, workers=6, sources=9, served=100_000)
    (text,) = refusals(findings(machine, demand))
    fit = int(text.partition("population.connections of at most ")[2].partition(",")[0])
    assert 45_000 < fit < 50_000
    assert refusals(findings(machine, replace(demand, connections=fit, served=fit))) == []
    assert refusals(findings(machine, replace(demand, connections=fit + 2, served=fit + 2))) != []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"files_free": 5_000}, "open files of the system: 8,000 needed, 5,000 there; sysctl -w fs.file-max=16000"),
        (
            {"epoll_watches": 7_999},
            "files watched by epoll: 8,000 needed, 7,999 there; sysctl -w fs.epoll.max_user_watches=16000",
        ),
        (
            {"conntrack_free": 3_999, "conntrack_used": 1},
            "tracked connections: 4,000 needed, 3,999 there; sysctl -w net.netfilter.nf_conntrack_max=8002",
        ),
        (
            {"threads_free": 20},
            "processes and threads: 21 needed, 20 there; a larger pids.max of the control group, if there is one,"
            " or ulimit -u unlimited && sysctl -w kernel.pid_max=65536",
        ),
        ({"kernel": "4.4.0-generic"}, "kernel: 4.5 needed, 4.4.0-generic there; a newer Linux"),
    ],
)
def test_each_limit_is_refused_with_the_line_that_lifts_it(change: dict, text: str) -> None:
    found = findings(replace(MACHINE, **change), Demand(4_000, workers=1, served=4_000))
    assert refusals(found) == [text]


@pytest.mark.parametrize(
    ("change", "limit", "line"),
    [
        ({"conntrack_free": 3_999}, "tracked connections", "sysctl -w net.netfilter.nf_conntrack_max=8000"),
        ({"tcp_bytes": 10**6}, "memory of TCP buffers", 'sysctl -w net.ipv4.tcp_mem="2000 3000 4000"'),
        ({"buffer_bytes": 65_536}, "smallest socket buffer", 'sysctl -w net.ipv4.tcp_rmem="4096 131072 6291456"'),
        ({"backlog": 128}, "listen backlog", "sysctl -w net.core.somaxconn=4096"),
    ],
)
def test_what_only_hurts_is_an_advice(change: dict, limit: str, line: str) -> None:
    found = findings(replace(MACHINE, **change), Demand(4_000, workers=1, served=4_000))
    assert refusals(found) == []
    (bad,) = [each for each in found if not each.ok]
    assert (bad.limit, bad.lines[0]) == (limit, line)
    assert len(advices(found)) == 1


def test_what_the_kernel_does_not_say_is_no_refusal() -> None:
    silent = Machine(20_000, 20_000, None, 2, None, 28_232)
    found = findings(silent, Demand(5_000, workers=2, served=5_000, nodes=1))
    assert refusals(found) == advices(found) == []
    assert "unknown there" in str(found[2])


@pytest.mark.parametrize("release", ["4.5", "4.18.0-553.el8", "5.4.0-1-aws", "6.18.44-fc-v657", "10.0"])
def test_kernels_that_do(release: str) -> None:
    assert refusals(findings(replace(MACHINE, kernel=release), Demand(1, workers=1))) == []


@pytest.mark.e2e
def test_port_free_tells_a_taken_port_with_the_remedy() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        finding = port_free("127.0.0.1", port)
    assert not finding.ok
    assert f"master port 127.0.0.1:{port}" in str(finding)
    assert "Address already in use; choose another" in str(finding)
    assert port_free("127.0.0.1", port) == Finding(f"master port 127.0.0.1:{port}", 1, 1, ok=True)
