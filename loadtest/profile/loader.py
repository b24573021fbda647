"""Find, read and check a profile; either a Profile comes out, or one ProfileError with everything that is wrong.

    TOML -> data -> --set, --target -> schema --ok--> rules over several keys --ok--> Profile
                                         |                ^
                                         `--errors: mend--'   so that the rules speak in the same breath

Mending replaces only what is wrong by defaults, and a rule that looks at a mended key stays silent.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from loadtest.errors import ProfileError, UsageError
from loadtest.profile import keys, rules, wording
from loadtest.profile.model import Profile
from loadtest.profile.overrides import aim_at, apply_overrides
from loadtest.profile.shelf import find_profile

CheckThreshold = Callable[[str], str | None]
"""Return what is wrong with a threshold, or None."""

_MAX_MENDS = 8


def load_profile(
    path_or_name: str | Path,
    overrides: Sequence[str] = (),
    target_url: str | None = None,
    check_threshold: CheckThreshold | None = None,
) -> Profile:
    """Return the profile of a file, or of a name such as "smoke" (looked up in ./profiles, then in those shipped).

    Args:
        path_or_name: a path (ends in .toml or has a /), or a name.
        overrides: "dotted.key=value", as after --set.
        target_url: run against this gateway instead of the profile's target.
        check_threshold: the grammar of thresholds, which lives elsewhere; None: thresholds are not checked.

    Raises:
        ProfileError: everything that is wrong with the file and the overrides, at once.
        UsageError: no such profile, or it cannot be read.
    """
    path = find_profile(str(path_or_name))
    return parse_profile(
        _read(path),
        str(path),
        path.parent,
        overrides=overrides,
        target_url=target_url,
        check_threshold=check_threshold,
        default_name=path.stem,
    )


def load_as_run(path: Path) -> Profile:
    """Return a profile that was checked before, such as a run's own copy: schema only, no rules over several keys.

    Such a copy may hold what a person may not write: the reference stack together with the URLs it came up with.
    """
    data = _toml(_read(path), str(path))
    try:
        return Profile.model_validate(data).placed_in(path.parent)
    except ValidationError as error:
        faults = [wording.say(each, _place(each, data), data) for each in error.errors()]
        raise ProfileError(str(path), faults) from error


def parse_profile(
    text: str,
    source: str,
    folder: Path,
    *,
    overrides: Sequence[str] = (),
    target_url: str | None = None,
    check_threshold: CheckThreshold | None = None,
    default_name: str = "profile",
) -> Profile:
    """Return the profile of a TOML text; `source` names it in errors, files it names are looked up in `folder`.

    Raises:
        ProfileError: everything that is wrong, at once.
    """
    data = _toml(text, source)
    faults = apply_overrides(data, overrides)
    if target_url is not None:
        aim_at(data, target_url, overrides)
    data.setdefault("name", re.sub(r"[^A-Za-z0-9._-]+", "-", default_name).strip("._-")[:64] or "profile")
    profile, schema_faults, mended = _validate(data)
    faults += schema_faults
    if profile is not None:
        profile = profile.placed_in(folder)
        faults += rules.objections(profile, mended, check_threshold)
    if faults or profile is None:
        raise ProfileError(source, list(dict.fromkeys(faults)))
    return profile


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read the profile {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ProfileError(str(path), [f"not UTF-8 text (byte {error.start}); a profile is a TOML file"]) from error


def _toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(source, [f"not TOML: {error}"]) from error
    except RecursionError as error:
        raise ProfileError(source, ["not TOML that can be read: nested too deeply"]) from error


def _validate(data: dict[str, Any]) -> tuple[Profile | None, list[str], set[str]]:
    """Return the profile (mended if need be), the sentences for what the schema refuses, and the mended keys."""
    sentences: list[str] = []
    mended: set[str] = set()
    work = copy.deepcopy(data)
    for attempt in range(_MAX_MENDS):
        try:
            return Profile.model_validate(work), sentences, mended
        except ValidationError as error:
            errors = error.errors()
        # All places first: mending one error may take away what another one stood in.
        for each, path in [(each, _place(each, work)) for each in errors]:
            if attempt == 0:
                sentences.append(wording.say(each, path, data))
            mended.add(_mend(work, path, each["type"]))
    return None, sentences, mended


def _place(error: ErrorDetails, data: Any) -> keys.Path:
    """Return where in the file an error is: pydantic's location without its own marks (tags of unions)."""
    path: list[str | int] = []
    loc = list(error["loc"])
    if loc[:1] == ["faults"] and len(loc) > 2:
        del loc[2]
    for number, part in enumerate(loc):
        within = (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if within:
            data = data[part]
            path.append(part)
        elif number == len(loc) - 1 and error["type"] == "missing":
            path.append(part)
    return tuple(path)


def _mend(data: dict[str, Any], path: keys.Path, kind: str) -> str:
    """Make one wrong key acceptable (if it is still there); return the key that can no longer be trusted."""
    if path[:1] == ("faults",) and (len(path) == 2 or path[2:] == ("kind",)):
        data["faults"][path[1]] = {"kind": "drop", "name": f"mended-{path[1]}"}
        return keys.dotted(path[:2])
    *above, last = path
    if isinstance(last, int) and keys.section_at(path, data) is None:
        array = wording.at(above, data)
        if isinstance(array, list):
            array[last] = ""
        return keys.dotted(path)
    while isinstance(last, int):
        last = above.pop()
    here = wording.at(above, data)
    section = keys.section_at(tuple(above), data)
    if isinstance(here, dict) and kind == "missing" and section is not None:
        here[last] = copy.deepcopy((keys.keys_of(section)[last].examples or [None])[0])
    elif isinstance(here, dict):
        here.pop(last, None)
    return keys.dotted((*above, last))
