"""Placeholders in rules: "{field}" in strings, anywhere inside tables and lists.

Law: a template is parsed when the rule is loaded, so a request can fail for a missing value and for nothing else.
A string that is exactly one placeholder yields the value itself, type included; `{{` and `}}` are literal braces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any, Final

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")


class MissingValueError(KeyError):
    """A placeholder has no value; `name` is the placeholder."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Template:
    """A string with placeholders, parsed once."""

    def __init__(self, text: str) -> None:
        """Parse `text`.

        Raises:
            ValueError: unbalanced braces, or a placeholder that is not a plain dotted name.
        """
        self._pieces: list[tuple[str, str | None]] = []
        for literal, name, form, conversion in Formatter().parse(text):
            if name is not None and (form or conversion or not _NAME.fullmatch(name)):
                raise ValueError(f"{{{name}}} is not a placeholder: use a plain name, or {{{{ for a brace")
            self._pieces.append((literal, name))
        self.names = tuple(name for _, name in self._pieces if name is not None)
        self._whole = self.names[0] if len(self._pieces) == 1 and self._pieces[0][0] == "" and self.names else None

    def fill(self, values: Mapping[str, Any]) -> Any:
        """Return the text with values in place, or the value itself when the text is one placeholder.

        Raises:
            MissingValueError: a placeholder has no value.
        """
        if self._whole is not None:
            return look_up(values, self._whole)
        return self.fill_text(values, str)

    def fill_text(self, values: Mapping[str, Any], encode: Callable[[str], str]) -> str:
        """Return the text with `encode`d values in place.

        Raises:
            MissingValueError: a placeholder has no value.
        """
        parts: list[str] = []
        for literal, name in self._pieces:
            parts.append(literal)
            if name is not None:
                value = look_up(values, name)
                parts.append(encode("" if value is None else str(value)))
        return "".join(parts)


def look_up(values: Mapping[str, Any], path: str) -> Any:
    """Return the value at the dotted `path` of nested tables.

    Raises:
        MissingValueError: there is none.
    """
    value: Any = values
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise MissingValueError(path)
        value = value[key]
    return value


def compile_value(value: Any) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that fills every template inside `value` (a TOML value).

    Raises:
        ValueError: a string inside is not a valid template.
    """
    if isinstance(value, str):
        return Template(value).fill
    if isinstance(value, dict):
        fields = {key: compile_value(inner) for key, inner in value.items()}
        return lambda values: {key: fill(values) for key, fill in fields.items()}
    if isinstance(value, list):
        items = [compile_value(inner) for inner in value]
        return lambda values: [fill(values) for fill in items]
    return lambda _values: value
