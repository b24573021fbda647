"""A run as Markdown, for a pull request: verdict, story, thresholds, key figures.

The law of this file: text of strangers passes `escaped`; nothing of it can be a link, an image, a mention, HTML or the
end of a cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from loadtest.profile.redaction import safe
from loadtest.report import wording as w
from loadtest.report.story import story
from loadtest.report.summary_sections import key_figures, threshold_rows, verdict_words

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|<>~@&])")


def write_markdown(run: Mapping[str, Any], writer: TextIO) -> None:
    """Write the summary of one run.

    Args:
        run: run.json.
    """
    run = safe(run)
    word, sign, default = verdict_words(run)
    name = w.text(run, "profile", "name") or "run"
    writer.write(f"### {sign} {escaped(name)}: {escaped(word)}\n\n")
    writer.write(bullets(w.items(run, "reasons") or [default]))
    writer.write(f"\n{escaped(w.plain(story(run), 2000))}\n\n")
    rows = threshold_rows(run)
    if rows:
        writer.write(table(("Threshold", "Measured", "Outcome"), [[cell(text) for text in row] for row in rows]) + "\n")
    writer.write(table(("Figure", "Value", "Note"), [[cell(text) for text in row] for row in key_figures(run)]))
    tags = w.dig(run, "tags")
    if isinstance(tags, Mapping) and tags:
        told = ", ".join(f"{escaped(w.plain(key, 80))} = {escaped(w.plain(value, 80))}" for key, value in tags.items())
        writer.write(f"\nTags: {told}\n")
    writer.write(f"\n<sub>Run {escaped(w.plain(w.text(run, 'run_id'), 120))}</sub>\n")


def escaped(text: object) -> str:
    """Return text that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", w.plain(text, 2000)).replace("://", ":\u200b//")


def cell(text: object) -> str:
    """Return text for a cell of a table, never empty."""
    return escaped(text) or " "


def bullets(sentences: Iterable[object]) -> str:
    """Return sentences as a list."""
    return "".join(f"- {escaped(sentence)}\n" for sentence in sentences)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; its cells are Markdown already, its head is text."""
    lines = [[escaped(name) for name in head], ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
