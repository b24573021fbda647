"""The start form of `loadtest run --web`: what it offers, and what comes back as a checked profile.

    profiles on the shelf --Offer--> choices with descriptions, defaults
    fields of the form --read--> load_profile(--set, --target) --> Profile, or everything that is wrong
                       --series--> one after the other, two versions in turn (A B, B A ...), as `bench-versions` does

Law: the form can say nothing that the command line could not: its fields become overrides, checked by the same rules.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.compare.interleaving import there_and_back
from loadtest.errors import UsageError
from loadtest.profile.loader import load_profile
from loadtest.profile.model import Profile
from loadtest.profile.redaction import safe_text
from loadtest.profile.shelf import find_profile, shipped_profiles
from loadtest.units import parse_duration, parse_rate
from loadtest.users.attach import without_faults

BETWEEN = " \N{EM DASH} "
AS_PROFILE = "as the profile says"
NO_FAULT = "none"
NO_OTHER = "nothing"
RUNS = ("1", "2", "5")
STRATEGIES = {"all at once": "all-at-once", "rolling, node by node": "rolling"}
EARLY_SHARE = 0.25
"""Where a profile has no deploy, one from the form comes after this share of its duration."""

CheckThreshold = Callable[[str], str | None]


@dataclass(frozen=True)
class Offer:
    """A profile to choose. What its file does not say is None."""

    name: str
    path: Path
    description: str
    connections: int | None
    ramp_per_s: float | None
    duration_s: float | None
    stack: bool
    version: str | None

    @property
    def label(self) -> str:
        """What the drop-down shows."""
        return f"{self.name}{BETWEEN}{self.description}" if self.description else self.name


def offers(first: str) -> list[Offer]:
    """Return the profiles to choose from: `first` (a path or name), those in ./profiles, those shipped.

    Raises:
        UsageError: there is no profile `first`.
    """
    found = {find_profile(first).resolve(): first}
    local = {path.stem: path for path in sorted(Path("profiles").glob("*.toml"))}
    for name, path in {**shipped_profiles(), **local}.items():
        found.setdefault(path.resolve(), name)
    return [_offer(name, path) for path, name in found.items()]


def _offer(name: str, path: Path) -> Offer:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # chosen, it is refused with all that is wrong
        return Offer(name, path, f"cannot be read: {error}", None, None, None, False, None)
    target = _table(data, "target")
    connections = _table(data, "population").get("connections")
    return Offer(
        name,
        path,
        str(data.get("description", "")),
        connections if isinstance(connections, int) else None,
        _quantity(parse_rate, _table(data, "ramp").get("rate")),
        _quantity(parse_duration, data.get("duration")),
        "stack" in target,
        str(target["version"]) if "version" in target else None,
    )


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}


def _quantity(parse: Callable[[str], float], text: object) -> float | None:
    try:
        return parse(text) if isinstance(text, str) else None
    except UsageError:
        return None


class Form:
    """The start form.

    Args:
        first: the profile of the command line; settings, target: its --set and --target, which hold for that profile.
        versions: of the reference stack, to choose from.
    """

    def __init__(
        self,
        first: str,
        settings: Sequence[str],
        target: str | None,
        versions: Sequence[str],
        check_threshold: CheckThreshold,
    ) -> None:
        self.offers = offers(first)
        self.first = self.offers[0]
        self.target = safe_text(target or "")
        """The --target as the page shows it; the field that comes back with it means the target itself."""
        self._target = target
        self._settings = list(settings)
        self._versions = list(versions)
        self._check_threshold = check_threshold
        self.profile = load_profile(first, settings, target_url=target, check_threshold=check_threshold)
        """That of the command line, as it would run."""

    def options(self) -> dict[str, dict[str, Any]]:
        """Return the fields that Locust's form shows under its own, as its template has them."""
        return {
            "profile": _choice([offer.label for offer in self.offers], "what to run"),
            "stack_deploy": _choice([AS_PROFILE, NO_FAULT, *STRATEGIES], "in the middle of the run"),
            "stack_version": _choice([AS_PROFILE, *self._versions], "of the reference stack, started for the run"),
            "versus": _choice([NO_OTHER, *self._versions], "a second version, run in turn with the first"),
            "runs": _choice(RUNS, "of each version, one after the other; a verdict needs 5"),
        }

    def defaults(self) -> list[dict[str, Any]]:
        """Return for each profile what the fields hold once it is chosen."""
        return [
            {
                "label": offer.label,
                "user_count": self.profile.population.connections if offer is self.first else offer.connections or 1000,
                "spawn_rate": round(self.profile.ramp.rate_per_s, 3)
                if offer is self.first
                else offer.ramp_per_s or 1000,
                "run_time": f"{self.profile.duration_s if offer is self.first else offer.duration_s or 60:g}s",
            }
            for offer in self.offers
        ]

    def series(self, fields: Mapping[str, str]) -> list[Profile]:
        """Return the profiles to run, one after the other.

        Raises:
            UsageError, ProfileError: everything that is wrong with the fields.
        """
        first, other, runs = self.read(fields), fields.get("versus", NO_OTHER), fields.get("runs", RUNS[0])
        if runs not in RUNS:
            raise UsageError(f"runs: {', '.join(RUNS)}")
        if other in ("", NO_OTHER):
            return [first] * int(runs)
        if other not in self._versions:
            raise UsageError(f"versus: {', '.join(self._versions)}")
        if first.target.stack is None:
            raise UsageError("versus: only versions of the reference stack can be run in turn, not a URL")
        if other == first.target.version:
            raise UsageError(f"versus: {other} is the first version too; choose another")
        both = {str(first.target.version): first, other: self.read({**fields, "stack_version": other})}
        return [both[version] for version, _ in there_and_back(list(both), int(runs))]

    def read(self, fields: Mapping[str, str]) -> Profile:
        """Return the profile to run.

        Raises:
            UsageError, ProfileError: everything that is wrong with the fields.
        """
        offer = self._chosen(fields.get("profile", ""))
        settings = list(self._settings) if offer is self.first else []
        for field, key, form in _FIELDS:
            given = fields.get(field, "").strip()
            if given and given != "undefined":
                settings.append(f"{key}={form(given)}")
        version = fields.get("stack_version", AS_PROFILE)
        if version not in ("", AS_PROFILE):
            settings.append(f"target.version={version}")
        deploy = fields.get("stack_deploy", AS_PROFILE)
        host = fields.get("host", "").strip()
        as_given = host == self.target if host else offer is self.first
        target = self._target if as_given else host or None
        if deploy == NO_FAULT:
            return self._load(offer, [*without_faults(offer.path), *settings], target)
        profile = self._load(offer, settings, target)
        if deploy in ("", AS_PROFILE):
            return profile
        if deploy not in STRATEGIES:
            raise UsageError(f'no such deploy: "{deploy[:40]}"')
        settings += _deploy(profile, STRATEGIES[deploy])
        return self._load(offer, settings, target)

    def _chosen(self, label: str) -> Offer:
        for offer in self.offers:
            if label in (offer.label, offer.name):
                return offer
        if label:
            raise UsageError(f'no such profile: "{label[:80]}"')
        return self.first

    def _load(self, offer: Offer, settings: Sequence[str], target: str | None) -> Profile:
        return load_profile(str(offer.path), settings, target_url=target, check_threshold=self._check_threshold)


