"""Move a share of the clients from one version of the reference stack to another, and hold the share against chance.

    0 % ---> 50 % ---> 100 % ---> 0 %     each step a fault of its own, at its own time

Law: which version serves a client follows from a hash of its id, so the count on the new version is binomial over ids:
outside of the 99 % interval the split is not what was asked for, and the run is invalid.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from loadtest.faults.call import call
from loadtest.faults.fault import Fault, FaultContext, FaultFailedError
from loadtest.profile import faults as profile

_Z_99 = 2.576


@dataclass(frozen=True)
class RolloutFault(Fault):
    """Rollout: done when as many clients are connected as before, with the share asked for on the new version.

    Nothing is taken back at the end: the stack ends with the run.
    """

    settings: profile.RolloutFault

    def check(self, context: FaultContext) -> list[str]:
        if context.control is not None:
            return []
        return [
            f'fault {self.settings.name}: "rollout" needs a stack that loadtest starts (target.stack = "reference")'
        ]

    def apply(self, context: FaultContext) -> None:
        settings = self.settings
        if context.control is None:
            raise FaultFailedError(f"fault {settings.name}: the target has no control address")
        order = {
            "percent": settings.percent,
            "over_seconds": settings.over_s,
            "patience_seconds": settings.timeout_s,
        }
        answer = call(
            settings.name,
            "POST",
            context.control.url.rstrip("/") + "/v1/rollout",
            headers={"Authorization": f"Bearer {context.control.token}", "Content-Type": "application/json"},
            body=json.dumps(order).encode(),
            timeout_s=settings.over_s + settings.timeout_s + 30.0,
            proxies=False,
        )
        content = answer.json_object()
        if not answer.ok:
            reason = content.get("error") or answer.said
            raise FaultFailedError(
                f"fault {settings.name}: the stack refused the rollout with {answer.status}: {reason}"
            )
        version, clients = content["version"], content["clients"]
        count, connected = clients[version], sum(clients.values())
        low, high = binomial_interval(connected, settings.percent / 100)
        said = f"{settings.name}: {count} of {connected} clients on {version}, {low} to {high} expected"
        context.report(settings.name, {"asked_percent": settings.percent, "moved": content["left"], "clients": clients})
        if not content["complete"]:
            raise FaultFailedError(f"fault {said}, and fewer than before after {settings.timeout_s:g} s")
        if not low <= count <= high:
            raise FaultFailedError(f"fault {said}")
        context.log(f"{said}; {content['left']} were told to go")


def binomial_interval(trials: int, share: float) -> tuple[int, int]:
    """Return the whole numbers that hold a binomial count with 99 % probability (normal approximation).

    Source: Wald; with a share of 0 or 1 both are the one possible count.
    """
    mean, deviation = trials * share, math.sqrt(trials * share * (1.0 - share))
    return max(0, math.floor(mean - _Z_99 * deviation)), min(trials, math.ceil(mean + _Z_99 * deviation))
