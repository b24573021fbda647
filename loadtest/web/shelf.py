"""The runs of a folder, for the list from which two are picked to be compared.

    runs/<id>/run.json --> one entry        no run.json, another schema, no run at all --> an entry that says so

Laws: an id is looked up among the folder's own entries, never joined to a path as it came. A file is read again only
when it has changed. Nothing is dropped silently: what is not listed is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtest.results.folder import INTERVALS, MANIFEST, SUMMARY
from loadtest.results.plain import parse
from loadtest.results.schema import SCHEMA

MOST = 300
"""Entries listed, the newest first."""
MOST_BYTES = 8 << 20
"""A run.json larger than this is not one."""


class Shelf:
    """The run folders below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._read: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}

    def path(self, run_id: str) -> Path | None:
        """Return the folder of a run, or None."""
        return next((folder for folder in self._folders() if folder.name == run_id), None)

    def entries(self) -> dict[str, Any]:
        """Return {"runs": [...], "left_out": how many older ones are not listed}."""
        folders = self._folders()
        listed = folders[:MOST]
        self._read = {name: read for name, read in self._read.items() if name in {folder.name for folder in listed}}
        return {"runs": [self._entry(folder) for folder in listed], "left_out": len(folders) - len(listed)}

    def groups(self, ids: Sequence[str]) -> list[tuple[str, list[Path]]]:
        """Return the runs by profile and version, the oldest first; each by itself where all are of one.

        Raises:
            KeyError: there is no such run.
        """
        found: dict[tuple[str, str], list[Path]] = {}
        for run_id in sorted(set(ids)):
            folder = self.path(run_id)
            if folder is None:
                raise KeyError(run_id)
            entry = self._entry(folder)
            found.setdefault((str(entry.get("profile")), str(entry.get("version") or run_id)), []).append(folder)
        if len(found) == 1:
            return [(folder.name, [folder]) for folders in found.values() for folder in folders]
        one_profile = len({profile for profile, _ in found}) == 1
        return [
            (version if one_profile else f"{profile}-{version}", folders)
            for (profile, version), folders in found.items()
        ]

    def _folders(self) -> list[Path]:
        try:
            found = [each for each in self.root.iterdir() if each.is_dir() and not each.name.startswith(".")]
        except OSError:
            return []  # made by the first run
        return sorted(found, key=lambda each: each.name, reverse=True)

    def _entry(self, folder: Path) -> dict[str, Any]:
        path = folder / SUMMARY
        try:
            stat = path.stat()
        except OSError:
            return {"id": folder.name, **_unfinished(folder)}
        version = stat.st_mtime_ns, stat.st_size
        known = self._read.get(folder.name)
        if known is None or known[0] != version:
            known = self._read[folder.name] = version, _summarised(path, stat.st_size)
        return {"id": folder.name, **known[1]}


def _unfinished(folder: Path) -> dict[str, Any]:
    if not any((folder / name).is_file() for name in (MANIFEST, INTERVALS)):
        return {"problem": "not a run folder"}
    try:
        manifest = parse((folder / MANIFEST).read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        manifest = {}
    manifest = manifest if isinstance(manifest, dict) else {}
    return {**_facts(manifest), "verdict": "unfinished", "reasons": ["under way, or it did not end by itself"]}


def _summarised(path: Path, size: int) -> dict[str, Any]:
    if size > MOST_BYTES:
        return {"problem": f"{path.name} is too large to be one"}
    try:
        run = parse(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        return {"problem": f"{path.name} cannot be read"}
    if not isinstance(run, dict) or run.get("schema") != SCHEMA:
        schema = run.get("schema") if isinstance(run, dict) else None
        return {"problem": f"its schema is {str(schema)[:40]}, this version reads {SCHEMA}"}
    events = [event for event in run.get("events") or [] if isinstance(event, dict)]
    recovery = next((event.get("recovery") or {} for event in events), {})
    return {
        **_facts(run),
        "verdict": run.get("verdict"),
        "reasons": run.get("reasons") or [],
        "fanout_p99_ms": _dig(run, "fanout", "latency_ms", "p99"),
        "lost": _dig(run, "fanout", "lost"),
        "events": [str(event.get("name"))[:40] for event in events][:8],
        "t_sub_99_s": _dig(recovery, "t_sub_s", "99"),
        "t_rec_s": recovery.get("t_rec_s"),
    }


def _facts(run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "started_at": run.get("started_at"),
        "profile": _dig(run, "profile", "name"),
        "version": _dig(run, "target", "version"),
        "connections": _dig(run, "connections", "target"),
    }


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
