"""Replace the gateway processes of a running stack.

    all-at-once: end all together -> start all anew       every client is dropped in the same moment
    rolling:     for each node: end (drained) -> start -> healthy -> next node

A version with handover starts a node's new process first, on the same port, and ends the old one when that is healthy;
all at once then means all nodes side by side. The new processes listen on the same ports. A node of a version that
drains spreads its closes over `drain_seconds`; the number reaches it through the drain file, read when SIGTERM arrives;
0 leaves it to the pace of the version, if it has one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

from reference_gateway.errors import DeployError, DeployRunningError, PartFailedError, SettingError
from reference_gateway.stack.part import Part
from reference_gateway.stack.supervisor import Supervisor
from reference_gateway.versions import find

Strategy = Literal["all-at-once", "rolling"]
MAX_DRAIN_S: Final = 3600.0
# Time a node has after its drain: sending the last closes, returning its connections. One that is still at it has more.
END_GRACE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class DeployOrder:
    """What a deploy was asked to do."""

    strategy: Strategy
    drain_seconds: float

    @classmethod
    def parse(cls, body: Any) -> DeployOrder:
        """Return the order in a JSON body.

        Raises:
            SettingError: names the key, what was found and what is allowed.
        """
        if not isinstance(body, dict):
            raise SettingError('a deploy is a JSON object: {"strategy": ..., "drain_seconds": ...}')
        unknown = sorted(set(body) - {"strategy", "drain_seconds"})
        if unknown:
            raise SettingError(f"unknown key {unknown[0]!r}: allowed are strategy, drain_seconds")
        strategy = body.get("strategy")
        if strategy not in get_args(Strategy):
            raise SettingError(f"strategy {strategy!r}: allowed is {' or '.join(get_args(Strategy))}")
        drain = body.get("drain_seconds", 0)
        if isinstance(drain, bool) or not isinstance(drain, int | float) or not math.isfinite(drain):
            raise SettingError(f"drain_seconds {drain!r} is not a number: allowed is 0 to {MAX_DRAIN_S:g}")
        if not 0 <= drain <= MAX_DRAIN_S:
            raise SettingError(f"drain_seconds {drain:g}: allowed is 0 to {MAX_DRAIN_S:g}")
        return cls(cast(Strategy, strategy), float(drain))


class Deployer:
    """Carries out deploys, one at a time; `current` is the order in progress."""

    def __init__(self, supervisor: Supervisor, gateways: Sequence[Part], drain_file: Path) -> None:
        self._supervisor = supervisor
        self._gateways = gateways
        self._drain_file = drain_file
        self.current: DeployOrder | None = None

    async def deploy(self, order: DeployOrder) -> dict[str, Any]:
        """Replace every gateway node as `order` says; return {"replaced": [names], "seconds": duration}.

        Raises:
            DeployRunningError: another deploy is in progress.
            DeployError: a replacement did not come up; the message names it.
        """
        if self.current is not None:
            raise DeployRunningError(f"a deploy ({self.current.strategy}) is in progress: wait for its end")
        self.current = order
        started_s = time.monotonic()
        try:
            self._drain_file.write_text(f"{order.drain_seconds:g}\n", encoding="ascii")
            if order.strategy == "all-at-once":
                await self._replace(self._gateways, order)
            else:
                for part in self._gateways:
                    await self._replace([part], order)
        except PartFailedError as error:
            raise DeployError(f"deploy did not complete: {error}") from None
        except OSError as error:
            raise DeployError(f"deploy did not start: {error}") from None
        finally:
            self._drain_file.unlink(missing_ok=True)
            self.current = None
        seconds = round(time.monotonic() - started_s, 3)
        return {"replaced": [part.name for part in self._gateways], "seconds": seconds}

    async def _replace(self, parts: Sequence[Part], order: DeployOrder) -> None:
        if all(find(part.version).handover for part in parts):
            await self._supervisor.replace_all(parts, MAX_DRAIN_S + END_GRACE_S)
            return
        drains = any(find(part.version).paced_drain for part in parts)
        grace_s = (order.drain_seconds if drains else 0.0) + END_GRACE_S
        await self._supervisor.stop_all(parts, grace_s, patient=True)
        await self._supervisor.start_all(parts)