def _number(text: str) -> str:
    try:
        return f"{float(text):g}" if float(text) != int(float(text)) else str(int(float(text)))
    except (ValueError, OverflowError) as error:
        raise UsageError(f'"{text[:40]}" is not a number') from error


def _duration(text: str) -> str:
    return f'"{text}s"' if text.isdecimal() else f'"{text}"'


_FIELDS = (
    ("user_count", "population.connections", _number),
    ("spawn_rate", "ramp.rate", lambda text: f'"{_number(text)}/s"'),
    ("run_time", "duration", _duration),
)


def _deploy(profile: Profile, strategy: str) -> list[str]:
    """Return the overrides that make the profile's deploy, or a new one, of that strategy."""
    for position, fault in enumerate(profile.faults):
        if fault.kind == "deploy":
            return [f"faults.{position}.strategy={strategy}"]
    after_s = round(EARLY_SHARE * profile.duration_s, 3)
    added = f'{{ kind = "deploy", strategy = "{strategy}", after_steady = "{after_s:g}s" }}'
    return [f"faults.{len(profile.faults)}={added}"]


def _choice(choices: Sequence[str], help_text: str) -> dict[str, Any]:
    return {
        "default_value": choices[0],
        "is_secret": False,
        "is_required": False,
        "help_text": help_text,
        "is_multiple": False,
        "choices": list(choices),
    }
