"""What one subscription has of one stream, as two integers.

    sequence number   0 1 2 3 4 | 5  6  7  8          base = 4: everything up to 4 is settled
    received          x x x x x | .  x  .  x          above = 0b1010: bit i stands for number base + 1 + i

Law: "settled" is received, or closed, or never due to this subscription. A progress without `above` has no gap; the
lowest bit of `above` is never set, for then `base` would be higher. Memory: a bit per number between the gap and the
highest one received.
"""

from __future__ import annotations

from typing import NamedTuple


class Progress(NamedTuple):
    """Everything up to `base` is settled; of what comes after, the set bits of `above` are."""

    base: int
    above: int

    @property
    def top(self) -> int:
        """The highest number settled."""
        return self.base + self.above.bit_length()

    def has(self, seq: int) -> bool:
        """Whether `seq` is settled."""
        return seq <= self.base or bool(self.above >> (seq - self.base - 1) & 1)

    def plus(self, seq: int) -> Progress:
        """Return this progress with `seq` settled."""
        if seq <= self.base:
            return self
        return _normal(self.base, self.above | 1 << (seq - self.base - 1))

    def minus(self, seq: int) -> Progress:
        """Return this progress with `seq` not settled: what was taken for it was something else."""
        if seq > self.base:
            return Progress(self.base, self.above & ~(1 << (seq - self.base - 1)))
        back = self.base - seq
        return Progress(seq - 1, self.above << (back + 1) | ((1 << back) - 1) << 1)

    def raised(self, floor: int) -> Progress:
        """Return this progress with everything up to `floor` settled."""
        return self if floor <= self.base else _normal(floor, self.above >> (floor - self.base))


def _normal(base: int, above: int) -> Progress:
    """Move `base` over the bits that follow it without a gap."""
    run = (above ^ (above + 1)).bit_length() - 1
    return Progress(base + run, above >> run)
