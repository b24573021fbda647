"""What every table of a profile has in common: closed, immutable, strict, and every key described.

A key of the file is the field's alias; the attribute carries the unit (`duration` in the file, `duration_s` here).
Arrays are tuples, so that a profile can be shared by everything that runs without anybody changing it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

T = TypeVar("T")

Several = Annotated[tuple[T, ...], Field(strict=False)]
"""An array of the file; the items stay strict."""

Value = JsonValue
"""Any TOML value that JSON can carry: its strings are templates, everything else is sent as it stands."""


class Section(BaseModel):
    """Base of all tables of a profile: unknown keys are errors, values are never coerced, nothing changes later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    def departs(self, name: str) -> bool:
        """Whether a field has another value than its default: a default, written out or not, never disturbs."""
        return bool(getattr(self, name) != type(self).model_fields[name].get_default(call_default_factory=True))


class HttpRequest(Section):
    """An HTTP call: a hook that causes a fault, or the way a message is published."""

    method: str = Field(default="POST", pattern=r"^[A-Z]{1,16}$", description="HTTP method.")
    url: str = Field(description="http:// or https:// address.", examples=["http://127.0.0.1:8080/hook"])
    headers: dict[str, str] = Field(default_factory=dict, description="Headers to send.")
    body: Value | None = Field(default=None, description="Body: any value, sent as JSON; a string is sent as it is.")


def texts(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted path, string) for every string inside a value of the file; keys of tables are not templates."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from texts(inner, f"{path}.{number}" if path else str(number))
