"""How long messages wait in the kernel until the herd reads them: its own receive queue, on a sample of connections.

    kernel: segment arrives, stamped (wall clock) ---- waits ---- herd: recvmsg -> bytes and stamp; now
                                              \\_____ the delay _____/

Laws
 1. The sample: one connection in 64, but 8 of a herd at least and 256 at most, scattered evenly over the slots and out
    of step with channels. Only in session: the herd names a slot when it is live. All others are read as ever.
 2. TCP tells when the *last* segment of a read came: `tcp_recvmsg_locked` keeps the stamp of the last buffer it touched
    (`tcp_update_recv_tstamps`), and buffers merged while they wait keep the newest one's (`tcp_try_coalesce`), so that
    looking ahead (MSG_PEEK) finds no older stamp. Several messages in one read count once, with the newest's delay.
    Source: Linux, net/ipv4/tcp.c, net/ipv4/tcp_input.c.
 3. Stamps are wall time, all else is monotonic. Their distance is measured at both ends of each interval, each time as
    the narrowest of some readings of one clock between two of the other; half of that is the error. If the distances
    differ by more, the wall clock was set in between: the interval's delays are discarded and counted, not guessed.

The machine begins to stamp a moment after its first socket asks; what came before is not counted. TLS changes nothing:
the stamp is that of the sealed bytes. Cost: the kernel stamps every packet of the machine while a socket of it asks for
that; a sampled read costs a `recvmsg` and the listener's slower way.
"""

from __future__ import annotations

import time

from loadtest.clock import Clock, now_ns
from loadtest.herd import scatter
from loadtest.metrics.receive_queue import ReceiveQueue

ONE_IN = 64
AT_LEAST = 8
AT_MOST = 256
READINGS = 5
SLACK_NS = 1_000
"""What two measured distances may differ by beyond their errors: both clocks are steered alike, steps part them."""


def wall_ns() -> int:
    """Return the wall clock, CLOCK_REALTIME."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME)


class QueueDelay:
    """Measure one herd's receive queue.

    Args:
        clock: monotonic, of this process. wall: the clock of the kernel's stamps.

    Attributes:
        watched: the slots whose arrivals are stamped.
    """

    def __init__(self, clock: Clock = now_ns, wall: Clock = wall_ns) -> None:
        self._clock = clock
        self._wall = wall
        self._below = 0
        self._since_arrival: list[int] = []
        self._distance_ns, self._error_ns = self._measure()
        self.watched: set[int] = set()

    def grow(self, slots: int) -> None:
        """Choose the share of `slots` slots in all that is sampled."""
        self._below = scatter.bound(slots, one_in=ONE_IN, at_least=AT_LEAST, at_most=AT_MOST)

    def wants(self, slot: int) -> bool:
        """Whether the slot is of the sample."""
        return scatter.is_drawn(slot, self._below) and len(self.watched) < AT_MOST

    def enter(self, arrived_wall_ns: int) -> None:
        """Note a read, just returned, of what the kernel stamped at `arrived_wall_ns`."""
        self._since_arrival.append(self._clock() - arrived_wall_ns)

    def take(self) -> ReceiveQueue:
        """Return the interval since the last call and start a new one."""
        before, error_before = self._distance_ns, self._error_ns
        self._distance_ns, self._error_ns = self._measure()
        error_ns = max(error_before, self._error_ns)
        taken, self._since_arrival = self._since_arrival, []
        queue = ReceiveQueue(connections=len(self.watched), error_ns=error_ns)
        if abs(self._distance_ns - before) > error_before + self._error_ns + SLACK_NS:
            queue.discarded = len(taken)
        else:
            queue.delays.record_many([since_ns + self._distance_ns for since_ns in taken])
        return queue

    def _measure(self) -> tuple[int, int]:
        """Return how far the wall clock is ahead of the monotonic one, and the error of that, in ns."""
        readings = []
        for _ in range(READINGS):
            first, wall, last = self._clock(), self._wall(), self._clock()
            readings.append((last - first, wall - (first + last) // 2))
        width_ns, distance_ns = min(readings)
        return distance_ns, -(-width_ns // 2)
