"""Replace the gateways of a stack that we started, or its private API, through its control address."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from loadtest.faults.call import call
from loadtest.faults.fault import Fault, FaultContext, FaultFailedError
from loadtest.faults.part import authorized
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class DeployFault(Fault):
    """Deploy: every process of a tier ends and a new one takes its place; done when the stack says so.

    The timeout of the profile counts from the end of the drain.
    """

    settings: profile.DeployFault

    def check(self, context: FaultContext) -> list[str]:
        name, tier, strategy = self.settings.name, self.settings.tier, self.settings.strategy
        if context.control is None:
            return [
                f'fault {name}: "deploy" needs a stack that loadtest starts (target.stack = "reference"); '
                'for another target use kind = "command", "http" or "drop"'
            ]
        known = context.control.deploys.get(tier, ())
        if strategy in known:
            return []
        return [f'fault {name}: the {tier} of this target cannot be deployed "{strategy}"; {_allowed(known)}']

    def apply(self, context: FaultContext) -> None:
        settings = self.settings
        name, strategy, drain_s = settings.name, settings.strategy, settings.drain_seconds
        if context.control is None:
            raise FaultFailedError(f"fault {name}: the target has no control address")
        answer = call(
            name,
            "POST",
            context.control.url.rstrip("/") + "/v1/deploy",
            headers=authorized(context.control),
            body=json.dumps(
                {
                    "strategy": strategy,
                    "drain_seconds": drain_s,
                    "tier": settings.tier,
                    "pace_s": settings.pace_s,
                    "close_code": settings.close_code,
                    "retry_after_s": settings.retry_after_s,
                }
            ).encode(),
            timeout_s=settings.timeout_s + drain_s,
            proxies=False,
        )
        content = answer.json_object()
        if not answer.ok:
            reason = content.get("error") or answer.said
            raise FaultFailedError(f"fault {name}: the stack refused the deploy with {answer.status}: {reason}")
        replaced = content.get("replaced")
        count = f" of {len(replaced)} processes" if isinstance(replaced, list) else ""
        context.log(f"{name}: {strategy} deploy{count} done")


def _allowed(strategies: Collection[str]) -> str:
    return f"allowed is {' or '.join(strategies)}" if strategies else "it has none"
