"""What `_quick.c` offers; see `quick.py`, which says what it means."""

from collections.abc import Callable, Mapping

from loadtest.clock import Clock
from loadtest.herd.interner import Parcel
from loadtest.metrics.book import Book

def sweep(
    poller_fd: int,
    quick: list[int],
    held: list[Book | None],
    groups: int,
    clock: Clock | None,
    enter: Callable[[int, int, Book, int], None],
    other: Callable[[int, int, int, bytes | int | None, int | None], None],
    parcels: Mapping[bytes, Parcel],
    /,
) -> int: ...
def dial(
    host: str,
    port: int,
    source: str | None,
    late_acks: bool,
    congestion: bytes,
    first: bytes,
    poller_fd: int,
    mask_sent: int,
    mask_else: int,
    spare_files: int,
    /,
) -> tuple[int, int]: ...
def ack_at_once(fd: int, /) -> None: ...
