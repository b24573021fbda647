"""Rules over several keys of a profile: what the schema of a single key cannot know.

A rule yields objections: (the keys it looked at, what is wrong). The first key is the one to change. A rule looks at a
mended profile too when the file has other errors; an objection that involves a mended key is then dropped.

To add a rule: a generator of objections in the file of its table, and its name in that file's RULES.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from loadtest.profile.model import Profile
from loadtest.profile.rules import client, faults, population, scale, target, timeline, traffic
from loadtest.profile.rules.objection import Objection, Rule

ALL: tuple[Rule, ...] = (
    *target.RULES,
    *client.RULES,
    *population.RULES,
    *traffic.RULES,
    *timeline.RULES,
    *faults.RULES,
    *scale.RULES,
)


def objections(
    profile: Profile, mended: Collection[str], check_threshold: Callable[[str], str | None] | None
) -> list[str]:
    """Return a sentence for everything that does not fit together."""
    found = [objection for rule in ALL for objection in rule(profile)]
    if check_threshold is not None:
        found += _bad_thresholds(profile, check_threshold)
    trusted = (each for each in found if not any(_touches(key, bad) for key in each.keys for bad in mended))
    return [f"{each.keys[0]}: {each.text}" for each in trusted]


def _bad_thresholds(profile: Profile, check: Callable[[str], str | None]) -> Iterator[Objection]:
    for number, text in enumerate(profile.thresholds):
        wrong = check(text)
        if wrong is not None:
            yield Objection((f"thresholds.{number}",), wrong)


def _touches(key: str, mended: str) -> bool:
    """Whether one of the two dotted keys lies inside the other."""
    return f"{key}.".startswith(f"{mended}.") or f"{mended}.".startswith(f"{key}.")
