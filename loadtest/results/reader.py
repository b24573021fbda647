"""Open the folder of a run, finished or crashed, and say what is missing instead of failing on it.

    run.json there     -> record.run is it
    run.json missing   -> record.summary is None, record.run is reconstructed from manifest, intervals and histograms,
                          verdict "interrupted"

The law of this file: only a folder that is no run at all, or of another schema, is an error. A cut-off line, an
unreadable curve, a missing manifest is a warning: a sentence in `warnings`, shown with the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtest.errors import ResultsError
from loadtest.results import folder
from loadtest.results.plain import parse
from loadtest.results.reconstruct import reconstruct
from loadtest.results.schema import SCHEMA


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run folder holds.

    Attributes:
        path: the folder.
        summary: run.json, or None when the run did not live to write it.
        run: run.json, or its reconstruction.
        intervals: interval lines by time. `marks`: lines with a mark (phases and faults) by time.
        curves: recovery curves by event. `manifest`: what was known at the start. `profile_text`: TOML as run.
        warnings: what could not be read, each a sentence.
    """

    path: Path
    summary: dict[str, Any] | None
    run: dict[str, Any]
    intervals: list[dict[str, Any]] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)
    curves: dict[str, Any] = field(default_factory=dict)
    manifest: dict[str, Any] = field(default_factory=dict)
    profile_text: str = ""
    warnings: tuple[str, ...] = ()


def open_run(path: Path | str) -> RunRecord:
    """Read the run folder `path`, or the folder of the run.json `path`.

    Raises:
        ResultsError: no such folder, nothing of a run in it, it may not be read, or it is of another schema.
    """
    base = Path(path)
    if base.is_file() and base.name == folder.SUMMARY:
        base = base.parent
    if not base.is_dir():
        raise ResultsError(f"{base}: no such run folder; name a folder below runs/")
    names = (folder.SUMMARY, folder.MANIFEST, folder.INTERVALS)
    if not any((base / name).is_file() for name in names):
        raise ResultsError(f"{base}: not a run folder, none of {', '.join(names)} is in it")
    warnings: list[str] = []
    summary = _object(base / folder.SUMMARY, warnings, "the run did not end by itself; its summary is reconstructed")
    if summary is not None and summary.get("schema") != SCHEMA:
        raise ResultsError(f"{base / folder.SUMMARY}: schema {summary.get('schema')!r}, this version reads {SCHEMA!r}")
    head, intervals, marks = _log(base / folder.INTERVALS, warnings)
    manifest = _object(base / folder.MANIFEST, warnings, "what was known at the start is unknown") or {}
    curves = (
        _object(base / folder.CURVES, warnings if summary is not None else [], "there are no recovery curves") or {}
    )
    profile_text = _text(base / folder.PROFILE, warnings, "the profile as run is unknown") or ""
    run = summary
    if run is None:
        run = reconstruct(base, {**head, **manifest}, intervals, marks)
    return RunRecord(
        base,
        summary,
        run,
        intervals,
        marks,
        curves,
        manifest,
        profile_text,
        tuple(warnings),
    )


def _log(path: Path, warnings: list[str]) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the header, the intervals and the marks of an interval log."""
    text = _text(path, warnings, "there is no course over time") or ""
    head: dict[str, Any] = {}
    intervals: list[dict[str, Any]] = []
    marks: list[dict[str, Any]] = []
    bad = 0
    lines = text.split("\n")
    cut_off = lines.pop()
    for raw in lines:
        line = _parsed(raw)
        if line is None:
            bad += bool(raw.strip())
        elif "schema" in line:
            head = line
        elif not _is_time(line.get("t_s")):
            bad += 1
        else:
            (marks if "mark" in line else intervals).append(line)
    if cut_off:
        warnings.append(f"{path.name}: the last line is cut off, the writer ended while writing it; it is left out.")
    if bad:
        warnings.append(f"{path.name}: {bad} {'line' if bad == 1 else 'lines'} could not be read and were left out.")
    for listed in (intervals, marks):
        listed.sort(key=lambda line: float(line["t_s"]))
    return head, intervals, marks


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _parsed(raw: str) -> dict[str, Any] | None:
    try:
        line = parse(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None


def _object(path: Path, warnings: list[str], consequence: str) -> dict[str, Any] | None:
    text = _text(path, warnings, consequence)
    if text is None:
        return None
    found = _parsed(text)
    if found is None:
        warnings.append(f"{path.name} is not a JSON object: {consequence}.")
    return found


def _text(path: Path, warnings: list[str], consequence: str) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        warnings.append(f"{path.name} is missing: {consequence}.")
        return None
    except OSError as error:
        raise ResultsError(f"cannot read {path}: {error.strerror or error}") from error
