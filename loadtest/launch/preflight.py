"""What this machine allows, held against what a run needs, before the run starts.

    machine.read_machine() -> Machine --\
    Demand (from the profile) -----------> findings() -> [Finding(limit, have, need, ok, remedies)]

Law: everything here is a pure function of a `Machine` and a `Demand`. There is one set of findings: `loadtest run`
refuses on the ones that are not ok, all at once, and `loadtest doctor` prints them all. An advice never forbids a run:
beyond it things get slow or noisy, not impossible.

The memory constants were measured on this project (Linux 6.18, Python 3.11) and are kept on the safe side.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from loadtest.herd.sockets import SPARE_SHARE, usable_files
from loadtest.launch.machine import Machine
from loadtest.launch.sizing import (
    MOST_PER_PAIR,
    NODE_FILES,
    UNEVEN,
    connections_of_largest,
    node_files_needed,
    node_tables_for,
    per_pair,
    relays_for,
    tables_for,
)

CLIENT_BYTES = 1_000
"""User space of one client connection. Measured: 1.0 kB, slots, ledger and pending frames included."""
RELAY_BYTES = 1_500
"""User space of one end of a connection in a relay. Measured: 1.3 kB at 3,000 idle ones."""
GATEWAY_BYTES = 1_600
"""User space of one connection in a gateway node. Measured: 1.5-1.6 kB (growth of RSS at 18,900 connections)."""
SOCKET_BYTES = 3_000
"""Kernel memory of one idle end of a connection. Measured: 2-3 kB with its file and epoll entry."""
QUEUED_BYTES = 1_300
"""One small message waiting at one end during a fan-out: a buffer of the kernel's smallest class."""
MARGIN = 1.25
"""On all of the above."""
PROCESS_BYTES = 12_000_000
"""Private memory of a forked worker. Measured: 8-10 MB, histograms included."""
NODE_BYTES = 40_000_000
"""Private memory of a gateway node. Measured: 47 MB of RSS when started by itself, a part of it shared."""
TABLE_BYTES = 2_000_000
"""Private memory of one more descriptor table: a loop, a broker connection, a thread. Measured: 1.3 MB."""
BASE_BYTES = 250_000_000
"""Master, nursery, report."""
STACK_BYTES = 300_000_000
"""What else the reference stack runs: broker, API, godserver, supervisor."""

THREADS_PER_PROCESS = 4
"""A worker and ZeroMQ's two threads, and one to spare."""
QUEUED_SHARE = 0.25
"""Share of sockets assumed to hold unread bytes at the same time during a fan-out; each then takes a page."""
PAGE_BYTES = 4096
LARGE_BUFFER_BYTES = 16_384
BACKLOG = 4_096
KERNEL = (4, 5)
"""Linux that binds without a port (4.2, IP_BIND_ADDRESS_NO_PORT) and wakes one of several epolls (4.5)."""


@dataclass(frozen=True)
class Demand:
    """What a run asks of the machine it runs on."""

    connections: int
    """Client connections held by workers of this machine."""
    workers: int
    herd_size: int = 1
    sources: int = 1
    """Addresses to connect from."""
    destinations: int = 1
    """Addresses and ports to connect to."""
    served: int = 0
    """Connections that a target on this machine holds; 0: the target is elsewhere."""
    nodes: int = 0
    """Gateway processes that are started for the run and share the connections served."""
    tables: int = 1
    """Descriptor tables of each of them."""
    relays: int = 0
    """Relay processes between clients and gateways, which share the connections and hold two ends of each."""

    @property
    def sockets(self) -> int:
        """Return the ends of connections on this machine."""
        return self.connections * (3 if self.relays else 1) + self.served


@dataclass(frozen=True)
class Finding:
    """One limit, what there is of it and what is needed.

    Attributes:
        limit: its name. have: None = unknown.
        choices: what can be asked of the run instead. lines: what to type, in order, to lift the limit.
        advice: going on is possible; it will hurt.
    """

    limit: str
    have: int | str | None
    need: int | str
    ok: bool
    choices: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    advice: bool = False

    def __str__(self) -> str:
        remedies = [*self.choices, *([" && ".join(self.lines)] if self.lines else [])]
        return f"{self.limit}: {amount(self.need)} needed, {amount(self.have)} there" + (
            f"; {', or '.join(remedies)}" if remedies else ""
        )


