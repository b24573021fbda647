"""Tie a process to its parent's life: the kernel ends it when the parent dies, however that happens.

Law: the tie is made inside the new process, before it runs anything of its own, and is checked once afterwards,
because a parent may die between fork and prctl, and then no signal would ever come.

Source: prctl(2), PR_SET_PDEATHSIG. The setting survives execve but not fork: each generation ties itself. The signal is
sent when the *thread* that forked ends, so children are started from the main thread.
"""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl
_prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]
_prctl.restype = ctypes.c_int

ORPHANED = 113
"""Exit status of a process that found its parent gone before it had begun."""


def tie_to_parent(parent_pid: int, death_signal: int = signal.SIGKILL) -> None:
    """Have the kernel send `death_signal` to this process when its parent dies; call it right after the fork.

    Args:
        parent_pid: the pid of the process that forked, read by that process before the fork.
        death_signal: SIGKILL for processes that hold nothing worth saving, SIGTERM for those that must tidy up.

    Exits the process with `ORPHANED` when the parent is already gone.
    """
    if _prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) was refused")
    if os.getppid() != parent_pid:
        os._exit(ORPHANED)
