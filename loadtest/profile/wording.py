"""Say in one sentence what is wrong with a key: the key, what was found, what is allowed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date, time
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from loadtest import units
from loadtest.errors import UsageError
from loadtest.profile.faults import KINDS
from loadtest.profile.keys import Path, dotted, keys_of, meant, section_at

_SHOWN = 80

_TYPES = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "model_type": "a table of keys",
    "model_attributes_type": "a table of keys",
    "dict_type": "a table of keys",
    "tuple_type": "an array",
    "list_type": "an array",
    "string_too_short": "text that is not empty",
    "finite_number": "a finite number",
    "invalid-json-value": "text, a number, true, false, an array or a table",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_UNITS: tuple[tuple[Callable[[object], float], Callable[[Any], str]], ...] = (
    (units.parse_duration, units.format_duration),
    (units.parse_rate, units.format_rate),
    (units.parse_share, units.format_share),
    (units.parse_size, units.format_size),
)


def show(value: object) -> str:
    """Return a value the way the file writes it, cut short when long."""
    if isinstance(value, (date, time)):
        return f"the date or time {value}"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def show_time(seconds: float) -> str:
    """Return a duration the way the file writes it, to the millisecond."""
    return f'"{units.format_duration(round(seconds, 3))}"'


def say(error: ErrorDetails, path: Path, data: Any) -> str:
    """Return the sentence for one error of the schema.

    Args:
        error: as pydantic reports it.
        path: where it is in the file (for a missing key: where it should be).
        data: the whole file's data.
    """
    shown = (*path, "kind") if error["type"].startswith("union_tag_") else path
    return f"{dotted(shown) or 'the file'}: {_reason(error, path, data)}"


def _reason(error: ErrorDetails, path: Path, data: Any) -> str:
    kind = error["type"]
    if kind in ("extra_forbidden", "missing"):
        section = section_at(path[:-1], data)
        keys = keys_of(section) if section else {}
        if kind == "extra_forbidden":
            return f"unknown key; {meant(str(path[-1]), list(keys))}allowed here: {', '.join(keys)}"
        field = keys.get(str(path[-1]))
        return f"required, and missing; allowed: {_example(field)}"
    found = at(path, data)
    if kind == "quantity":
        return str(error["ctx"]["text"]).replace("expected", "allowed:", 1)
    if kind in ("literal_error", "union_tag_invalid"):
        shown = found.get("kind") if kind == "union_tag_invalid" and isinstance(found, dict) else found
        expected = str(error["ctx"]["expected" if kind == "literal_error" else "expected_tags"])
        return f"found {show(shown)}, allowed: {expected.replace(chr(39), chr(34))}"
    if kind == "union_tag_not_found":
        return f"required, and missing; allowed: {', '.join(map(show, KINDS))}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"found {show(found)}, allowed: {words} {_with_unit(error['ctx'][name], found)}"
    if kind == "string_pattern_mismatch":
        return f"found {show(found)}, allowed: text that matches {error['ctx']['pattern']}"
    if kind in _TYPES:
        return f"found {show(found)}, allowed: {_TYPES[kind]}"
    return f"found {show(found)}, {error['msg'][0].lower()}{error['msg'][1:]}"


def _example(field: FieldInfo | None) -> str:
    if field is None or not field.examples:
        return "a value"
    described = (field.description or "").rstrip(".")
    return f"{show(field.examples[0])}, for instance ({described[:1].lower()}{described[1:]})"


def _with_unit(bound: float, found: object) -> str:
    """Write a bound in the unit that the found text used."""
    for parse, write in _UNITS:
        try:
            parse(found if isinstance(found, str) else None)
        except UsageError:
            continue
        return write(bound)
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def at(path: Sequence[str | int], data: Any) -> Any:
    """Return what the file has at a path; None when there is nothing."""
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data
