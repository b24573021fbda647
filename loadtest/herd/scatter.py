"""Which slots are of a sample: so many as wanted, scattered evenly over all, out of step with whatever repeats.

Law: nothing is stored and nothing is random: a slot is drawn by its number, so a herd of one size has one sample. Of
two samples the smaller lies in the larger one.
"""

from __future__ import annotations

_ALL = 1 << 32
_GOLDEN = 0x9E3779B1
"""2^32 over the golden ratio: its multiples modulo 2^32 lie as evenly as they can, however many they are."""


def bound(slots: int, *, one_in: int, at_least: int, at_most: int) -> int:
    """Return the bound for `is_drawn` by which one of `one_in` slots is drawn, of `slots` in all, within the limits."""
    slots = max(1, slots)
    return min(max(_ALL // one_in, at_least * _ALL // slots), at_most * _ALL // slots, _ALL)


def is_drawn(slot: int, below: int) -> bool:
    """Whether the slot is of the sample whose bound is `below`."""
    return slot * _GOLDEN % _ALL < below