def amount(value: int | str | None) -> str:
    """Return a figure of a finding in words: thousands set apart, "unknown" for None."""
    return "unknown" if value is None else f"{value:,}" if isinstance(value, int) else value


def findings(machine: Machine, demand: Demand) -> list[Finding]:
    """Hold what is needed against what there is, limit by limit."""
    return [
        open_files(machine, demand),
        *([node_files(machine, demand)] if demand.nodes else []),
        *([node_tables(machine, demand)] if demand.tables > 1 else []),
        *([relay_files(machine, demand)] if demand.relays else []),
        system_files(machine, demand),
        ports(machine, demand),
        memory(machine, demand),
        threads(machine, demand),
        watches(machine, demand),
        conntrack(machine, demand),
        tcp_memory(machine, demand),
        smallest_buffer(machine),
        *([backlog(machine, demand)] if demand.served else []),
        cores(machine, demand),
        kernel(machine),
    ]


def open_files(machine: Machine, demand: Demand) -> Finding:
    """Judge the file limit of the fullest worker."""
    limit = "open files per process"
    largest = connections_of_largest(demand.connections, demand.workers, demand.herd_size)
    need = ceil(largest / (1 - SPARE_SHARE))
    if need <= machine.nofile:
        return Finding(limit, machine.nofile, need, ok=True)
    if usable_files(machine.nofile) < demand.herd_size:
        need = ceil(demand.herd_size / (1 - SPARE_SHARE))
        choice = f"population.herd_size of at most {usable_files(machine.nofile)}"
    else:
        tables = tables_for(largest, machine.nofile, demand.herd_size)
        if tables <= machine.tables:
            return Finding(limit, machine.nofile, f"{need:,} in {tables} tables", ok=True)
        fewest = tables_for(demand.connections, machine.nofile, demand.herd_size)
        choice = f"--workers {ceil(fewest / machine.tables)}"
    return Finding(limit, machine.nofile, need, ok=False, choices=(choice,), lines=file_lines(machine, need))


def node_files(machine: Machine, demand: Demand) -> Finding:
    """Judge the file limit of a gateway node that inherits it from us."""
    limit, need = "open files per gateway node", node_files_needed(demand.served, demand.nodes, demand.tables)
    if need <= machine.nofile:
        return Finding(limit, machine.nofile, need, ok=True)
    choices: tuple[str, ...] = ()
    if machine.nofile > NODE_FILES:
        tables = node_tables_for(demand.served, machine.nofile, several=demand.tables > 1)
        choices = (f"target.nodes of at least {ceil(tables / demand.tables)}",)
    return Finding(limit, machine.nofile, need, ok=False, choices=choices, lines=file_lines(machine, need))


def node_tables(machine: Machine, demand: Demand) -> Finding:
    """Judge whether a gateway node can have several descriptor tables: a container's filter may forbid it."""
    limit = "tables per gateway node"
    if demand.tables <= machine.tables:
        return Finding(limit, machine.tables, demand.tables, ok=True)
    nodes = node_tables_for(demand.served, machine.nofile, several=False)
    choice = f"target.tables of {machine.tables} and target.nodes of at least {nodes}"
    return Finding(limit, machine.tables, demand.tables, ok=False, choices=(choice,))


def relay_files(machine: Machine, demand: Demand) -> Finding:
    """Judge the file limit of a relay: two files for each connection, of which it may get more than its share."""
    uneven = UNEVEN if demand.relays > 1 else 1.0
    limit = "open files per relay"
    need = ceil(2 * uneven * demand.connections / demand.relays / (1 - SPARE_SHARE))
    if need <= machine.nofile:
        return Finding(limit, machine.nofile, need, ok=True)
    choice = f"relay.processes of at least {relays_for(demand.connections, machine.nofile)}"
    return Finding(limit, machine.nofile, need, ok=False, choices=(choice,), lines=file_lines(machine, need))


def file_lines(machine: Machine, need: int) -> tuple[str, ...]:
    """Return what to type so that a process may open `need` files: in this shell, and for good where that is needed."""
    lines = []
    if machine.nofile_most is not None and need > machine.nofile_most:
        lines.append(f"sysctl -w fs.nr_open={need}")
    lines.append(f"ulimit -n {need}")
    if need > machine.nofile_hard:
        lines.append(f"echo '* - nofile {need}' >> /etc/security/limits.conf")
    return tuple(lines)


