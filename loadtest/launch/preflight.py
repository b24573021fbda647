"""What this machine allows, held against what a run needs, before the run starts.

    read_machine() -> Machine ---\
    Demand (from the profile) ----> findings() -> [Finding(limit, have, need, ok, remedy)]

Law: reading and judging are apart. `read_machine` looks at limits and changes none; everything that takes a `Machine`
is pure. A finding is a value: `loadtest run` refuses on the ones that are not ok, `loadtest doctor` prints them all.
"""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from loadtest.herd.addresses import SAFE_PER_PAIR

SPARE_SHARE = 0.1
"""Share of a process's file limit that is left alone: its own files, ZMQ, reconnects that overlap."""
WORTH_A_WORKER = 500
"""Connections below which one more process costs more than it brings."""
CONNECTION_BYTES = 6_000
"""Client user space, ledger and one kernel socket with its buffers."""
BOTH_ENDS_BYTES = 14_000
"""The same when the target runs on this machine too."""
NODE_FILES = 256
"""Open files that a gateway node of the reference stack keeps for itself before it calls itself full."""
PROCESS_BYTES = 12_000_000
"""A forked worker with its histograms."""
BASE_BYTES = 250_000_000
"""Master, nursery, report."""


@dataclass(frozen=True)
class Machine:
    """Limits of this machine, as read. None: the kernel does not say."""

    nofile: int
    nofile_hard: int
    files_free: int | None
    cores: int
    memory_bytes: int | None
    ports: int
    """Ephemeral ports of one (source, destination) pair."""


@dataclass(frozen=True)
class Demand:
    """What a run asks of the machine it runs on."""

    connections: int
    workers: int
    herd_size: int = 1
    sources: int = 1
    """Addresses to connect from."""
    destinations: int = 1
    """Addresses and ports to connect to."""
    local_target: bool = False
    """The target runs on this machine too and needs its share."""
    nodes: int = 0
    """Gateway processes that are started for the run and share its connections."""


@dataclass(frozen=True)
class Finding:
    """One limit, what there is of it and what is needed; `remedy` is a line to type or a key to change ("" when ok)."""

    limit: str
    have: int | None
    need: int
    ok: bool
    remedy: str = ""

    def __str__(self) -> str:
        have = "unknown" if self.have is None else f"{self.have:,}"
        return f"{self.limit}: {self.need:,} needed, {have} there" + (f"; {self.remedy}" if self.remedy else "")


def raise_open_files() -> int:
    """Raise this process's soft limit of open files to the hard one (children inherit it); return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def read_machine(root: Path = Path("/")) -> Machine:
    """Read the limits that hold now. Call `raise_open_files` first: a run uses the hard limit.

    Args:
        root: where proc and sys are mounted; for tests.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low, high = _numbers(root / "proc/sys/net/ipv4/ip_local_port_range") or (32768, 60999)
    files = _numbers(root / "proc/sys/fs/file-nr")
    return Machine(
        nofile=soft,
        nofile_hard=hard,
        files_free=None if len(files) < 3 else files[2] - files[0],
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=_memory_bytes(root),
        ports=high - low + 1,
    )


def _numbers(path: Path) -> list[int]:
    """Return the numbers in a file of the kernel; [] when it is not there or says no number ("max")."""
    try:
        return [int(word) for word in path.read_text().split()]
    except (OSError, ValueError):
        return []


