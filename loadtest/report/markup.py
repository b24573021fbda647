"""Build HTML so that escaping is the default: text is text unless it was made by `el` itself.

A child or an attribute that is not an `Html` is escaped; JSON for a script element can hold neither a closing tag nor
the start of a comment.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

from loadtest.results.plain import plain


class Html(str):
    """Text that is markup already; only this room's functions make it."""

    __slots__ = ()


_VOID = frozenset({"br", "wbr", "hr", "meta", "col", "path", "circle", "rect"})


def escape(value: object) -> Html:
    """Return `value` as markup: itself when it is `Html`, else its text, escaped for content and quoted attributes."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True))


def el(name: str, /, *children: object, **attributes: object) -> Html:
    """Return one element; `class_` and `for_` lose their underscore, other underscores become hyphens.

    Args:
        name: element name, never text of a stranger.
        children: `Html`, text (escaped), or None (left out).
        attributes: a value of None or False leaves the attribute out, True writes it without a value.
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[object], between: str = "") -> Html:
    """Join parts into one piece of markup, leaving out None."""
    return Html(between.join(escape(part) for part in parts if part is not None))


def table(head: Iterable[object], rows: Iterable[Iterable[object]], caption: str, class_: str | None = None) -> Html:
    """Return a table whose first column holds row headers, wrapped so that a phone scrolls it and not the page.

    Args:
        head: cells of the head; rows: rows of cells.
        caption: what the table holds; the style sheet may hide it from sight under a heading that says the same.
        class_: class of the table.
    """
    heads = [el("th", cell, scope="col") for cell in head]
    body = []
    for row in rows:
        first, *rest = list(row)
        body.append(el("tr", el("th", first, scope="row"), *(el("td", cell) for cell in rest)))
    inner = el("table", el("caption", caption), el("thead", el("tr", *heads)), el("tbody", *body), class_=class_)
    return el("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def script_json(value: Any) -> Html:
    """Return `value` as JSON that is safe inside a script element, whatever its strings hold."""
    written = json.dumps(plain(value), allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return Html(written)
