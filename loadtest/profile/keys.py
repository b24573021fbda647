"""The keys of the schema: which table has which, and what a mistyped one may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, get_args

from loadtest.profile.model import Profile
from loadtest.profile.section import Section

Path = tuple[str | int, ...]


def dotted(path: Sequence[str | int]) -> str:
    """Return the path the way people write it: "population.channels.0.count"."""
    return ".".join(map(str, path))


def keys_of(section: type[Section]) -> dict[str, Any]:
    """Return the keys of a table as the file spells them, each with its field."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def sections_in(annotation: Any) -> Iterator[type[Section]]:
    """Yield the tables that a field's type may hold, through arrays, unions and Optional."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for inner in get_args(annotation):
        yield from sections_in(inner)


def section_at(path: Path, data: Any) -> type[Section] | None:
    """Return the class of the table at `path`, told apart by `kind` where several are possible; None if free-form."""
    options: list[type[Section]] = [Profile]
    for part in path:
        if isinstance(part, int):
            data = data[part] if isinstance(data, list) and part < len(data) else None
            continue
        section = _pick(options, data)
        field = keys_of(section).get(part) if section else None
        options = list(sections_in(field.annotation)) if field else []
        data = data.get(part) if isinstance(data, dict) else None
    return _pick(options, data)


def _pick(options: Sequence[type[Section]], table: Any) -> type[Section] | None:
    if len(options) < 2:
        return options[0] if options else None
    kind = table.get("kind") if isinstance(table, dict) else None
    return next((each for each in options if kind in get_args(each.model_fields["kind"].annotation)), None)


@cache
def homes() -> dict[str, tuple[str, ...]]:
    """Return, for every key, the tables that have it: {"rate": ("ramp", "publish")}."""
    found: dict[str, list[str]] = {}

    def visit(section: type[Section], where: str) -> None:
        for key, field in keys_of(section).items():
            tables = found.setdefault(key, [])
            if where not in tables:
                tables.append(where)
            for inner in sections_in(field.annotation):
                visit(inner, f"{where}.{key}" if where else key)

    visit(Profile, "")
    return {key: tuple(tables) for key, tables in found.items()}


def meant(key: str, allowed: Sequence[str]) -> str:
    """Return "did you mean ...? " for a mistyped key, or where the key belongs, or nothing."""
    close = difflib.get_close_matches(key, allowed, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{close[0]}"? '
    tables = [f"[{table}]" if table else "the top, before the first table" for table in homes().get(key, ())]
    if tables:
        return f"it belongs in {' or '.join(tables)}; "
    close = difflib.get_close_matches(key, list(homes()), n=1, cutoff=0.8)
    if close:
        where = homes()[close[0]][0]
        return f'did you mean "{where}.{close[0]}"? ' if where else f'did you mean "{close[0]}" at the top? '
    return ""
