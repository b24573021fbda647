"""The latencies of one stretch of a run, by the tags they have in `histograms.hlog`.

    interval, interval, ... --add--> Stretch --take--> one line for each tag, and the next stretch begins

Law: whatever was measured is in exactly one stretch, so that the stretches of a run add up to the run; a run that is
killed lacks no more than its last one. Latencies are in the stretch they were received in, times to a share in the one
their message was settled in.
"""

from __future__ import annotations

from loadtest.metrics.sums import Sums
from loadtest.metrics.tally import Tally
from loadtest.metrics.time_to_share import SHARES, Reached

TTK = {share: f"fanout.ttk.{share}" for share in SHARES}

YOUNG_S = 60.0
"""A run this young may be a short one, of which every second counts: its stretches last a second."""

YOUNG_STRETCH_S = 1.0
STRETCH_S = 10.0
_SLACK_S = 0.5
"""Lines come once a second, a little early or late."""


class Stretch:
    """What was measured since the last `take`. `start_s`: when that was, in seconds since the start of the run."""

    def __init__(self) -> None:
        self.start_s = 0.0
        self._tallies: dict[str, Tally] = {}

    def add(self, interval: Sums, reached: Reached) -> None:
        """Add what a closed interval measured."""
        times = {tag: reached.reached[share] for share, tag in TTK.items()}
        for tag, tally in (interval.by_tag() | times).items():
            self._tallies.setdefault(tag, Tally()).add(tally)

    def due(self, now_s: float) -> bool:
        """Whether the stretch has lasted long enough to be written, `now_s` after the start of the run."""
        lasts_s = YOUNG_STRETCH_S if now_s <= YOUNG_S else STRETCH_S
        return now_s - self.start_s >= lasts_s - _SLACK_S

    def take(self, now_s: float) -> dict[str, Tally]:
        """Return what was measured, by tag, and begin the next stretch."""
        taken, self._tallies, self.start_s = self._tallies, {}, now_s
        return taken
