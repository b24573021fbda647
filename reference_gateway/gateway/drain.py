"""How a node says goodbye to all its clients: who is due when, with which close code, told what.

    deploy --drain file {"seconds", "code", "retry_after_s"}--> read_order --> DrainOrder --due--> close, close, ...

Law: the first client goes at once, and by any moment no more have followed than the pace allows, however few they are.
What the file does not say is the node's own affair: its setting, the pace of its version, its retry slots.
"""

from __future__ import annotations

import json
import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reference_gateway import wire

from .settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DrainOrder:
    """What a deploy asks of an ending node; None leaves it to the node.

    Attributes:
        seconds: over which the closes are spread; 0 leaves it to the pace of the version, if it has one.
        code: to close with, in place of the version's own.
        retry_after_s: each client is told to come back after a time between 0 and this, by chance.
    """

    seconds: float | None = None
    code: int | None = None
    retry_after_s: float | None = None

    def over_s(self, settings: Settings, clients: int) -> float:
        """Return the seconds of this drain: as ordered, or at the pace of the version, or the setting."""
        if self.seconds == 0 and settings.drain_per_s:
            return clients / settings.drain_per_s
        return settings.drain_s if self.seconds is None else self.seconds

    def farewell(self, own: Callable[[], wire.CloseCode], rng: random.Random) -> wire.CloseCode:
        """Return what to close the next client with; `own` is the node's own choice, asked only where it counts."""
        if self.code is None and self.retry_after_s is None:
            return own()
        close = wire.COME_BACK if self.code is None else wire.GOING_AWAY._replace(code=self.code)
        if self.retry_after_s is None:
            return close
        return close._replace(meaning=wire.come_back(self.retry_after_s * rng.random()).meaning)


def read_order(path: str) -> DrainOrder:
    """Return what a deploy has left in the drain file; nothing where there is none or it cannot be read."""
    try:
        content = json.loads(Path(path).read_text()) if path else {}
        values = {key: _number(content[key]) for key in ("seconds", "retry_after_s") if content.get(key) is not None}
        code = content.get("code")
        return DrainOrder(code=None if code is None else int(code), **values)
    except FileNotFoundError:
        return DrainOrder()
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.warning("the drain file %s says nothing that can be done: %s", path, error)
        return DrainOrder()


def due(clients: int, elapsed_s: float, over_s: float) -> int:
    """Return how many of `clients` are to be closed by now, all of them once `over_s` has passed."""
    return clients if elapsed_s >= over_s else min(clients, 1 + math.floor(clients * elapsed_s / over_s))


def _number(value: object) -> float:
    number = float(value)  # type: ignore[arg-type]  # a TypeError is one of the answers
    if not math.isfinite(number):
        raise ValueError(f"{number} is no time")
    return max(0.0, number)
