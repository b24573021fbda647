"""What the herd asks of the thing that tells it which sockets are ready. The herd is handed one; it makes none.

`select.epoll` satisfies it as it is. A library that replaces `select` keeps the original somewhere: whoever runs the
herd inside such a library hands over that one.
"""

from __future__ import annotations

from typing import Protocol

EPOLLIN = 0x001
EPOLLOUT = 0x004
EPOLLERR = 0x008
EPOLLHUP = 0x010
EPOLLRDHUP = 0x2000
EPOLLET = 1 << 31


class Poller(Protocol):
    """Readiness of file descriptors, edge triggered (flag EPOLLET)."""

    def register(self, fd: int, eventmask: int, /) -> None:
        """Watch `fd`."""

    def modify(self, fd: int, eventmask: int, /) -> None:
        """Change what is watched on `fd`."""

    def unregister(self, fd: int, /) -> None:
        """Stop watching `fd`."""

    def poll(self, timeout: float | None = None, maxevents: int = -1, /) -> list[tuple[int, int]]:
        """Return (fd, mask) of what is ready, waiting `timeout` seconds at most."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when something is ready: pollers nest."""

    def close(self) -> None:
        """Release the poller."""
