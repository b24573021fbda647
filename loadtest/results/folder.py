"""Write the folder of one run, so that whatever happens later, what ran can be read.

    runs/20260117T101112-deploy-storm-9f3a/
      manifest.json     what was known at the start              profile.toml   the profile as run
      intervals.jsonl   one line per second, and marks           histograms.hlog   HdrHistogram's log format
      curves.json       recovery curves by event                 run.json       the summary, once, atomically
      report.html       (written by loadtest.report)             logs/          of every process

The law of this file: logs are only appended to, each line handed to the kernel before the call returns (a crash of the
process loses nothing, a crash of the machine the last seconds); whole files appear at once or not at all; an error of
the disk is a ResultsError that names the file and the remedy, never swallowed.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

from loadtest.errors import ResultsError
from loadtest.metrics.tally import Tally
from loadtest.results.histogram_log import header, interval_line
from loadtest.results.plain import to_document, to_line
from loadtest.results.schema import INTERVALS_SCHEMA

MANIFEST, PROFILE, INTERVALS = "manifest.json", "profile.toml", "intervals.jsonl"
HISTOGRAMS, CURVES, SUMMARY, REPORT, LOGS = "histograms.hlog", "curves.json", "run.json", "report.html", "logs"

_ATTEMPTS = 16
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_REMEDIES = {
    errno.ENOSPC: "free space on that disk or name another folder with --out",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f) or name a folder on another disk with --out",
    errno.EDQUOT: "free space in that quota or name another folder with --out",
    errno.EACCES: "name a folder that may be written with --out",
    errno.EPERM: "name a folder that may be written with --out",
    errno.EROFS: "name a folder on a writable disk with --out",
    errno.ENOTDIR: "a file stands in the way; name another folder with --out",
    errno.EEXIST: "a file stands in the way; name another folder with --out",
}


class RunFolder:
    """The folder of one run, open for writing; use `create`. Not safe for several threads."""

    def __init__(self, path: Path, started_at: datetime) -> None:
        self.path = path
        self.started_at = started_at
        self._intervals = _AppendLog(path / INTERVALS)
        self._histograms = _AppendLog(path / HISTOGRAMS)
        self._intervals.append(
            to_line({"schema": INTERVALS_SCHEMA, "run_id": self.run_id, "started_at": self.started_at_iso})
        )
        self._histograms.append(header(started_at))

    @classmethod
    def create(cls, root: Path | str, profile_name: str, started_at: datetime | None = None) -> RunFolder:
        """Make `<root>/<UTC yyyymmddThhmmss>-<profile name>-<4 hex>/` with its logs folder.

        Args:
            root: made if missing.
            profile_name: characters that are unsafe in a path become "-".
            started_at: aware; None means now.

        Raises:
            ResultsError: the folder cannot be made, with the reason and the remedy.
        """
        root = Path(root)
        moment = (started_at or datetime.now(UTC)).astimezone(UTC)
        name = _UNSAFE.sub("-", profile_name).strip(".-")[:60] or "run"
        path = root
        try:
            root.mkdir(parents=True, exist_ok=True)
            for _ in range(_ATTEMPTS):
                path = root / f"{moment:%Y%m%dT%H%M%S}-{name}-{secrets.token_hex(2)}"
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                (path / LOGS).mkdir()
                return cls(path, moment)
        except OSError as error:
            raise _failure("make the run folder", path, error) from error
        raise ResultsError(f"{root}: {_ATTEMPTS} run folders of this second exist already; start again")

    @property
    def run_id(self) -> str:
        """The name of the folder."""
        return self.path.name

    @property
    def started_at_iso(self) -> str:
        """When the run started, ISO-8601 in UTC."""
        return self.started_at.isoformat(timespec="milliseconds")

    @property
    def logs_dir(self) -> Path:
        """Where processes write their logs."""
        return self.path / LOGS

    @property
    def report_path(self) -> Path:
        """Where the HTML report belongs."""
        return self.path / REPORT

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write what is known at the start: profile, target, harness, connections ... with the keys of run.json."""
        base = {"run_id": self.run_id, "started_at": self.started_at_iso}
        self._write(MANIFEST, to_document(base | dict(manifest)))

    def write_profile(self, toml: str) -> None:
        """Write the profile as run."""
        self._write(PROFILE, toml.encode())

    def append_interval(self, line: Mapping[str, Any]) -> None:
        """Append one interval line; it has been handed to the kernel when this returns."""
        self._intervals.append(to_line(line))

    def append_mark(self, t_s: float, mark: str, kind: str, text: str = "") -> None:
        """Append a mark: `kind` "phase", or a fault's kind; `mark` is its name."""
        self._intervals.append(to_line({"t_s": t_s, "mark": mark, "kind": kind, "text": text}))

    def append_histograms(self, start_s: float, length_s: float, tallies: Mapping[str, Tally]) -> None:
        """Append one interval of latencies per tag (a metric's name) to `histograms.hlog`; empty ones are left out.

        Cost: at most 0.4 ms and 2 kB for each of 2,500 buckets, see `interval_line`.
        """
        for tag, tally in tallies.items():
            if tally.count:
                self._histograms.append(interval_line(tag, start_s, length_s, tally))

    def write_curves(self, curves: Mapping[str, Any]) -> None:
        """Write the recovery curves by event name (`RecoveryCurve.as_curve`)."""
        self._write(CURVES, to_document(curves))

    def write_summary(self, run: Mapping[str, Any]) -> None:
        """Write run.json."""
        self._write(SUMMARY, to_document(run))

    def close(self) -> None:
        """Close the logs; the folder is complete."""
        self._intervals.close()
        self._histograms.close()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, name: str, data: bytes) -> None:
        write_whole(self.path / name, data)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole: into a temporary one, flushed to the disk, then renamed over it.

    Raises:
        ResultsError: it cannot be written; what was there before is still there.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):  # it may never have been made
            temporary.unlink()
        raise _failure("write", path, error) from error


class _AppendLog:
    """A file of lines, opened for appending without a buffer of our own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = False
        try:
            self._file: FileIO = path.open("ab", buffering=0)
        except OSError as error:
            raise _failure("open", path, error) from error

    def append(self, line: bytes) -> None:
        """Write one line whole; after a failure the next one starts on a line of its own."""
        rest = memoryview(b"\n" + line if self._torn else line)
        try:
            while rest:
                written = self._file.write(rest)
                self._torn = True
                rest = rest[written:]
        except OSError as error:
            raise _failure("append to", self._path, error) from error
        self._torn = False

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise _failure("close", self._path, error) from error


def _failure(verb: str, path: Path, error: OSError) -> ResultsError:
    remedy = _REMEDIES.get(error.errno or 0)
    return ResultsError(f"cannot {verb} {path}: {error.strerror or error}" + (f"; {remedy}" if remedy else ""))
