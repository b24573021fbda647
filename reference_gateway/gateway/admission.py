"""Who may come in: so many per second, so many at once; the others hear no before any work is done for them.

    request --knock--> None: come in, `enter` until `leave` (joined, or gone)
                  \\--> the bytes of a 503: the whole cost of a refusal is this decision and one write

The law: a token bucket bounds the rate (one token per client, `burst` of them saved up at most), a cap bounds the
handshakes in progress, so that what is begun can be finished in time. With retry slots a refusal names the moment to
come back: slot after slot at `_SLOT_SHARE` of the admitted rate, so that the crowd finds its tokens there and a little
is left for newcomers. Nobody is known by a slot: whoever comes first takes the token, who finds none gets a new slot.

Source: the token bucket of ITU-T I.371 (GCRA); retry slots are our reading of HTTP's Retry-After (RFC 9110, 10.2.3)
in decimal seconds: whole ones would let hundreds of clients come back in one moment.
"""

from __future__ import annotations

from collections.abc import Hashable
from random import Random
from typing import Final

from .settings import Settings

_SLOT_SHARE: Final = 0.9
_LEAST_SLOT_S: Final = 0.05

_REFUSED: Final = b"HTTP/1.1 503 Service Unavailable\r\n%bContent-Length: 0\r\nConnection: close\r\n\r\n"


class RetrySlots:
    """Moments to come back at, handed out one after the other.

    Args:
        per_s: slots per second.
        cap_s: the longest wait told; a crowd that needs longer is spread over the later half of it.
        rng: where in that half.
    """

    def __init__(self, per_s: float, cap_s: float, rng: Random) -> None:
        self._every_s = 1.0 / per_s
        self._cap_s = cap_s
        self._rng = rng
        self._next_s = 0.0

    def take(self, now_s: float) -> float:
        """Return the seconds from `now_s` to the next free slot."""
        slot_s = max(self._next_s, now_s + min(_LEAST_SLOT_S, self._cap_s))
        if slot_s - now_s > self._cap_s:
            return self._cap_s * (0.5 + 0.5 * self._rng.random())
        self._next_s = slot_s + self._every_s
        return slot_s - now_s


class Admission:
    """The admission control of one node.

    Args:
        per_s: clients admitted per second in the long run, above 0.
        burst: tokens saved up at most, at least 1.
        concurrent: handshakes in progress at most, at least 1.
        slots: what tells the refused when to come back; None tells them nothing.
    """

    def __init__(self, per_s: float, burst: float, concurrent: int, slots: RetrySlots | None = None) -> None:
        self._per_s = per_s
        self._burst = burst
        self._concurrent = concurrent
        self.slots = slots
        self._tokens = burst
        self._at_s: float | None = None
        self._inside: set[Hashable] = set()
        self._plain = _REFUSED % b""
        self.refused = 0

    def __len__(self) -> int:
        """Handshakes in progress."""
        return len(self._inside)

    def knock(self, now_s: float, waiting: int = 0) -> bytes | None:
        """Take a token for one client: None when it may `enter`, else the answer that refuses it.

        Args:
            waiting: handshakes in progress besides those that have entered.
        Cost: 0.5 us; 1.2 us with a slot.
        """
        if self._at_s is not None:
            self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._tokens >= 1.0 and waiting + len(self._inside) < self._concurrent:
            self._tokens -= 1.0
            return None
        self.refused += 1
        if self.slots is None:
            return self._plain
        return _REFUSED % (b"Retry-After: %.3f\r\n" % self.slots.take(now_s))

    def enter(self, client: Hashable) -> None:
        """Count a handshake that begins."""
        self._inside.add(client)

    def leave(self, client: Hashable) -> None:
        """Count a handshake that is over, however it ended; harmless for who is not inside."""
        self._inside.discard(client)


def open_admission(settings: Settings) -> Admission | None:
    """Return the admission control that the settings ask for, None without a rate."""
    per_s = settings.admit_per_s
    if not per_s:
        return None
    slots = RetrySlots(_SLOT_SHARE * per_s, settings.retry_cap_s, Random()) if settings.retry_slots else None
    burst = settings.admit_burst or 0.25 * per_s
    return Admission(per_s, max(1.0, burst), settings.admit_concurrent or max(4, round(0.2 * per_s)), slots)