def _memory_bytes(root: Path) -> int | None:
    """Return what can still be allocated: the kernel's estimate, or what the control group leaves if that is less."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    available = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    group = root / "sys/fs/cgroup"
    most, used = _numbers(group / "memory.max"), _numbers(group / "memory.current")
    return min([*available, *([most[0] - used[0]] if most and used else [])], default=None)


def usable_files(nofile: int) -> int:
    """Return how many connections one process may hold under a limit of `nofile` open files."""
    return max(1, int(nofile * (1 - SPARE_SHARE)))


def connections_of_largest(connections: int, workers: int, herd_size: int) -> int:
    """Return the connections of the fullest worker: whole herds are dealt, so one may hold a herd more."""
    return min(connections, ceil(ceil(connections / herd_size) / workers) * herd_size)


def workers_for(connections: int, nofile: int, cores: int, herd_size: int = 1) -> int:
    """Return how many herd workers a run gets by itself.

    Enough that none exceeds its files, and one per core where that leaves each at least 500 connections; never more
    than there are herds. A herd larger than a process may hold cannot be helped here: `findings` refuses it.
    """
    herds = ceil(connections / herd_size)
    for_files = ceil(herds / max(1, usable_files(nofile) // herd_size))
    for_cores = min(cores, max(1, connections // WORTH_A_WORKER))
    return max(1, min(herds, max(for_files, for_cores)))


def findings(machine: Machine, demand: Demand) -> list[Finding]:
    """Hold what is needed against what there is: open files of a process and of the system, ports, memory."""
    return [
        open_files(machine, demand),
        *([node_files(machine, demand)] if demand.nodes else []),
        system_files(machine, demand),
        ports(machine, demand),
        memory(machine, demand),
    ]


def open_files(machine: Machine, demand: Demand) -> Finding:
    """Judge the file limit of the fullest worker."""
    largest = connections_of_largest(demand.connections, demand.workers, demand.herd_size)
    need = ceil(largest / (1 - SPARE_SHARE))
    if need <= machine.nofile:
        return Finding("open files per process", machine.nofile, need, ok=True)
    enough = workers_for(demand.connections, machine.nofile, machine.cores, demand.herd_size)
    if usable_files(machine.nofile) < demand.herd_size:
        remedy = f"population.herd_size of at most {usable_files(machine.nofile)}, or ulimit -n {need}"
    else:
        remedy = f"--workers {enough}, or ulimit -n {need}"
    return Finding("open files per process", machine.nofile, need, ok=False, remedy=remedy + _lift(machine, need))


def _lift(machine: Machine, need: int) -> str:
    """Say how the hard limit of open files is lifted, when it is what stands in the way."""
    if need <= machine.nofile_hard:
        return ""
    return f' (the hard limit is {machine.nofile_hard:,}: a line "* hard nofile {need}" in limits.conf lifts it)'


def node_files(machine: Machine, demand: Demand) -> Finding:
    """Judge the file limit of a gateway node that inherits it from us."""
    limit, need = "open files per gateway node", ceil(demand.connections / demand.nodes) + NODE_FILES
    if need <= machine.nofile:
        return Finding(limit, machine.nofile, need, ok=True)
    remedy = f"ulimit -n {need}"
    if machine.nofile > NODE_FILES:
        remedy = f"target.nodes of at least {ceil(demand.connections / (machine.nofile - NODE_FILES))}, or {remedy}"
    return Finding(limit, machine.nofile, need, ok=False, remedy=remedy + _lift(machine, need))


def system_files(machine: Machine, demand: Demand) -> Finding:
    """Judge the system's table of open files."""
    need = demand.connections * (2 if demand.local_target else 1)
    ok = machine.files_free is None or need <= machine.files_free
    remedy = "" if ok else f"sysctl -w fs.file-max={need * 2}"
    return Finding("open files of the system", machine.files_free, need, ok, remedy)


def ports(machine: Machine, demand: Demand) -> Finding:
    """Judge the ports: a pair of addresses carries at most 12,000 connections, and half of its ephemeral ports.

    Beyond that each connect() searches for a free port in milliseconds instead of microseconds.
    """
    per_pair = min(SAFE_PER_PAIR, machine.ports // 2)
    have = per_pair * demand.sources * demand.destinations
    if demand.connections <= have:
        return Finding("local ports", have, demand.connections, ok=True)
    sources = ceil(demand.connections / (per_pair * demand.destinations))
    remedy = f"{sources} addresses in population.source_addresses"
    if per_pair < SAFE_PER_PAIR:
        remedy += ', or sysctl -w net.ipv4.ip_local_port_range="1024 65535"'
    return Finding("local ports", have, demand.connections, ok=False, remedy=remedy)


def memory(machine: Machine, demand: Demand) -> Finding:
    """Judge the memory; the need is an estimate on the safe side."""
    each = BOTH_ENDS_BYTES if demand.local_target else CONNECTION_BYTES
    need = BASE_BYTES + demand.workers * PROCESS_BYTES + demand.connections * each
    if machine.memory_bytes is None or need <= machine.memory_bytes:
        return Finding("memory in bytes", machine.memory_bytes, need, ok=True)
    fit = max(0, (machine.memory_bytes - BASE_BYTES - demand.workers * PROCESS_BYTES) // each)
    remedy = f"population.connections of at most {fit}, or more machines"
    return Finding("memory in bytes", machine.memory_bytes, need, ok=False, remedy=remedy)


def port_free(host: str, port: int, what: str = "master") -> Finding:
    """Look whether a port can be listened on; 0 always can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    limit = f"{what} port {host}:{port}"
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free for a listener
        try:
            sock.bind((host, port))
            sock.listen(1)
        except OSError as error:
            remedy = (
                f"{error.strerror}; choose another, or 0 for a free one (ss -ltnp 'sport = :{port}' names the owner)"
            )
            return Finding(limit, 0, 1, ok=False, remedy=remedy)
    return Finding(limit, 1, 1, ok=True)


def refusals(found: Sequence[Finding]) -> list[str]:
    """Return the findings that forbid the run, as sentences."""
    return [str(finding) for finding in found if not finding.ok]
