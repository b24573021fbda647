"""The one clock: integer nanoseconds of CLOCK_MONOTONIC, and a fake that only moves when told to.

On Linux every process of a host reads the same CLOCK_MONOTONIC, so stamps of two workers on one host compare
without an offset. Wall time appears once per run, in the manifest.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns

Clock = Callable[[], int]
"""A function that returns nanoseconds since an arbitrary, fixed origin."""

now_ns: Clock = monotonic_ns

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000


class FakeClock:
    """Return a time that moves only by `advance`, for tests."""

    def __init__(self, start_ns: int = NS_PER_S) -> None:
        self.now_ns = start_ns

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> int:
        """Move the clock forward by `seconds` and return the new time in ns."""
        if seconds < 0:
            raise ValueError(f"a monotonic clock cannot go back {seconds} s")
        self.now_ns += round(seconds * NS_PER_S)
        return self.now_ns
