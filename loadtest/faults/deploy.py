"""Replace the gateway processes of a stack that we started, through its control address."""

from __future__ import annotations

import json
from dataclasses import dataclass

from loadtest.faults.call import call
from loadtest.faults.fault import Fault, FaultContext, FaultFailedError
from loadtest.profile import faults as profile


@dataclass(frozen=True)
class DeployFault(Fault):
    """Deploy: every gateway process ends and a new one takes its place; done when the stack says so.

    The timeout of the profile counts from the end of the drain.
    """

    settings: profile.DeployFault

    def check(self, context: FaultContext) -> list[str]:
        if context.control is not None:
            return []
        return [
            f'fault {self.settings.name}: "deploy" needs a stack that loadtest starts (target.stack = "reference"); '
            'for another target use kind = "command", "http" or "drop"'
        ]

    def apply(self, context: FaultContext) -> None:
        name, strategy, drain_s = self.settings.name, self.settings.strategy, self.settings.drain_seconds
        if context.control is None:
            raise FaultFailedError(f"fault {name}: the target has no control address")
        answer = call(
            name,
            "POST",
            context.control.url.rstrip("/") + "/v1/deploy",
            headers={"Authorization": f"Bearer {context.control.token}", "Content-Type": "application/json"},
            body=json.dumps({"strategy": strategy, "drain_seconds": drain_s}).encode(),
            timeout_s=self.settings.timeout_s + drain_s,
            proxies=False,
        )
        content = answer.json_object()
        if not answer.ok:
            reason = content.get("error") or answer.said
            raise FaultFailedError(f"fault {name}: the stack refused the deploy with {answer.status}: {reason}")
        replaced = content.get("replaced")
        count = f" of {len(replaced)} processes" if isinstance(replaced, list) else ""
        context.log(f"{name}: {strategy} deploy{count} done")
