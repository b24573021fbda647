"""What a process has used, read from /proc: nothing is asked of the process itself."""

from __future__ import annotations

from pathlib import Path


def cpu_ns(pid: int) -> int:
    """Return the CPU time of a process, user and kernel, in ns.

    Source: /proc/<pid>/schedstat, first field (exact, of the main thread: our clients have no other).
    """
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def waited_ns(pid: int) -> int:
    """Return how long a process was ready to run but had no core: what others on this machine cost it."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])


def private_bytes(pid: int) -> int:
    """Return the memory that only this process holds. Source: /proc/<pid>/smaps_rollup, Private_Clean + _Dirty."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))
