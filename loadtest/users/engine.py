"""One engine per process: gives every herd its turn on gevent's loop, and watches how late that turn comes.

    libev loop --readable--> herd.turn()   (nested epoll: one watcher per herd)
               --every 10 ms--> herd.tick(), loop lag         (finer if a herd asks; 100 ms while all are in session)
               --every 100 ms--> ledger.close(), a little each time

Where many herds share a core (`herd.sharing`), they have no watcher and work in rounds: all that has come and all
that is due, then a rest: 100 ms, or while clients are on their way four times what the round had to wait for a core, a
second at most. A worker that woke for each answer had 0.2 connects of work per wake-up, and the wake-up itself, its
memory gone from the caches, was the cost: with 56 workers and 56 gateway nodes on two cores rounds brought 8,000
connects a second instead of 2,000. A worker that rests while nobody wants the core wastes it: with a second of rest
always, the last 60,000 clients of a million took 26 s on an idle machine. What a round adds to a latency stands in the
result as receive-queue delay.

Laws: made after the fork, never at import. No exception leaves a callback: gevent would stop the watcher and the herd
would freeze silently; it is logged, counted, and makes the run invalid. The turn is short, so Locust's own greenlets
(heartbeats, messages) keep theirs.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
from gevent import monkey

from loadtest.clock import NS_PER_MS, NS_PER_S, Clock, now_ns
from loadtest.herd import sharing
from loadtest.herd.herd import Herd
from loadtest.herd.poller import Poller
from loadtest.herd.quick import MAX_EVENTS
from loadtest.metrics.histogram import Histogram
from loadtest.metrics.receive_queue import ReceiveQueue
from loadtest.users.core_queue import CoreQueue

logger = logging.getLogger(__name__)

TICK_S = 0.01
QUIET_TICK_S = 0.1
LEAST_REST_S = 0.05
RESTS_PER_WAIT = 4
MOST_REST_S_PER_HERD = 0.036
"""Seconds between two rounds while clients are on their way; the most of them for each herd that shares the core."""
MOST_MISSED = 1_000
CLOSE_S = 0.1
GC_THRESHOLDS = 100_000, 50, 100
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def new_poller() -> Poller:
    """Return an epoll that gevent has not taken away."""
    epoll: Callable[[], Poller] = monkey.get_original("select", "epoll")
    return epoll()


class Engine:
    """Run herds inside gevent's loop. `clock` is the run's; what the engine measures of itself is on its own."""

    def __init__(self, clock: Clock = now_ns) -> None:
        self._clock = clock
        self.herds: list[Herd] = []
        self.errors = 0
        self._watchers: dict[int, Any] = {}
        self._lag = Histogram()
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._cpu_at = (time.monotonic(), time.process_time())
        self._expected_ns = 0
        self._collecting_ns = 0
        self._collected_ns = 0
        self._longest_collection_ns = 0
        loop = gevent.get_hub().loop
        self._in_rounds = sharing.are_many()
        self._core_queues = {0: CoreQueue()}
        self._busy_s = TICK_S
        self._again = loop.timer(0)
        self._unfinished: deque[Herd] = deque()
        self._tick_s = TICK_S
        self._expected_ns = now_ns() + round(self._tick_s * NS_PER_S)
        self._timer = loop.timer(self._tick_s, repeat=self._tick_s)
        self._timer.start(self._tick)
        self._close_at_ns = 0
        gc.set_threshold(*GC_THRESHOLDS)
        gc.callbacks.append(self._on_gc)

    def add(self, herd: Herd) -> None:
        """Give `herd` its turns from now on."""
        self.herds.append(herd)
        watcher = gevent.get_hub().loop.io(herd.poller.fileno(), 1)
        if not self._in_rounds:
            watcher.start(self._turn, herd)
            self._tick_as_fine_as(herd.tick_s)
        self._watchers[id(herd)] = watcher
        if herd.thread not in self._core_queues:
            self._core_queues[herd.thread] = CoreQueue(herd.thread)

    def _tick_as_fine_as(self, tick_s: float) -> None:
        """From the next tick on, tick at least that often while clients are on their way."""
        self._busy_s = min(self._busy_s, tick_s)

    def remove(self, herd: Herd) -> None:
        """Give `herd` no more turns; it is closed."""
        watcher = self._watchers.pop(id(herd))
        watcher.stop()
        watcher.close()
        self.herds.remove(herd)
        if herd in self._unfinished:
            self._unfinished.remove(herd)
        if herd.thread:
            self._core_queues.pop(herd.thread).close()
        herd.close()

    def stop(self) -> None:
        """Give no more turns. The herds' sockets stay as they are."""
        for timer in (self._timer, self._again):
            timer.stop()
            timer.close()
        for watcher in self._watchers.values():
            watcher.stop()
            watcher.close()
        self._watchers.clear()
        os.close(self._statm)
        for queue in self._core_queues.values():
            queue.close()
        gc.callbacks.remove(self._on_gc)

    def _turn(self, herd: Herd) -> None:
        try:
            herd.turn()
        except Exception:  # noqa: BLE001 - must not reach libev; logged, counted, and the run is invalid
            self._report("turn")

    def _tick(self) -> None:
        now = now_ns()
        lag_ns = max(0, now - self._expected_ns)
        self._lag.record_many(
            range(lag_ns, -1, -round(self._tick_s * NS_PER_S))[:MOST_MISSED]
        )  # each missed tick waited as long as was left
        self._pace()
        self._expected_ns = now + round(self._tick_s * NS_PER_S)
        self._unfinished.extend(herd for herd in self.herds if herd not in self._unfinished)
        self._go_on()
        if now >= self._close_at_ns:
            self._close_at_ns = now + round(CLOSE_S * NS_PER_S)
            self._close()

    def _pace(self) -> None:
        """Tick slowly while every client is in session: a machine full of workers cannot afford idle ticks."""
        busy_s = self._rest_s() if self._in_rounds else self._busy_s
        wanted_s = QUIET_TICK_S if all(herd.is_quiet for herd in self.herds) else busy_s
        if wanted_s != self._tick_s:
            self._timer.stop()
            self._timer.close()
            self._timer = gevent.get_hub().loop.timer(wanted_s, repeat=wanted_s)
            self._timer.start(self._tick)
            self._tick_s = wanted_s

    def _rest_s(self) -> float:
        """Return how long to rest now while clients are on their way."""
        most_s = MOST_REST_S_PER_HERD * sharing.herds_per_core()
        waited_s = sum(queue.waited_s() for queue in self._core_queues.values())
        return max(LEAST_REST_S, min(most_s, RESTS_PER_WAIT * waited_s))

    def _due(self, herd: Herd) -> None:
        """Do what is due for `herd`, in a round what has come as well; more of it at a later pass of the loop."""
        try:
            more = self._in_rounds and herd.turn() == MAX_EVENTS
            more |= herd.tick()
            more |= self._in_rounds and herd.turn() == MAX_EVENTS  # on one host the dialled ones are there already
            if more:
                self._unfinished.append(herd)
        except Exception:  # noqa: BLE001 - as above
            self._report("tick")

    def _go_on(self) -> None:
        """Do what is due for one herd, and at the loop's next pass for the next, or more where work was left over.

        By a timer, not a callback: gevent runs up to 50 callbacks in a row before it looks at timers and sockets again.
        """
        if self._unfinished:
            self._due(self._unfinished.popleft())
        if self._unfinished:
            self._again.start(self._go_on)

    def _close(self) -> None:
        try:
            now = self._clock()
            for herd in self.herds:
                if herd.ledger is not None:
                    herd.ledger.close(now)
        except Exception:  # noqa: BLE001 - as above
            self._report("ledger")

    def _report(self, where: str) -> None:
        self.errors += 1
        logger.exception("the engine's %s failed; the run is invalid", where)

    def _on_gc(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_ns = now_ns()
        else:
            took = now_ns() - self._collecting_ns
            self._collected_ns += took
            self._longest_collection_ns = max(self._longest_collection_ns, took)

    def _rss_bytes(self) -> int:
        """Return the resident memory, from a file kept open: it must be told even when no more can be opened."""
        return int(os.pread(self._statm, 128, 0).split()[1]) * PAGE_BYTES

    def take(self) -> dict[str, Any]:
        """Return the generator's own account since the last call, as plain values.

        Keys: lag (histogram), receive_queue (`ReceiveQueue`), cpu_percent (of one core), rss_bytes, gc_ms, gc_max_ms,
        errors.
        """
        receive_queue = ReceiveQueue()
        for herd in self.herds:
            receive_queue.join(herd.queue_delay.take())
        wall, cpu = time.monotonic(), time.process_time()
        elapsed = max(wall - self._cpu_at[0], 1e-6)
        account = {
            "lag": self._lag.to_wire(),
            "receive_queue": receive_queue.to_wire(),
            "cpu_percent": round(100 * (cpu - self._cpu_at[1]) / elapsed, 1),
            "rss_bytes": self._rss_bytes(),
            "gc_ms": self._collected_ns / NS_PER_MS,
            "gc_max_ms": self._longest_collection_ns / NS_PER_MS,
            "errors": self.errors,
        }
        self._lag = Histogram()
        self._cpu_at = (wall, cpu)
        self._collected_ns = self._longest_collection_ns = 0
        return account
