"""Rules of `[client]` and of every template: what a client may say in its dialect, and which variables exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from loadtest.errors import UsageError
from loadtest.profile.keys import dotted
from loadtest.profile.model import Profile
from loadtest.profile.placeholders import BUILT_IN, CHANNEL, MESSAGE, VARIABLE_NAME, scan
from loadtest.profile.rules.objection import Objection, Rule
from loadtest.profile.section import texts
from loadtest.profile.user_table import RESERVED
from loadtest.profile.wording import show

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HANDSHAKE = {
    "host",
    "upgrade",
    "connection",
    "content-length",
    "transfer-encoding",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-extensions",
    "sec-websocket-accept",
}


def client_speaks_its_dialect(profile: Profile) -> Iterator[Objection]:
    """namespace and auth are Socket.IO's; hello is plain WebSocket's."""
    client, dialect = profile.client, profile.target.dialect
    only = {"socketio": ("hello",), "websocket": ("namespace", "auth")}[dialect]
    for key in only:
        if client.departs(key):
            other = "websocket" if dialect == "socketio" else "socketio"
            yield Objection((f"client.{key}", "target.dialect"), f'allowed only with target.dialect = "{other}"')


def headers_are_headers(profile: Profile) -> Iterator[Objection]:
    """Header names are tokens, values stay on their line, and the handshake's own headers are left alone."""
    http = profile.publish.http
    tables = [("client.headers", profile.client.headers), ("publish.http.headers", http.headers if http else {})]
    tables += [
        (f"faults.{n}.http.headers", fault.http.headers)
        for n, fault in enumerate(profile.faults)
        if fault.kind == "http"
    ]
    for table, headers in tables:
        for name, value in headers.items():
            if _HEADER_NAME.fullmatch(name) is None:
                yield Objection((f"{table}.{name}",), "allowed in a header's name: letters, digits and -")
            elif name.lower() in _HANDSHAKE:
                yield Objection((f"{table}.{name}",), "is set by the handshake itself; leave it out")
            if any(char in value for char in "\r\n\0"):
                yield Objection((f"{table}.{name}",), f"found {show(value)}, allowed: a single line of text")


def users_can_be_read(profile: Profile) -> Iterator[Objection]:
    """The CSV is there, has columns and rows."""
    try:
        _ = profile.users
    except UsageError as error:
        yield Objection(("client.csv",), str(error))


def variables_are_new(profile: Profile) -> Iterator[Objection]:
    """A variable has a name that a placeholder can hold and that nothing else has."""
    columns = _columns(profile)
    for name in profile.client.variables:
        key = f"client.variables.{name}"
        if VARIABLE_NAME.fullmatch(name) is None:
            yield Objection((key,), "allowed in a variable's name: letters, digits, _, . and -, a letter or _ first")
        elif name in RESERVED:
            yield Objection((key,), f"is a built-in; allowed: any name but {', '.join(sorted(RESERVED))}")
        elif name in columns:
            yield Objection((key, "client.csv"), f"is a column of {show(profile.client.csv)} too; rename one of them")


def placeholders_are_known(profile: Profile) -> Iterator[Objection]:
    """Every {name} in a template has a value where it is used, and every brace is part of one."""
    client, bootstrap, subscribe = profile.client, profile.target.bootstrap, profile.subscribe
    columns = _columns(profile)
    given = (*BUILT_IN, *columns)
    known = (*given, *client.variables)
    per_channel = (*known, *CHANNEL)
    per_message = (*per_channel, *MESSAGE)
    lines: list[tuple[str, Any, tuple[str, ...]]] = [
        ("client.headers", client.headers, known),
        ("client.query", client.query, known),
    ]
    lines.append(("client.variables", client.variables, given))
    lines.append(("target.bootstrap.url", bootstrap.url if bootstrap else None, known))
    values: list[tuple[str, Any, tuple[str, ...]]] = [
        ("client.auth", client.auth, known),
        ("client.hello", client.hello, known),
    ]
    if subscribe is not None:
        values += [(f"subscribe.{key}", getattr(subscribe, key), per_channel) for key in ("event", "args", "message")]
    publish = profile.publish
    values += [(f"publish.{key}", getattr(publish, key), per_message) for key in ("event", "args", "message")]
    if publish.http is not None:
        lines.append(("publish.http.url", publish.http.url, per_message))
        lines.append(("publish.http.headers", publish.http.headers, per_message))
        values.append(("publish.http.body", publish.http.body, per_message))
    for (key, value, names), in_json in [(line, False) for line in lines] + [(each, True) for each in values]:
        for path, text in texts(value):
            where = dotted((key, path)) if path else key
            for wrong in _wrong_in(text, names, in_json):
                yield Objection((where, "client.variables", "client.csv"), wrong)


def _wrong_in(text: str, names: tuple[str, ...], in_json: bool) -> Iterator[str]:
    found = scan(text)
    if found.stray is not None:
        yield f"found {show(found.stray)} with a brace of no placeholder; write {{{{ and }}}} for plain braces"
    if found.number is not None and (not in_json or found.number != text):
        yield f"found {show(found.number)}, allowed only as the whole of a string inside a message"
    for name in dict.fromkeys(found.names):
        if name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f"did you mean {{{close[0]}}}? " if close else ""
            yield f"found {{{name}}}, which has no value here; {hint}allowed: {', '.join(f'{{{n}}}' for n in names)}"


def _columns(profile: Profile) -> tuple[str, ...]:
    try:
        return profile.users.columns if profile.users is not None else ()
    except UsageError:
        return ()  # said by users_can_be_read


RULES: tuple[Rule, ...] = (
    client_speaks_its_dialect,
    headers_are_headers,
    users_can_be_read,
    variables_are_new,
    placeholders_are_known,
)
