"""Types of a profile's fields: strings with units in the file, plain numbers with the unit in the name in Python.

Each type parses by `loadtest.units`, writes itself back the same way, and tells editors the pattern it accepts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from loadtest import units
from loadtest.errors import UsageError


def _validator(parse: Callable[[object], Any]) -> BeforeValidator:
    def check(value: object) -> object:
        try:
            return parse(value)
        except UsageError as error:
            raise PydanticCustomError("quantity", "{text}", {"text": str(error)}) from error

    return BeforeValidator(check)


def _schema(pattern: str, examples: tuple[str, ...]) -> WithJsonSchema:
    text = {"type": "string", "pattern": pattern, "examples": list(examples)}
    return WithJsonSchema({"anyOf": [text, {"const": 0}]})


Seconds = Annotated[
    float,
    _validator(units.parse_duration),
    PlainSerializer(units.format_duration, return_type=str),
    _schema(units.DURATION_PATTERN, units.DURATION_EXAMPLES),
]
"""A duration in seconds, written "250ms", "20s", "1m30s", "2h"."""

PerSecond = Annotated[
    float,
    _validator(units.parse_rate),
    PlainSerializer(units.format_rate, return_type=str),
    _schema(units.RATE_PATTERN, units.RATE_EXAMPLES),
]
"""A rate in events per second, written "100/s", "2k/s", "30/min"."""

Bytes = Annotated[
    int,
    _validator(units.parse_size),
    PlainSerializer(units.format_size, return_type=str),
    _schema(units.SIZE_PATTERN, units.SIZE_EXAMPLES),
]
"""A size in bytes, written "64B", "64KiB", "2MB"."""

Share = Annotated[
    float,
    _validator(units.parse_share),
    PlainSerializer(units.format_share, return_type=str),
    _schema(units.SHARE_PATTERN, units.SHARE_EXAMPLES),
]
"""A fraction in 0..1, written "99.9%"."""

Percent = Annotated[
    float,
    _validator(units.parse_percent),
    PlainSerializer(units.format_share, return_type=str),
    _schema(units.SHARE_PATTERN, units.SHARE_EXAMPLES),
]
"""A fraction that may exceed 1, written "10%" or "250%"."""

Count = Annotated[
    int,
    _validator(units.parse_count),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": units.COUNT_PATTERN, "examples": list(units.COUNT_EXAMPLES)},
            ]
        }
    ),
]
"""A whole number, written 5000 or "5k"."""
