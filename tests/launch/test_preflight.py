"""Limits judged as values; no limit of this machine is needed to test them."""

from __future__ import annotations

import socket
from dataclasses import replace
from math import ceil
from pathlib import Path

import pytest

from loadtest.launch.preflight import (
    Demand,
    Finding,
    Machine,
    connections_of_largest,
    findings,
    port_free,
    read_machine,
    refusals,
    usable_files,
    workers_for,
)

MACHINE = Machine(
    nofile=20_000,
    nofile_hard=20_000,
    files_free=2_000_000,
    cores=2,
    memory_bytes=24 * 10**9,
    ports=28_232,
)


@pytest.mark.parametrize(
    ("connections", "nofile", "cores", "herd_size", "workers"),
    [
        (1, 20_000, 2, 250, 1),
        (200, 20_000, 2, 250, 1),
        (999, 20_000, 2, 250, 1),
        (1_000, 20_000, 2, 250, 2),
        (5_000, 20_000, 2, 250, 2),
        (5_000, 20_000, 64, 250, 10),  # 500 connections each are worth a process
        (5_000, 20_000, 64, 5_000, 1),  # one herd cannot be split
        (100_000, 20_000, 2, 250, 6),  # 18,000 usable, 72 herds each
        (1_000_000, 20_000, 2, 250, 56),
        (1_000_000, 1_024, 2, 1_000, 1_000),  # 921 usable, less than a herd: findings refuse
        (1_000, 64, 2, 1, 18),
    ],
)
def test_workers_for(connections: int, nofile: int, cores: int, herd_size: int, workers: int) -> None:
    assert workers_for(connections, nofile, cores, herd_size) == workers


@pytest.mark.parametrize("connections", [1, 17, 1_000, 17_999, 18_001, 99_999, 1_000_000])
@pytest.mark.parametrize("herd_size", [1, 7, 250, 900])
@pytest.mark.parametrize("nofile", [1_024, 4_096, 20_000, 1_048_576])
def test_workers_for_leaves_a_tenth_of_the_files_spare(connections: int, herd_size: int, nofile: int) -> None:
    workers = workers_for(connections, nofile, 2, herd_size)
    assert connections_of_largest(connections, workers, herd_size) <= usable_files(nofile)
    assert workers <= ceil(connections / herd_size)


def test_findings_of_a_run_that_fits_are_all_ok() -> None:
    found = findings(MACHINE, Demand(5_000, workers=2, herd_size=250, local_target=True))
    assert [finding.limit for finding in found] == [
        "open files per process",
        "open files of the system",
        "local ports",
        "memory in bytes",
    ]
    assert all(finding.ok and not finding.remedy for finding in found)
    assert refusals(found) == []


def test_too_few_workers_are_refused_with_the_number_that_fits() -> None:
    (text,) = refusals(findings(MACHINE, Demand(50_000, workers=2, herd_size=250, sources=8)))
    assert text == (
        "open files per process: 27,778 needed, 20,000 there; --workers 3, or ulimit -n 27778 "
        '(the hard limit is 20,000: a line "* hard nofile 27778" in limits.conf lifts it)'
    )


def test_a_soft_limit_alone_is_no_matter_of_limits_conf() -> None:
    (text,) = refusals(findings(replace(MACHINE, nofile=1_024), Demand(2_000, workers=1)))
    assert text.endswith("--workers 3, or ulimit -n 2223")


def test_a_herd_larger_than_a_process_is_refused_with_a_size_that_fits() -> None:
    text, *_ = refusals(findings(replace(MACHINE, nofile=1_024), Demand(5_000, workers=5, herd_size=1_000)))
    assert "population.herd_size of at most 921" in text


