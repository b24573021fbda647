"""The limits of this machine, read and never changed.

    /proc, /sys, getrlimit --read_machine--> Machine --preflight.findings--> what they mean for a run

Law: a limit that cannot be read is None, never a guess. Where several limits bound the same thing (kernel, control
groups, user), the narrowest is the one that counts.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loadtest.users import descriptor_table


@dataclass(frozen=True)
class Machine:
    """Limits of this machine, as read. None: the kernel does not say, or has no such limit.

    Attributes:
        nofile, nofile_hard: open files of one process, soft and hard.
        nofile_most: what the hard limit can be raised to.
        files_free: entries left in the system's table of open files.
        memory_bytes: what can still be allocated here.
        ports: ephemeral ports of one (source, destination) pair.
        threads_free: processes and threads that can still be started.
        epoll_watches: watched files of one user.
        conntrack_free, conntrack_used: entries of the connection tracking table, if it is loaded.
        tcp_bytes: memory that all TCP buffers together may take.
        buffer_bytes: the smallest buffer that each socket is granted (the larger of receive and send).
        backlog: connections that may wait for a listener.
        kernel: its release.
        tables: descriptor tables that one process can have.
    """

    nofile: int
    nofile_hard: int
    files_free: int | None
    cores: int
    memory_bytes: int | None
    ports: int
    nofile_most: int | None = None
    threads_free: int | None = None
    epoll_watches: int | None = None
    conntrack_free: int | None = None
    conntrack_used: int = 0
    tcp_bytes: int | None = None
    buffer_bytes: int | None = None
    backlog: int | None = None
    kernel: str = ""
    tables: int = 1


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
    proc = root / "proc/sys"
    low, high = _numbers(proc / "net/ipv4/ip_local_port_range") or (32768, 60999)
    files = _numbers(proc / "fs/file-nr")
    tracked, most_tracked = (_number(proc / f"net/netfilter/nf_conntrack_{name}") for name in ("count", "max"))
    tcp_pages = _numbers(proc / "net/ipv4/tcp_mem")
    smallest = [_numbers(proc / f"net/ipv4/tcp_{way}mem") for way in ("r", "w")]
    return Machine(
        nofile=soft,
        nofile_hard=hard,
        files_free=None if len(files) < 3 else files[2] - files[0],
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=_memory_bytes(root),
        ports=high - low + 1,
        nofile_most=_number(proc / "fs/nr_open"),
        threads_free=_threads_free(root),
        epoll_watches=_number(proc / "fs/epoll/max_user_watches"),
        conntrack_free=None if most_tracked is None else max(0, most_tracked - (tracked or 0)),
        conntrack_used=tracked or 0,
        tcp_bytes=tcp_pages[2] * os.sysconf("SC_PAGE_SIZE") if len(tcp_pages) == 3 else None,
        buffer_bytes=max((sizes[0] for sizes in smallest if sizes), default=None),
        backlog=_number(proc / "net/core/somaxconn"),
        kernel=os.uname().release,
        tables=descriptor_table.most(),
    )


def _numbers(path: Path) -> list[int]:
    """Return the numbers in a file of the kernel; [] when it is not there or says no number ("max")."""
    try:
        return [int(word) for word in path.read_text().split()]
    except (OSError, ValueError):
        return []


def _number(path: Path) -> int | None:
    return next(iter(_numbers(path)), None)


def _memory_bytes(root: Path) -> int | None:
    """Return what can still be allocated: the kernel's estimate, or what a control group leaves if that is less."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    left = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    for group, (most_name, used_name) in _groups(
        root, "memory", ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")
    ):
        most, used = _number(group / most_name), _number(group / used_name)
        if most is not None and used is not None:
            left.append(max(0, most - used + _reclaimable(group)))
    return min(left, default=None)


def _reclaimable(group: Path) -> int:
    """Return the file cache that a control group gives back when memory is short."""
    try:
        words = [line.split() for line in (group / "memory.stat").read_text().splitlines()]
    except OSError:
        return 0
    return sum(int(size) for name, size in words if name in ("inactive_file", "total_inactive_file"))


def _threads_free(root: Path) -> int | None:
    """Return how many tasks can still be started: by the kernel, the control groups and the user's own limit."""
    try:
        running = int((root / "proc/loadavg").read_text().split()[3].partition("/")[2])
    except (OSError, ValueError, IndexError):
        return None
    kernel = root / "proc/sys/kernel"
    most = [_number(kernel / "pid_max"), _number(kernel / "threads-max")]
    if os.geteuid() != 0:
        own = resource.getrlimit(resource.RLIMIT_NPROC)[0]
        most.append(None if own == resource.RLIM_INFINITY else own)
    left = [limit - running for limit in most if limit is not None]
    for group, (most_name, used_name) in _groups(root, "pids", ("pids.max", "pids.current"), None):
        limit, used = _number(group / most_name), _number(group / used_name)
        if limit is not None and used is not None:
            left.append(limit - used)
    return max(0, min(left)) if left else None


def _groups(
    root: Path, controller: str, now: tuple[str, str], before: tuple[str, str] | None
) -> Iterator[tuple[Path, tuple[str, str]]]:
    """Yield the control groups of this process, innermost first, each with the names of its two files.

    Args:
        now: names in version 2. before: names in version 1; None: the same.

    Source: cgroups(7), /proc/[pid]/cgroup.
    """
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = ["0::/"]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, names = mounted, now
        elif controller in controllers.split(","):
            base, names = mounted / controller, before or now
        else:
            continue
        inner = base / path.lstrip("/")
        for group in (inner, *inner.parents):
            yield group, names
            if group == base:
                break
