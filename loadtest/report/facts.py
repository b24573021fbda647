"""What of a run may leave the machine: the labels of every output that a pipeline reads, and run.json without secrets.

The law of this file: every URL, wherever it stands in a sentence, goes without user, password and query; a value under
a key that sounds like a secret is hidden. A writer of an output takes nothing from run.json but through here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from loadtest.profile.redaction import hidden, redact_url
from loadtest.report import wording as w

_LONGEST = 200
_URL = re.compile(r"\b(?:wss?|https?)://[^\s,;)\"'<>]+", re.IGNORECASE)


def facts(run: Mapping[str, Any]) -> dict[str, str]:
    """Return names and values: run_id, profile, version, url, harness, and each tag as `tag_<key>`; one line each."""
    known = {
        "run_id": w.text(run, "run_id"),
        "profile": w.text(run, "profile", "name"),
        "version": w.text(run, "target", "version"),
        "url": w.text(run, "target", "url"),
        "harness": w.text(run, "harness", "version"),
    }
    tags = w.dig(run, "tags")
    if isinstance(tags, Mapping):
        known |= {f"tag_{key}": hidden(str(key), str(value)) for key, value in tags.items()}
    return {w.plain(key, _LONGEST): w.plain(without_secrets(value), _LONGEST) for key, value in known.items() if value}


def safe_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return run.json as it may be handed on."""
    safe: dict[str, Any] = _walk(run, "")
    return safe


def without_secrets(text: str) -> str:
    """Return a text whose URLs have no user, password or query."""
    return _URL.sub(lambda match: redact_url(match[0]), text)


def _walk(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _walk(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [_walk(inner, key) for inner in value]
    return hidden(key, without_secrets(value)) if isinstance(value, str) else value
