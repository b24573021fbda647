"""The contract of a fault of the stack.

    apply -> it is in place when this returns, and that was looked at; or it raises and nothing is in place
    undo  -> it is gone; harmless when it is gone already, when its part has ended, and after an `apply` that failed

Law: nothing outlives this process. What a fault puts in place is kept by this process (a stopped child, a relay, a
timer), or lies in the data folder and is swept away by the next stack; there is nothing that a `kill -9` leaves behind.
"""

from __future__ import annotations

from typing import Protocol


class Fault(Protocol):
    """One thing done to one part."""

    async def apply(self) -> None:
        """Do it.

        Raises:
            FaultError: it cannot be done now; nothing was.
        """
        ...

    async def undo(self) -> None:
        """Take it back.

        Raises:
            FaultError: it is still in place.
        """
        ...