def system_files(machine: Machine, demand: Demand) -> Finding:
    """Judge the system's table of open files."""
    limit, need = "open files of the system", demand.sockets
    if machine.files_free is None or need <= machine.files_free:
        return Finding(limit, machine.files_free, need, ok=True)
    return Finding(limit, machine.files_free, need, ok=False, lines=(f"sysctl -w fs.file-max={need * 2}",))


def ports(machine: Machine, demand: Demand) -> Finding:
    """Judge the ports: a pair of addresses carries 12,000 connections by default, under half of its ephemeral ports.

    Beyond that each connect() searches for a free port in milliseconds instead of microseconds.
    """
    limit, each = "local ports", per_pair(machine.ports)
    have = each * demand.sources * demand.destinations
    if demand.connections <= have:
        return Finding(limit, have, demand.connections, ok=True)
    sources = ceil(demand.connections / (max(1, each) * demand.destinations))
    choice = f"{sources} addresses in population.source_addresses"
    widen = 'sysctl -w net.ipv4.ip_local_port_range="1024 65535"'
    widened = MOST_PER_PAIR * demand.destinations
    if demand.connections <= widened * demand.sources:
        return Finding(limit, have, demand.connections, ok=False, choices=(choice,), lines=(widen,))
    if each < MOST_PER_PAIR:
        choice += f", or {ceil(demand.connections / widened)} after {widen}"
    choice += " (ip address add ADDRESS/PREFIX dev INTERFACE for each)"
    return Finding(limit, have, demand.connections, ok=False, choices=(choice,))


def memory(machine: Machine, demand: Demand) -> Finding:
    """Judge the memory; the need is an estimate on the safe side."""
    limit = "memory in bytes"
    client = MARGIN * (CLIENT_BYTES + SOCKET_BYTES + QUEUED_BYTES)
    gateway = MARGIN * (GATEWAY_BYTES + SOCKET_BYTES + QUEUED_BYTES)
    base = BASE_BYTES + demand.workers * PROCESS_BYTES
    base += demand.nodes * (NODE_BYTES + (demand.tables - 1) * TABLE_BYTES) + (STACK_BYTES if demand.nodes else 0)
    base += demand.relays * PROCESS_BYTES
    relay = MARGIN * 2 * (RELAY_BYTES + SOCKET_BYTES) if demand.relays else 0
    need = ceil(base + demand.connections * (client + relay) + demand.served * gateway)
    if machine.memory_bytes is None or need <= machine.memory_bytes:
        return Finding(limit, machine.memory_bytes, need, ok=True)
    each = (need - base) / max(1, demand.connections)
    fit = max(0, int((machine.memory_bytes - base) / each))
    choices = (f"population.connections of at most {fit}, or more machines" if fit else "a machine with more memory",)
    return Finding(limit, machine.memory_bytes, need, ok=False, choices=choices)


def threads(machine: Machine, demand: Demand) -> Finding:
    """Judge the processes and threads that can be started."""
    largest = connections_of_largest(demand.connections, demand.workers, demand.herd_size)
    tables = demand.workers * tables_for(largest, machine.nofile, demand.herd_size) + demand.nodes * demand.tables
    limit, processes = "processes and threads", demand.workers + demand.nodes + demand.relays + 4
    need = processes * THREADS_PER_PROCESS + tables
    if machine.threads_free is None or need <= machine.threads_free:
        return Finding(limit, machine.threads_free, need, ok=True)
    lines = ("ulimit -u unlimited", f"sysctl -w kernel.pid_max={max(need * 2, 65_536)}")
    choices = ("a larger pids.max of the control group, if there is one",)
    return Finding(limit, machine.threads_free, need, ok=False, choices=choices, lines=lines)


def watches(machine: Machine, demand: Demand) -> Finding:
    """Judge how many files a user may watch with epoll."""
    limit, need = "files watched by epoll", demand.sockets
    if machine.epoll_watches is None or need <= machine.epoll_watches:
        return Finding(limit, machine.epoll_watches, need, ok=True)
    lines = (f"sysctl -w fs.epoll.max_user_watches={need * 2}",)
    return Finding(limit, machine.epoll_watches, need, ok=False, lines=lines)


