"""Messages as templates: a TOML value compiled once, filled in for every client.

    {"text": "{marker}{padding}"}  --Template-->  '{"text":"' + marker + padding + '"}'    constants encoded beforehand

Law: only string values are templates (keys are not). `{name}` stands for a variable as text; a string that is nothing
but `{name:int}` becomes a JSON number; `{{` and `}}` are braces. Any other brace is a TemplateError at compile time, a
missing variable one at fill-in time; both name the placeholder. What is filled in is escaped: it cannot leave its
string.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring as _quote
from typing import NamedTuple

from loadtest.errors import LocalProtocolError
from loadtest.protocol import jsontext

_SCAN = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_.-]*)(?::(int))?\}|[{}]|[^{}]+")


class TemplateError(LocalProtocolError):
    """A template cannot be compiled or filled in; the message names the placeholder."""

    reason = "template"


class _Slot(NamedTuple):
    """A place to fill in: `whole` when a number is to stand there rather than text."""

    name: str
    whole: bool


class Template:
    """A TOML value (table, array, string, number, boolean; also None) with its placeholders found."""

    __slots__ = ("_pieces", "_slots", "_value", "names")

    def __init__(self, value: object) -> None:
        """Compile.

        Raises:
            TemplateError: a brace that is no placeholder, `{x:int}` inside other text, a value JSON cannot hold.
        """
        try:
            self._value = _compile(value)
        except RecursionError:
            raise TemplateError("a message is nested too deeply, or in itself") from None
        pieces: list[str | _Slot] = []
        _flatten(self._value, pieces)
        self._pieces: list[str] = [""]
        self._slots: list[tuple[int, str, bool]] = []
        for piece in pieces:
            if isinstance(piece, str):
                self._pieces[-1] += piece
            else:
                self._slots.append((len(self._pieces), piece.name, piece.whole))
                self._pieces += ["", ""]
        self.names: frozenset[str] = frozenset(name for _, name, _ in self._slots)
        """The placeholders used."""

    def render(self, variables: Mapping[str, object]) -> object:
        """Return the value filled in, as Python objects.

        Raises:
            TemplateError: a variable is missing, or is not a number where one must be.
        """
        return _render(self._value, variables)

    def json(self, variables: Mapping[str, object]) -> bytes:
        """Return the value filled in, as compact JSON in UTF-8: equal to encoding `render`, only faster.

        Raises: as `render`; LocalProtocolError for text that UTF-8 cannot hold.

        Cost: about 0.3 us plus 0.2 us per placeholder.
        """
        pieces = self._pieces.copy()
        for at, name, whole in self._slots:
            try:
                value = variables[name]
            except KeyError:
                raise _missing(name, variables) from None
            pieces[at] = str(_number(name, value)) if whole else _quote(str(value))[1:-1]
        return jsontext.to_bytes("".join(pieces))


def _compile(value: object) -> object:
    """Replace every string by a tuple of its parts (text or slot); check the rest for JSON."""
    if isinstance(value, str):
        return _parts(value)
    if isinstance(value, Mapping):
        return {str(key): _compile(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_compile(item) for item in value]
    if value is not None and not isinstance(value, bool | int | float):
        raise TemplateError(f"a message cannot hold a {type(value).__name__}: write it as a string")
    try:
        jsontext.dump(value)
    except LocalProtocolError as error:
        raise TemplateError(f"a message cannot hold {value!r}: {error}") from None
    return value


def _parts(text: str) -> tuple[str | _Slot, ...]:
    parts: list[str | _Slot] = []
    for match in _SCAN.finditer(text):
        token, name = match[0], match[1]
        if name is not None:
            if match[2] and token != text:
                raise TemplateError(f"{token} must be the whole string to become a number, not a part of {text!r}")
            parts.append(_Slot(name, bool(match[2])))
        elif token in ("{", "}"):
            raise TemplateError(
                f"{text!r} has a {token!r} that belongs to no placeholder at {match.start()}: "
                "write {name}, {name:int}, or {{ and }} for braces"
            )
        else:
            parts.append(token[0] if token in ("{{", "}}") else token)
    return tuple(parts)


def _flatten(value: object, pieces: list[str | _Slot]) -> None:
    """Append the JSON text of a compiled value, piece by piece."""
    if isinstance(value, tuple):
        if len(value) == 1 and isinstance(value[0], _Slot) and value[0].whole:
            pieces.append(value[0])
            return
        pieces.append('"')
        pieces.extend(part if isinstance(part, _Slot) else _quote(part)[1:-1] for part in value)
        pieces.append('"')
    elif isinstance(value, dict):
        for number, (key, item) in enumerate(value.items()):
            pieces.append(("," if number else "{") + _quote(key) + ":")
            _flatten(item, pieces)
        pieces.append("}" if value else "{}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            pieces.append("," if number else "[")
            _flatten(item, pieces)
        pieces.append("]" if value else "[]")
    else:
        pieces.append(jsontext.dump(value))


def _render(value: object, variables: Mapping[str, object]) -> object:
    if isinstance(value, dict):
        return {key: _render(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [_render(item, variables) for item in value]
    if not isinstance(value, tuple):
        return value
    texts = []
    for part in value:
        if isinstance(part, str):
            texts.append(part)
        elif part.name not in variables:
            raise _missing(part.name, variables)
        elif part.whole:
            return _number(part.name, variables[part.name])
        else:
            texts.append(str(variables[part.name]))
    return "".join(texts)


def _number(name: str, value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise TemplateError(f"{{{name}:int}} needs a whole number, and {name} is {str(value)[:40]!r}") from None


def _missing(name: str, variables: Mapping[str, object]) -> TemplateError:
    return TemplateError(f"placeholder {{{name}}} has no value; known here: {', '.join(sorted(variables)) or 'none'}")
