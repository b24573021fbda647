"""What the publishers of one worker did since its last report."""

from __future__ import annotations

from collections import Counter
from typing import Any

from loadtest.metrics.histogram import Histogram


class Publishing:
    """What publishers of this worker did in one interval."""

    def __init__(self) -> None:
        self.published = 0
        self.unsent = 0
        self.failures: Counter[str] = Counter()
        self.lateness = Histogram()

    def to_wire(self) -> dict[str, Any]:
        """Return the interval as plain values."""
        return {
            "published": self.published,
            "unsent": self.unsent,
            "failures": dict(self.failures),
            "lateness": self.lateness.to_wire(),
        }
