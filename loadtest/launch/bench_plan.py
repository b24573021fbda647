"""The plan of a benchmark of versions, and what of it is done: one file, so that an interruption costs one run.

    bench/bench.json          which versions, in which order, which runs are done
    bench/<version>/<run>/    the run folders of each version, ready for `loadtest compare`
    bench/logs/               what each run said

The law of this file: a run is done when its folder is written down here, and not before; the file appears whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from loadtest.compare.interleaving import there_and_back
from loadtest.errors import UsageError
from loadtest.profile.redaction import safe, safe_setting

SCHEMA = "loadtest.bench/1"
PLAN = "bench.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


@dataclass(frozen=True, slots=True)
class Contender:
    """One version: of the profile's own target by name, or behind a URL, which a command may start first."""

    name: str
    url: str | None = None
    start: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """One finished run: of which version, its number from 1, its folder's name, how long it took."""

    version: str
    number: int
    folder: str
    seconds: float


@dataclass
class Plan:
    """What is to run, and what has run."""

    path: Path
    profile: str
    settings: tuple[str, ...]
    contenders: tuple[Contender, ...]
    runs: int
    done: list[Done] = field(default_factory=list)

    @classmethod
    def open(cls, out: Path, profile: str, settings: Sequence[str], contenders: Sequence[Contender], runs: int) -> Plan:
        """Return the plan in the folder `out`: a new one, or the one that was interrupted there.

        More runs than before may be asked for; their order goes on where it was.

        Raises:
            UsageError: the folder holds another benchmark, or its file cannot be read.
        """
        plan = cls(out / PLAN, profile, tuple(settings), tuple(contenders), runs)
        try:
            found = json.loads(plan.path.read_text())
            if found.get("schema") != SCHEMA or found.get("sha256") != plan._sha256():
                raise UsageError(
                    f"{plan.path} is of another benchmark ({found.get('asked')}); name another folder with --out"
                )
            plan.done = [Done(**entry) for entry in found["done"]]
        except FileNotFoundError:
            out.mkdir(parents=True, exist_ok=True)
            plan.save()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(f"{plan.path} cannot be read ({error}); name another folder with --out") from error
        return plan

    @property
    def left(self) -> list[tuple[str, int]]:
        """(version, number) of the runs still to do, in order."""
        done = {(entry.version, entry.number) for entry in self.done}
        order = there_and_back([contender.name for contender in self.contenders], self.runs)
        return [step for step in order if step not in done]

    def finish(self, done: Done) -> None:
        """Write down that a run is done."""
        self.done.append(done)
        self.save()

    def seconds_left(self, planned_s: float, rest_s: float) -> float:
        """Return how long the rest will take: by the runs so far, before the first by the profile's own plan."""
        each_s = fmean(entry.seconds for entry in self.done) if self.done else planned_s
        return len(self.left) * (each_s + rest_s)

    def save(self) -> None:
        """Write the file."""
        content = {
            "schema": SCHEMA,
            "asked": self._asked(),
            "sha256": self._sha256(),
            "runs": self.runs,
            "done": [asdict(done) for done in self.done],
        }
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(content, indent=1))
        temporary.replace(self.path)

    def _asked(self) -> dict[str, Any]:
        """Return what is asked for, as a person may read it: without secrets."""
        contenders = [[each.name, each.url, each.start] for each in self.contenders]
        asked: dict[str, Any] = safe({"profile": self.profile, "contenders": contenders})
        return asked | {"settings": [safe_setting(text) for text in self.settings]}

    def _sha256(self) -> str:
        """Return the hash of what is asked for, secrets included."""
        asked = [self.profile, self.settings, [astuple(each) for each in self.contenders]]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def contenders(versions: str, urls: Sequence[str], commands: Sequence[str]) -> list[Contender]:
    """Read "a,b" and "name=URL", "name=command"; the first is the baseline.

    Raises:
        UsageError: fewer than two, a name twice or unfit for a folder, or a command without a URL.
    """
    pairs = {flag: _pairs(flag, texts) for flag, texts in (("--target", urls), ("--start", commands))}
    named = [name.strip() for name in versions.split(",") if name.strip()]
    found = [Contender(name) for name in named]
    found += [Contender(name, url, pairs["--start"].get(name)) for name, url in pairs["--target"].items()]
    alone = sorted(set(pairs["--start"]) - set(pairs["--target"]))
    if alone:
        raise UsageError(f"--start {alone[0]}=...: say with --target {alone[0]}=URL where it listens")
    names = [contender.name for contender in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    unfit = [name for name in names if not _NAME.fullmatch(name) or name == "logs"]
    if twice or unfit:
        raise UsageError(
            f'version "{(twice or unfit)[0]}": {"named twice" if twice else "letters, digits, . _ - only"}'
        )
    if len(found) < 2:
        raise UsageError("a benchmark needs two versions: --versions a,b, or --target NAME=URL for each")
    return found


def _pairs(flag: str, texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise UsageError(f'{flag}: "{text}" is not NAME=...')
        found[name] = value
    return found
