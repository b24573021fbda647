"""The labels of every output that a pipeline reads.

The law of this file: none of them holds a secret, whoever wrote run.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtest.profile.redaction import hidden, safe_text
from loadtest.report import wording as w

_LONGEST = 200


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
    return {w.plain(key, _LONGEST): w.plain(safe_text(value), _LONGEST) for key, value in known.items() if value}
