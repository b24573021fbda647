"""Replace processes of a running stack: the gateways, or the private API alone.

    all-at-once: end all together -> start each anew      every client is dropped in the same moment
    rolling:     for each node: end (drained) -> start -> healthy -> [pace] -> next node
    blue-green:  start all anew beside the old ones -> all healthy -> end all old ones; one that fails: nothing changes

Blue-green needs versions whose nodes can share a port. A version with handover starts a node's new process first in any
case, on the same port, and ends the old one when that is healthy; all at once then means all nodes side by side. The
API always hands over: no socket hangs on it. The new processes listen on the same ports. A node of a version that
drains spreads its closes over `drain_seconds`; that and what it says reach it through the drain file (`gateway.drain`),
read when SIGTERM arrives; 0 leaves it to the pace of the version, if it has one.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

from reference_gateway.errors import DeployError, DeployRunningError, PartFailedError, SettingError
from reference_gateway.stack.part import Part
from reference_gateway.stack.supervisor import Supervisor
from reference_gateway.versions import Version, find

Strategy = Literal["all-at-once", "rolling", "blue-green"]
Tier = Literal["gateway", "api"]
MAX_DRAIN_S: Final = 3600.0
# Time a node has after its drain: sending the last closes, returning its connections. One that is still at it has more.
END_GRACE_S: Final = 5.0
_KEYS: Final = ("strategy", "drain_seconds", "tier", "pace_s", "close_code", "retry_after_s")


def strategies_of(versions: Sequence[Version]) -> list[Strategy]:
    """Return the strategies that a stack of these versions knows."""
    return [name for name in get_args(Strategy) if name != "blue-green" or all(one.is_split for one in versions)]


@dataclass(frozen=True, slots=True)
class DeployOrder:
    """What a deploy was asked to do.

    Attributes:
        drain_seconds: over which an ending node spreads its closes.
        tier: whose processes are replaced.
        pace_s: rest between two nodes of a rolling deploy.
        close_code: what draining nodes close with; None: the version's own code.
        retry_after_s: clients are told to come back after a time between 0 and this; None: what the version tells them.
    """

    strategy: Strategy
    drain_seconds: float
    tier: Tier = "gateway"
    pace_s: float = 0.0
    close_code: int | None = None
    retry_after_s: float | None = None

    @classmethod
    def parse(cls, body: Any) -> DeployOrder:
        """Return the order in a JSON body.

        Raises:
            SettingError: names the key, what was found and what is allowed.
        """
        if not isinstance(body, dict):
            raise SettingError('a deploy is a JSON object: {"strategy": ..., "drain_seconds": ...}')
        unknown = sorted(set(body) - set(_KEYS))
        if unknown:
            raise SettingError(f"unknown key {unknown[0]!r}: allowed are {', '.join(_KEYS)}")
        order = cls(
            strategy=cast(Strategy, _choice(body, "strategy", get_args(Strategy))),
            drain_seconds=_seconds(body, "drain_seconds") or 0.0,
            tier=cast(Tier, _choice(body, "tier", get_args(Tier), "gateway")),
            pace_s=_seconds(body, "pace_s") or 0.0,
            close_code=_close_code(body),
            retry_after_s=_seconds(body, "retry_after_s"),
        )
        if order.tier == "api" and order.strategy == "blue-green":
            raise SettingError("the API is replaced all at once or rolling, which for one process are the same")
        return order

    def drain_file(self) -> str:
        """Return what the ending nodes are to find in the drain file."""
        said = {"seconds": self.drain_seconds, "code": self.close_code, "retry_after_s": self.retry_after_s}
        return json.dumps({key: value for key, value in said.items() if value is not None})


def _choice(body: Mapping[str, Any], key: str, allowed: Sequence[str], default: str | None = None) -> str:
    found = body.get(key, default)
    if found not in allowed:
        raise SettingError(f"{key} {found!r}: allowed is {', '.join(allowed[:-1])} or {allowed[-1]}")
    return str(found)


def _seconds(body: Mapping[str, Any], key: str) -> float | None:
    found = body.get(key)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise SettingError(f"{key} {found!r} is not a number: allowed is 0 to {MAX_DRAIN_S:g}")
    if not 0 <= found <= MAX_DRAIN_S:
        raise SettingError(f"{key} {found:g}: allowed is 0 to {MAX_DRAIN_S:g}")
    return float(found)


def _close_code(body: Mapping[str, Any]) -> int | None:
    found = body.get("close_code")
    usable = isinstance(found, int) and (found in (1000, 1001, 1011, 1012, 1013) or 3000 <= found <= 4999)
    if found is not None and not usable:
        raise SettingError(f"close_code {found!r}: allowed is 1000, 1001, 1011 to 1013, 3000 to 4999 (RFC 6455, 7.4)")
    return found


class Deployer:
    """Carries out deploys, one at a time; `current` is the order in progress.

    Args:
        tiers: the parts that are replaced together; one that a stack does not have is empty.
    """

    def __init__(self, supervisor: Supervisor, tiers: Mapping[Tier, Sequence[Part]], drain_file: Path) -> None:
        self._supervisor = supervisor
        self._tiers = tiers
        self._drain_file = drain_file
        self.current: DeployOrder | None = None

    @property
    def strategies(self) -> Mapping[Tier, Sequence[Strategy]]:
        """What this stack can be asked for, by tier."""
        nodes = [find(part.version) for part in self._tiers["gateway"]]
        return {"gateway": strategies_of(nodes), **({"api": ["all-at-once", "rolling"]} if self._tiers["api"] else {})}

    async def deploy(self, order: DeployOrder) -> dict[str, Any]:
        """Replace every process of a tier as `order` says; return {"replaced": [names], "seconds": duration}.

        Raises:
            DeployRunningError: another deploy is in progress.
            SettingError: this stack has no such tier, or its version cannot be replaced in this way.
            DeployError: a replacement did not come up; the message names it.
        """
        if self.current is not None:
            raise DeployRunningError(f"a deploy ({self.current.strategy}) is in progress: wait for its end")
        if order.tier not in self.strategies:
            raise SettingError(f"this stack has no {order.tier}")
        if order.strategy not in self.strategies[order.tier]:
            raise SettingError(f"{order.strategy}: nodes of this version cannot share a port")
        parts = self._tiers[order.tier]
        self.current = order
        started_s = time.monotonic()
        try:
            self._drain_file.write_text(order.drain_file(), encoding="ascii")
            await self._replace_tier(parts, order)
        except PartFailedError as error:
            raise DeployError(f"deploy did not complete: {error}") from None
        except OSError as error:
            raise DeployError(f"deploy did not start: {error}") from None
        finally:
            self._drain_file.unlink(missing_ok=True)
            self.current = None
        seconds = round(time.monotonic() - started_s, 3)
        return {"replaced": [part.name for part in parts], "seconds": seconds}

    async def _replace_tier(self, parts: Sequence[Part], order: DeployOrder) -> None:
        if order.strategy == "blue-green":
            await self._supervisor.swap_all(parts, MAX_DRAIN_S + END_GRACE_S)
        elif order.strategy == "all-at-once":
            await self._replace(parts, order)
        else:
            for number, part in enumerate(parts):
                if number:
                    await asyncio.sleep(order.pace_s)
                await self._replace([part], order)

    async def _replace(self, parts: Sequence[Part], order: DeployOrder) -> None:
        if order.tier == "api" or all(find(part.version).handover for part in parts):
            await self._supervisor.replace_all(parts, MAX_DRAIN_S + END_GRACE_S)
            return
        drains = any(find(part.version).paced_drain for part in parts)
        grace_s = (order.drain_seconds if drains else 0.0) + END_GRACE_S
        await self._supervisor.restart_all(parts, grace_s)
