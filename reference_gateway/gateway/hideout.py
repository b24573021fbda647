"""Where a crowded node hides its sessions from the collector of garbage, while a storm of clients comes.

The law: only in a storm. A cycle that is garbage in the moment of hiding is never collected.
"""

from __future__ import annotations

import gc
from typing import Final

_STORM: Final = 100  # connections a tick


class Hideout:
    """Of one node. What has lived for a tick is mostly sessions, which leave no cycle behind: the collector would go
    through them again and again, for 9 us a connect with 250,000 of them in a process.
    """

    def __init__(self, *, crowded: bool) -> None:
        self._crowded = crowded
        self._seen = 0

    def tick(self, accepted: int) -> None:
        """Look how many have come since the last tick, given how many did so far."""
        came, self._seen = accepted - self._seen, accepted
        if self._crowded and came >= _STORM:
            gc.freeze()
