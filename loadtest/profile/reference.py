"""The keys of a profile as a table of Markdown, read from the schema, so that it cannot say anything else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from loadtest.profile.keys import keys_of, sections_in
from loadtest.profile.model import Profile
from loadtest.profile.section import Section
from loadtest.profile.wording import show


def markdown() -> str:
    """Return a heading and a table for each table of the file, in the file's order."""
    return "\n".join(_tables(Profile, "", "", "")).strip() + "\n"


def _tables(section: type[Section], path: str, heading: str, purpose: str) -> Iterator[str]:
    if heading:
        yield f"\n### {heading}\n\n{purpose}\n"
    yield "| key | default | meaning |\n|---|---|---|"
    inner: list[tuple[type[Section], str, str, str]] = []
    for key, field in keys_of(section).items():
        tables = list(sections_in(field.annotation))
        if not tables:
            yield f"| `{key}` | {_default(section, key, field)} | {_meaning(field)} |"
        below = f"{path}.{key}" if path else key
        for table in tables:
            array = "tuple[" in str(field.annotation)
            title = f"`[[{below}]]`" if array else f"`[{below}]`"
            if len(tables) > 1:
                kind = _kind(table)
                inner.append((table, below, f'{title} with `kind = "{kind}"`', (table.__doc__ or "").strip()))
            else:
                inner.append((table, below, title, field.description or ""))
    for each in inner:
        yield from _tables(*each)


def _meaning(field: FieldInfo) -> str:
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
    listed = f" One of {', '.join(f'`{choice}`' for choice in choices)}." if len(choices) > 1 else ""
    return f"{field.description}{listed}"


def _kind(table: type[Section]) -> str:
    return str(table.model_json_schema()["properties"]["kind"]["const"])


def _default(section: type[Section], key: str, field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if default is None or default is PydanticUndefined or default in ("", (), {}):
        return ""
    name = next(name for name, each in section.model_fields.items() if (each.alias or name) == key)
    dumped = section.model_construct(**{name: default}).model_dump(mode="json", by_alias=True, include={name})
    return f"`{show(dumped[key])}`"