def conntrack(machine: Machine, demand: Demand) -> Finding:
    """Judge the connection tracking table: full, it drops packets of new connections.

    A table with nothing in it is loaded but not in use (no rule asks for it): then it is an advice.
    """
    limit, need = "tracked connections", demand.connections
    if machine.conntrack_free is None:
        return Finding(limit, "not loaded", need, ok=True)
    if need <= machine.conntrack_free:
        return Finding(limit, machine.conntrack_free, need, ok=True)
    lines = (f"sysctl -w net.netfilter.nf_conntrack_max={(machine.conntrack_used + need) * 2}",)
    idle = machine.conntrack_used == 0
    return Finding(limit, machine.conntrack_free, need, ok=False, lines=lines, advice=idle)


def tcp_memory(machine: Machine, demand: Demand) -> Finding:
    """Judge the memory of all TCP buffers: above it the kernel drops what arrives, and everything gets slow."""
    limit, need = "memory of TCP buffers", ceil(demand.sockets * QUEUED_SHARE) * PAGE_BYTES
    if machine.tcp_bytes is None or need <= machine.tcp_bytes:
        return Finding(limit, machine.tcp_bytes, need, ok=True, advice=True)
    pages = need // PAGE_BYTES
    lines = (f'sysctl -w net.ipv4.tcp_mem="{pages} {pages * 3 // 2} {pages * 2}"',)
    return Finding(limit, machine.tcp_bytes, need, ok=False, lines=lines, advice=True)


def smallest_buffer(machine: Machine) -> Finding:
    """Judge what each socket is granted even when memory is short; more than 16 KiB times a million is too much."""
    limit, need = "smallest socket buffer", f"at most {LARGE_BUFFER_BYTES:,}"
    if machine.buffer_bytes is None or machine.buffer_bytes <= LARGE_BUFFER_BYTES:
        return Finding(limit, machine.buffer_bytes, need, ok=True, advice=True)
    lines = (
        'sysctl -w net.ipv4.tcp_rmem="4096 131072 6291456"',
        'sysctl -w net.ipv4.tcp_wmem="4096 16384 4194304"',
    )
    return Finding(limit, machine.buffer_bytes, need, ok=False, lines=lines, advice=True)


def backlog(machine: Machine, demand: Demand) -> Finding:
    """Judge how many connections may wait for a listener here: beyond that, a storm waits for TCP's retries."""
    limit, need = "listen backlog", min(BACKLOG, ceil(demand.served / max(1, demand.nodes * demand.tables)))
    if machine.backlog is None or need <= machine.backlog:
        return Finding(limit, machine.backlog, need, ok=True, advice=True)
    lines = (f"sysctl -w net.core.somaxconn={BACKLOG}", f"sysctl -w net.ipv4.tcp_max_syn_backlog={BACKLOG}")
    return Finding(limit, machine.backlog, need, ok=False, lines=lines, advice=True)


def cores(machine: Machine, demand: Demand) -> Finding:
    """Judge the cores: a target on the same machine should leave one to the clients."""
    need = 2 if demand.served else 1
    ok = machine.cores >= need
    choices = () if ok else ("a target on another machine",)
    return Finding("cores", machine.cores, need, ok, choices=choices, advice=True)


def kernel(machine: Machine) -> Finding:
    """Judge the kernel's release."""
    numbers = tuple(int(part) for part in machine.kernel.split("-")[0].split(".")[:2] if part.isdigit())
    ok = not machine.kernel or numbers >= KERNEL
    need = f"{KERNEL[0]}.{KERNEL[1]}"
    return Finding("kernel", machine.kernel or None, need, ok, choices=() if ok else ("a newer Linux",))


def port_free(host: str, port: int, what: str = "master") -> Finding:
    """Look whether a port can be listened on; 0 always can, and host "*" stands for every address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    limit = f"{what} port {host}:{port}"
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free for a listener
        try:
            sock.bind(("" if host == "*" else host, port))
            sock.listen(1)
        except OSError as error:
            choices = (
                f"{error.strerror}; choose another (ss -ltnp 'sport = :{port}' names the owner, ip address this"
                " machine's addresses)",
            )
            return Finding(limit, 0, 1, ok=False, choices=choices)
    return Finding(limit, 1, 1, ok=True)


def refusals(found: Sequence[Finding]) -> list[str]:
    """Return the findings that forbid the run, as sentences."""
    return [str(finding) for finding in found if not finding.ok and not finding.advice]


def advices(found: Sequence[Finding]) -> list[str]:
    """Return the findings that do not forbid the run but will hurt it, as sentences."""
    return [str(finding) for finding in found if not finding.ok and finding.advice]
