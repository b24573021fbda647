"""What `loadtest run` leaves for a pipeline: JUnit, Markdown, JSON, CSV, OpenMetrics; live metrics while it runs.

Law: a path that cannot be written is refused before the run, not after it. Every output is a function of (run, writer)
in `report`, and none of them can hold a secret (`report.facts`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadtest.errors import ExitCode, LoadtestError, UsageError

if TYPE_CHECKING:
    from loadtest.launch.session import Options
    from loadtest.profile.model import Profile
    from loadtest.results.folder import RunFolder
    from loadtest.users.conductor import Conductor
    from loadtest.users.recorder import Observer
    from loadtest.web.front import Conduct

HeadlessFlag = Annotated[
    bool, typer.Option("--headless", help="Plain lines, fit for a log, on a terminal too; elsewhere they always are.")
]
JunitPath = Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML: a case for each threshold.")]
MarkdownPath = Annotated[Path | None, typer.Option("--markdown", help="Write Markdown, for a pull request.")]
JsonPath = Annotated[Path | None, typer.Option("--json", help="Write run.json, without secrets, here too.")]
CsvPath = Annotated[Path | None, typer.Option("--csv", help="Write CSV: a row for each second.")]
OpenmetricsPath = Annotated[Path | None, typer.Option("--openmetrics", help="Write OpenMetrics text at the end.")]
PrometheusAt = Annotated[
    str | None,
    typer.Option("--prometheus", help="[HOST:]PORT to serve live metrics on, at /metrics; 127.0.0.1 by default."),
]


@dataclass(frozen=True)
class Outputs:
    """The outputs that were asked for; None where one was not."""

    junit: Path | None = None
    markdown: Path | None = None
    json: Path | None = None
    csv: Path | None = None
    openmetrics: Path | None = None

    def check(self) -> None:
        """Refuse what could not be written.

        Raises:
            UsageError: a folder is missing, or a folder stands where the file should be.
        """
        for flag, path in vars(self).items():
            if path is not None and not path.resolve().parent.is_dir():
                raise UsageError(f"--{flag}: {path.resolve().parent} is no folder; make it first")
            if path is not None and path.is_dir():
                raise UsageError(f"--{flag}: {path} is a folder, name a file")

    @contextmanager
    def telling_of_refusal(self, known: Mapping[str, Any]) -> Iterator[None]:
        """Say in JUnit and Markdown too why a run did not come about; the error goes on.

        Args:
            known: run.json as far as it is known before the run.
        """
        from loadtest.report.junit import write_junit
        from loadtest.report.markdown import write_markdown
        from loadtest.report.output_file import write_file

        try:
            yield
        except LoadtestError as error:
            verdict = "invalid" if error.exit_code == ExitCode.INVALID else "fail"
            told = {**known, "verdict": verdict, "reasons": [str(error)], "unreachable": str(error)}
            for path, write in ((self.junit, write_junit), (self.markdown, write_markdown)):
                if path is not None:
                    write_file(path, partial(write, told))
            raise

    def write(self, run: Mapping[str, Any], folder: Path) -> None:
        """Write all of them.

        Raises:
            UsageError: a file cannot be written.
        """
        from loadtest.profile.redaction import safe
        from loadtest.report.interval_csv import write_csv
        from loadtest.report.junit import write_junit
        from loadtest.report.markdown import write_markdown
        from loadtest.report.openmetrics import of_run, write_openmetrics
        from loadtest.report.output_file import write_file
        from loadtest.results.folder import HISTOGRAMS
        from loadtest.results.histogram_log import read_totals
        from loadtest.results.plain import to_document
        from loadtest.results.reader import open_run

        if self.junit is not None:
            write_file(self.junit, lambda writer: write_junit(run, writer))
        if self.markdown is not None:
            write_file(self.markdown, lambda writer: write_markdown(run, writer))
        if self.json is not None:
            write_file(self.json, lambda writer: writer.write(to_document(safe(run)).decode()))
        if self.csv is not None:
            write_file(self.csv, lambda writer: write_csv(open_run(folder).intervals, writer))
        if self.openmetrics is not None:
            log = folder / HISTOGRAMS
            found = of_run(run, read_totals(log)[0] if log.is_file() else {})
            write_file(self.openmetrics, lambda writer: write_openmetrics(found, writer))


class Watchers:
    """Several observers of a run as one."""

    def __init__(self, observers: Sequence[Any]) -> None:
        self._observers = observers

    def feed(self, line: Mapping[str, Any]) -> None:
        for observer in self._observers:
            observer.feed(line)

    def mark(self, mark: Mapping[str, Any]) -> None:
        for observer in self._observers:
            observer.mark(mark)

    def log(self, words: str) -> None:
        for observer in self._observers:
            if hasattr(observer, "log"):
                observer.log(words)

    def measure(self, histograms: Mapping[str, Any]) -> None:
        for observer in self._observers:
            if hasattr(observer, "measure"):
                observer.measure(histograms)


Meters = Callable[[Mapping[str, Any]], list[Any]]
"""Return the observers that measure a run which begins now, of which so much of run.json is known."""


@contextmanager
def live_metrics(at: str | None) -> Iterator[Meters]:
    """Serve live metrics at `[HOST:]PORT`, those of the latest run; without `at` nothing is measured."""
    if at is None:
        yield lambda _: []
        return
    from loadtest.launch.address import LOOPBACK, Address
    from loadtest.launch.metrics_endpoint import serving
    from loadtest.report.facts import facts
    from loadtest.report.openmetrics import CONTENT_TYPE, Live, write_openmetrics

    latest = [Live({})]

    def begin(known: Mapping[str, Any]) -> list[Any]:
        latest[0] = Live(facts(known))
        return latest

    def render() -> str:
        text = io.StringIO()
        write_openmetrics(latest[0].families, text)
        return text.getvalue()

    address = Address.parse(f"{LOOPBACK}:{at}" if at.isdecimal() else at, "--prometheus")
    with serving(address, render, CONTENT_TYPE) as url:
        typer.echo(f"loadtest: live metrics at {url}", err=True)
        yield begin


def conducting(outputs: Outputs, meters: Meters, options: Options) -> Conduct:
    """Return how a profile is run so that a pipeline hears of it: live metrics, and the reason where it is refused."""
    from loadtest.launch.session import run_profile

    def conduct(
        profile: Profile, observe: Callable[[RunFolder], Observer], attend: Callable[[Conductor], None]
    ) -> tuple[Mapping[str, Any], Path]:
        known = {"profile": {"name": profile.name}, "target": {"version": profile.target.version}, "tags": options.tags}
        with outputs.telling_of_refusal(known):
            return run_profile(profile, options, lambda folder: Watchers([observe(folder), *meters(known)]), attend)

    return conduct
