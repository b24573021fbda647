"""Limits as the kernel writes them down, from a tree of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.launch.machine import read_machine

WHOLE = {
    "proc/sys/net/ipv4/ip_local_port_range": "1024\t65535\n",
    "proc/sys/net/ipv4/tcp_mem": "100\t200\t300\n",
    "proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456\n",
    "proc/sys/net/ipv4/tcp_wmem": "8192\t16384\t4194304\n",
    "proc/sys/net/core/somaxconn": "128\n",
    "proc/sys/net/netfilter/nf_conntrack_max": "262144\n",
    "proc/sys/net/netfilter/nf_conntrack_count": "144\n",
    "proc/sys/fs/file-nr": "1000\t0\t5000\n",
    "proc/sys/fs/nr_open": "1048576\n",
    "proc/sys/fs/epoll/max_user_watches": "400000\n",
    "proc/sys/kernel/pid_max": "32768\n",
    "proc/sys/kernel/threads-max": "9000\n",
    "proc/loadavg": "0.00 0.01 0.05 1/1500 12345\n",
    "proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable:    8000000 kB\n",
}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_every_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    machine = read_machine(write(tmp_path, WHOLE))
    assert machine.ports == 64_512
    assert machine.files_free == 4_000
    assert machine.nofile_most == 1_048_576
    assert machine.memory_bytes == 8_192_000_000
    assert machine.threads_free == 7_500
    assert machine.epoll_watches == 400_000
    assert (machine.conntrack_free, machine.conntrack_used) == (262_000, 144)
    assert machine.tcp_bytes == 300 * 4096
    assert machine.buffer_bytes == 8_192
    assert machine.backlog == 128
    assert machine.kernel.count(".") >= 1


def test_a_users_own_limit_of_processes_counts_unless_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    real = __import__("resource").getrlimit
    nproc = __import__("resource").RLIMIT_NPROC
    monkeypatch.setattr("resource.getrlimit", lambda what: (2_000, 4_000) if what == nproc else real(what))
    assert read_machine(write(tmp_path, WHOLE)).threads_free == 500


def test_the_narrowest_of_kernel_and_control_groups_counts(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/user.slice/run.scope"
    files = WHOLE | {
        "proc/self/cgroup": "0::/user.slice/run.scope\n",
        f"{group}/memory.max": "max\n",
        f"{group}/memory.current": "1\n",
        f"{group}/pids.max": "700\n",
        f"{group}/pids.current": "200\n",
        "sys/fs/cgroup/user.slice/memory.max": "3000000000\n",
        "sys/fs/cgroup/user.slice/memory.current": "1000000000\n",
        "sys/fs/cgroup/user.slice/memory.stat": "anon 5\ninactive_file 500\n",
    }
    machine = read_machine(write(tmp_path, files))
    assert machine.memory_bytes == 2_000_000_500
    assert machine.threads_free == 500
    write(tmp_path, {"sys/fs/cgroup/user.slice/memory.max": "max\n", f"{group}/pids.max": "max\n"})
    machine = read_machine(tmp_path)
    assert machine.memory_bytes == 8_192_000_000


def test_control_groups_of_version_1_are_read(tmp_path: Path) -> None:
    files = WHOLE | {
        "proc/self/cgroup": "4:memory:/box\n3:cpu,pids:/other\n0::/\n",
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "1000000000\n",
        "sys/fs/cgroup/memory/box/memory.usage_in_bytes": "400000000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "500000000\n",
    }
    assert read_machine(write(tmp_path, files)).memory_bytes == 600_000_000


def test_without_proc_nothing_is_known(tmp_path: Path) -> None:
    machine = read_machine(tmp_path)
    assert (machine.ports, machine.files_free, machine.memory_bytes) == (28_232, None, None)
    assert (machine.threads_free, machine.conntrack_free, machine.tcp_bytes, machine.backlog) == (None,) * 4
    assert machine.cores >= 1
    assert machine.nofile_hard >= machine.nofile > 0


def test_this_machine_can_be_read() -> None:
    machine = read_machine()
    assert machine.memory_bytes is not None
    assert machine.memory_bytes > 0
    assert machine.threads_free is not None
    assert machine.kernel
