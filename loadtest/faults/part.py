"""What all faults of a stack's parts share: the stack does them, on order of its control address, and takes them back.

    check  <- what the stack said of its parts when it was up
    apply  -> PUT /v1/faults/NAME {"kind", "part", the kind's own keys}    answered when it is in place
    undo   -> DELETE /v1/faults/NAME                                       answered when it is gone

Law: nothing that the stack puts in place outlives the stack, and the stack does not outlive this harness.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from loadtest.faults.call import Answer, call
from loadtest.faults.fault import Control, Fault, FaultContext, FaultFailedError

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class PartFault(Fault):
    """A fault of one or several parts."""

    settings: Any
    """The profile's table of the kind, one of `profile.part_faults`."""

    def keys(self) -> Mapping[str, object]:
        """Return what the kind has to say beside its part."""
        return {}

    def check(self, context: FaultContext) -> list[str]:
        settings, control = self.settings, context.control
        begin = f"fault {settings.name}:"
        if control is None:
            return [f'{begin} "{settings.kind}" needs a stack that loadtest starts (target.stack = "reference")']
        named = [part for part in control.faults if fnmatchcase(part, settings.part)]
        if not named:
            return [f'{begin} the target has no part "{settings.part}"; it has {", ".join(control.faults) or "none"}']
        if any(settings.kind in control.faults[part] for part in named):
            return []
        can = ", ".join(control.faults[named[0]]) or "none"
        return [f'{begin} {named[0]} of this target cannot have "{settings.kind}"; it can have {can}']

    def apply(self, context: FaultContext) -> None:
        settings = self.settings
        order = {"kind": settings.kind, "part": settings.part, **self.keys()}
        answer = self._ask(context, "PUT", json.dumps(order).encode())
        parts = [str(part) for part in answer.json_object().get("parts", [])]
        context.report(settings.name, {"parts": parts})
        context.log(f"{settings.name}: {settings.kind} of {', '.join(parts)}")

    def undo(self, context: FaultContext) -> None:
        if not self.settings.lasts or context.control is None:
            return
        try:
            self._ask(context, "DELETE", None)
        except FaultFailedError as error:
            if not isinstance(getattr(error.__cause__, "reason", None), ConnectionRefusedError):
                raise
            context.log(f"{self.settings.name}: the stack has ended, and the fault with it")

    def _ask(self, context: FaultContext, method: str, body: bytes | None) -> Answer:
        name, control = self.settings.name, context.control
        if control is None:
            raise FaultFailedError(f"fault {name}: the target has no control address")
        answer = call(
            name,
            method,
            f"{control.url.rstrip('/')}/v1/faults/{name}",
            headers=authorized(control),
            body=body,
            timeout_s=TIMEOUT_S,
            proxies=False,
        )
        if not answer.ok:
            reason = answer.json_object().get("error") or answer.said
            raise FaultFailedError(f"fault {name}: the stack answered {answer.status}: {reason}")
        return answer


def authorized(control: Control) -> dict[str, str]:
    """Return the headers of an order to the stack."""
    return {"Authorization": f"Bearer {control.token}", "Content-Type": "application/json"}
