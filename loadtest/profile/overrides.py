"""`--set dotted.key=value` and `--target URL`, applied to the data of a file before it is validated.

--set population.channels.0.count=10      tables by name, arrays by index; index = length appends
--set target.version=sync                 the value is read as TOML, and as text when it is none
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from typing import Any

from loadtest.errors import UsageError


def apply_overrides(data: dict[str, Any], overrides: Iterable[str]) -> list[str]:
    """Change `data` in place; return a sentence for every override that cannot be applied."""
    faults = []
    for override in overrides:
        try:
            _apply(data, override)
        except UsageError as error:
            faults.append(f"--set {override}: {error}")
    return faults


def _apply(data: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    parts = dotted.strip().split(".")
    if not equals or not all(parts):
        raise UsageError("expected dotted.key=value, such as population.connections=200")
    here: Any = data
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if isinstance(here, dict):
            if last:
                here[part] = parse_value(text)
            else:
                here = here.setdefault(part, [] if parts[number + 1].isdigit() else {})
        elif isinstance(here, list):
            here = _into_array(here, part, ".".join(parts[:number]), parse_value(text) if last else {}, replace=last)
        else:
            raise UsageError(f"{'.'.join(parts[:number])} is a single value; it has no key {part}")


def _into_array(array: list[Any], part: str, where: str, value: Any, replace: bool) -> Any:
    """Return the item of an array after putting `value` there if asked to, or if the index is one past the end."""
    index = int(part) if part.isdigit() and len(part) < 9 else len(array) + 1
    if index > len(array):
        raise UsageError(f"{where} is an array of {len(array)}; allowed after it: 0 to {len(array)}")
    if index == len(array):
        array.append(value)
    elif replace:
        array[index] = value
    return array[index]


def parse_value(text: str) -> Any:
    """Return the TOML value of a text, or the text itself when it is none ("20s", "sync")."""
    try:
        parsed = tomllib.loads(f"value = {text.strip()}")
    except tomllib.TOMLDecodeError:
        return text.strip()
    return parsed["value"] if parsed.keys() == {"value"} else text.strip()


def aim_at(data: dict[str, Any], url: str, overrides: Iterable[str]) -> None:
    """Point the data of a profile at one gateway: no stack to start, no bootstrap to ask.

    The version label is kept only when an override gave it: the file's belongs to the file's target.
    """
    target = data.get("target")
    target = target if isinstance(target, dict) else {}
    of_stack = ("stack", "nodes", "tables", "bootstrap", "version", "ping_interval", "ping_timeout", "admit")
    kept = {key: value for key, value in target.items() if key not in of_stack}
    if any(override.partition("=")[0].strip() == "target.version" for override in overrides):
        kept["version"] = target.get("version")
    data["target"] = {**kept, "url": url}
