"""What somebody asks to be done to a part: read from JSON, checked whole.

    {"kind": "freeze", "part": "gateway-*"}     {"kind": "slow", "part": "api", "share": 0.1}
    {"kind": "database-slow", "part": "storage", "delay_s": 0.05}
    {"kind": "partition", "part": "gateway-1", "how": "silence"}

Law: each kind has its own keys, and a key that is not one of them is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from reference_gateway.errors import SettingError

MAX_DELAY_S: Final = 60.0

#: The kinds, each with its own keys and their defaults (None: required).
KINDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "kill": {},
    "down": {},
    "freeze": {},
    "slow": {"share": 0.1},
    "database-slow": {"delay_s": None},
    "database-down": {},
    "partition": {"how": "refuse"},
    "replica-lag": {"delay_s": None},
    "failover": {},
}

How = Literal["refuse", "silence"]


@dataclass(frozen=True, slots=True)
class FaultOrder:
    """What is asked for.

    Attributes:
        part: name of a part, or a pattern such as "gateway-*".
        share: of "slow": how much of the time its process runs, 0 < share < 1.
        delay_s: of "database-slow": added to each statement; of "replica-lag": to all that the replica hears.
        how: of "partition": "refuse" = connections are cut and refused, "silence" = nothing passes, nobody is told.
    """

    kind: str
    part: str
    share: float = 0.1
    delay_s: float = 0.0
    how: How = "refuse"

    @classmethod
    def parse(cls, body: Any) -> FaultOrder:
        """Return the order in a JSON body.

        Raises:
            SettingError: names the key, what was found and what is allowed.
        """
        if not isinstance(body, dict):
            raise SettingError('a fault is a JSON object: {"kind": ..., "part": ...}')
        kind, part = body.get("kind"), body.get("part")
        if not isinstance(kind, str) or kind not in KINDS:
            raise SettingError(f"kind {kind!r}: allowed are {', '.join(KINDS)}")
        if not isinstance(part, str) or not part:
            raise SettingError(f"part {part!r}: give the name of a part, or a pattern such as gateway-*")
        keys = KINDS[kind]
        unknown = sorted(set(body) - {"kind", "part", *keys})
        if unknown:
            raise SettingError(f"unknown key {unknown[0]!r}: {kind} has {', '.join(keys) or 'no keys of its own'}")
        given = {key: body.get(key, default) for key, default in keys.items()}
        for key, value in given.items():
            allowed = _objection(key, value)
            if allowed:
                raise SettingError(f"{key} {value!r}: allowed is {allowed}")
        return cls(kind, part, **given)

    @property
    def lasts(self) -> bool:
        """Whether it is in place until it is taken back; otherwise it is done when it is done."""
        return self.kind not in ("kill", "failover")

    @property
    def holds(self) -> str:
        """What no other fault may hold of the same part meanwhile."""
        return {
            "database-slow": "database",
            "database-down": "database",
            "replica-lag": "links",
            "partition": "links",
        }.get(self.kind, "process")


def _objection(key: str, value: object) -> str:
    """Return what is allowed in place of `value`, empty when it is."""
    if key == "how":
        return "" if value in ("refuse", "silence") else "refuse or silence"
    number = value if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else -1.0
    if key == "share":
        return "" if 0.01 <= number <= 0.99 else "0.01 to 0.99"
    return "" if 0.0 < number <= MAX_DELAY_S else f"more than 0, up to {MAX_DELAY_S:g} seconds"
