"""When a canary is to go out: a message to everybody that shows who of an event's clients is served again.

    subscriptions of share of P acknowledged again --canary--> reached: T_sub --every--> again, while somebody waits

The law of this file: what is judged is one moment, the last one that every worker has told of. Reports come one by one;
of a drop that one worker has told and the others have not, most of P would seem to be subscribed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from loadtest.metrics.event import KNOWN_NS
from loadtest.metrics.recovery import RecoveryCurve


class CanaryRule(NamedTuple):
    """The rule of one run.

    Attributes:
        share: part of P, above 0, whose subscriptions are acknowledged again when the canary goes out.
        every_ns: after this time it is repeated while somebody waits.
    """

    share: float
    every_ns: int

    def is_due(self, curve: RecoveryCurve, heard_ns: int, last_ns: int | None) -> bool:
        """Whether an event needs a canary: enough of P are subscribed again, one of them at least waits for a message.

        Args:
            curve: of the event, merged. heard_ns: every worker has told what happened until then.
            last_ns: when the last canary of the run went out; one before the event is none. None: none has.
        """
        needed = math.ceil(round(self.share * curve.population, 6))
        if heard_ns < curve.t0_ns + KNOWN_NS or not needed or curve.acknowledged_now < needed:
            return False
        if last_ns is not None and last_ns >= curve.t0_ns and heard_ns < last_ns + self.every_ns:
            return False
        acknowledged = curve.at("acknowledged", heard_ns)
        return acknowledged >= needed and acknowledged > curve.at("subscribed", heard_ns)
