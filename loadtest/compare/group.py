"""A group: the runs of one version, read from a run folder or a folder of run folders.

    path/run.json              one run
    path/<run>/run.json ...    its runs, by name, that is by time; other things in it are passed by

The law of this file: a run is in the group's statistics, or a sentence says why it is not. Left out are runs that did
not end by themselves, that nobody answered, or that measured the harness (`invalid`), and what cannot be read. A failed
threshold is a result, not a reason. A path named by hand that is no run at all is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.errors import ResultsError
from loadtest.results import folder
from loadtest.results.reader import RunRecord, open_run


@dataclass(frozen=True, slots=True)
class Group:
    """Runs of one version.

    Attributes:
        name: what tables call it.
        runs: the runs its statistics are of, by time.
        left_out: a sentence for each run that is not among them, and for each that could be read in part only.
    """

    name: str
    runs: tuple[RunRecord, ...]
    left_out: tuple[str, ...] = ()


def is_run(path: Path) -> bool:
    """Return whether `path` is the folder of a run."""
    return any((path / name).is_file() for name in (folder.SUMMARY, folder.MANIFEST, folder.INTERVALS))


def gather(paths: Sequence[Path], name: str | None = None, *, keep_invalid: bool = False) -> Group:
    """Read the runs of one version from its paths.

    Args:
        name: of the group; None: the version its runs agree on, or the first folder's name.
        keep_invalid: keep the runs whose verdict is `invalid`.

    Raises:
        ResultsError: a path is no folder, holds no run, or is itself a run that cannot be read.
    """
    runs: list[RunRecord] = []
    left_out: list[str] = []
    for path in paths:
        for found in _run_folders(path):
            try:
                record = open_run(found)
            except ResultsError as error:
                if found == path:
                    raise
                left_out.append(f"{found.name} is left out: {error}.")
                continue
            why = _unusable(record, keep_invalid=keep_invalid)
            if why is not None:
                left_out.append(f"{run_id(record)} is left out: {why}.")
                continue
            runs.append(record)
            left_out += [f"{run_id(record)}: {warning}" for warning in record.warnings]
    runs.sort(key=lambda record: str(record.run.get("started_at")))
    return Group(name or _named(runs, paths[0]), tuple(runs), tuple(left_out))


def distinct(groups: Sequence[Group]) -> list[Group]:
    """Return the groups with names that differ, numbering those that are alike."""
    names = [group.name for group in groups]
    return [
        group
        if names.count(group.name) == 1
        else Group(f"{group.name} ({names[: at + 1].count(group.name)})", group.runs, group.left_out)
        for at, group in enumerate(groups)
    ]


def run_id(record: RunRecord) -> str:
    """Return what a run is called: its id, or its folder."""
    return str(record.run.get("run_id") or record.path.name)


def section(run: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return an object of run.json, empty where there is none."""
    found = run.get(key)
    return found if isinstance(found, Mapping) else {}


def _run_folders(path: Path) -> list[Path]:
    if is_run(path) or path.is_file():
        return [path]
    if not path.is_dir():
        raise ResultsError(f"{path}: no such run folder; name a folder below runs/")
    found = sorted(child for child in path.iterdir() if child.is_dir() and is_run(child))
    if not found:
        raise ResultsError(f"{path}: neither a run folder nor a folder of run folders")
    return found


def _unusable(record: RunRecord, *, keep_invalid: bool) -> str | None:
    verdict = record.run.get("verdict")
    if record.summary is None:
        return "it has no summary, it did not end by itself"
    if verdict == "interrupted":
        return "it was interrupted"
    if record.run.get("unreachable"):
        return "nobody answered"
    if verdict == "invalid" and not keep_invalid:
        reasons = record.run.get("reasons")
        first = str(reasons[0]).rstrip(".") if isinstance(reasons, list) and reasons else "the harness was the limit"
        return f"it is invalid ({first})"
    return None


def _named(runs: Sequence[RunRecord], path: Path) -> str:
    versions = {section(record.run, "target").get("version") for record in runs}
    only = versions.pop() if len(versions) == 1 else None
    return str(only or path.resolve().name)