def test_a_gateway_node_that_cannot_hold_its_share_is_refused_with_the_nodes_that_could() -> None:
    demand = Demand(connections=6_000, workers=4, nodes=2, local_target=True)
    assert "open files per gateway node" in {finding.limit for finding in findings(MACHINE, demand)}
    assert refusals(findings(MACHINE, demand)) == []
    tight = replace(MACHINE, nofile=2_256, nofile_hard=2_256)
    assert refusals(findings(tight, demand)) == [
        "open files per gateway node: 3,256 needed, 2,256 there; target.nodes of at least 3, or ulimit -n 3256"
        ' (the hard limit is 2,256: a line "* hard nofile 3256" in limits.conf lifts it)'
    ]
    assert refusals(findings(tight, replace(demand, nodes=3))) == []
    (sentence,) = refusals(findings(replace(MACHINE, nofile=200), replace(demand, connections=100)))
    assert sentence.endswith("; ulimit -n 306")


def test_ports_of_one_pair_are_refused_with_the_number_of_addresses() -> None:
    (text,) = refusals(findings(MACHINE, Demand(100_000, workers=6, herd_size=250)))
    assert text == "local ports: 100,000 needed, 12,000 there; 9 addresses in population.source_addresses"
    assert refusals(findings(MACHINE, Demand(100_000, workers=6, sources=9))) == []
    assert refusals(findings(MACHINE, Demand(100_000, workers=6, sources=3, destinations=3))) == []


def test_a_narrow_port_range_is_named() -> None:
    (text,) = refusals(findings(replace(MACHINE, ports=1_000), Demand(600, workers=1)))
    assert "2 addresses" in text
    assert "ip_local_port_range" in text


def test_memory_is_refused_with_the_population_that_fits() -> None:
    machine = replace(MACHINE, memory_bytes=1_000_000_000)
    demand = Demand(100_000, workers=6, sources=9, local_target=True)
    (text,) = refusals(findings(machine, demand))
    assert "population.connections of at most 48428" in text
    assert refusals(findings(machine, replace(demand, connections=48_428))) == []


def test_a_full_file_table_is_refused() -> None:
    (text,) = refusals(findings(replace(MACHINE, files_free=5_000), Demand(4_000, workers=1, local_target=True)))
    assert text == "open files of the system: 8,000 needed, 5,000 there; sysctl -w fs.file-max=16000"


def test_what_the_kernel_does_not_say_is_no_refusal() -> None:
    assert refusals(findings(replace(MACHINE, memory_bytes=None, files_free=None), Demand(5_000, workers=2))) == []


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_read_machine_takes_the_narrower_of_kernel_and_control_group(tmp_path: Path) -> None:
    files = {
        "proc/sys/net/ipv4/ip_local_port_range": "1024\t65535\n",
        "proc/sys/fs/file-nr": "1000\t0\t5000\n",
        "proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable:    8000000 kB\n",
        "sys/fs/cgroup/memory.max": "3000000000\n",
        "sys/fs/cgroup/memory.current": "1000000000\n",
    }
    machine = read_machine(write(tmp_path, files))
    assert (machine.ports, machine.files_free, machine.memory_bytes) == (64_512, 4_000, 2_000_000_000)
    write(tmp_path, {"sys/fs/cgroup/memory.max": "max\n"})
    assert read_machine(tmp_path).memory_bytes == 8_192_000_000


def test_read_machine_without_proc_says_none(tmp_path: Path) -> None:
    machine = read_machine(tmp_path)
    assert (machine.ports, machine.files_free, machine.memory_bytes) == (28_232, None, None)
    assert machine.cores >= 1
    assert machine.nofile_hard >= machine.nofile > 0


@pytest.mark.e2e
def test_port_free_tells_a_taken_port_with_the_remedy() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        finding = port_free("127.0.0.1", port)
    assert not finding.ok
    assert f"master port 127.0.0.1:{port}" in str(finding)
    assert "Address already in use; choose another" in finding.remedy
    assert port_free("127.0.0.1", port) == Finding(f"master port 127.0.0.1:{port}", 1, 1, ok=True)
