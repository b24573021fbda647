"""Locks by name in constant memory: a name always meets the same lock, some names share one.

Law: whoever holds the lock of a collection while it appends *and* tells the others, tells in the order of revisions.
"""

from __future__ import annotations

import asyncio
from typing import Final

STRIPES: Final = 1024


class Stripes:
    """A fixed set of locks, chosen by the hash of a name."""

    def __init__(self, count: int = STRIPES) -> None:
        self._locks = [asyncio.Lock() for _ in range(count)]

    def lock_of(self, name: str) -> asyncio.Lock:
        """Return the lock of `name`; two names may share it, one name never has two."""
        return self._locks[hash(name) % len(self._locks)]
