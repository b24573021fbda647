"""One figure of a benchmark: a value from several rounds of one run, and what it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value; smaller is better.

    Attributes:
        unit: "x" for a ratio. low, high: over the rounds. bar, stretch: None where no limit is set.
        detail: what the value was made of, in words.
    """

    name: str
    value: float
    unit: str = "x"
    low: float | None = None
    high: float | None = None
    rounds: int = 1
    bar: float | None = None
    stretch: float | None = None
    detail: str = ""

    @classmethod
    def of(
        cls,
        name: str,
        values: Sequence[float],
        *,
        unit: str = "x",
        bar: float | None = None,
        stretch: float | None = None,
        detail: str = "",
    ) -> Figure:
        """Return the median of the rounds' values."""
        return cls(name, median(values), unit, min(values), max(values), len(values), bar, stretch, detail)

    @property
    def verdict(self) -> str:
        """Return "stretch reached", "reached", "not reached", or "" where nothing is set."""
        if self.bar is None:
            return ""
        if self.stretch is not None and self.value <= self.stretch:
            return "stretch reached"
        return "reached" if self.value <= self.bar else "not reached"

    def to_json(self) -> dict[str, Any]:
        """Return the figure as plain values."""
        return asdict(self) | {"verdict": self.verdict}
