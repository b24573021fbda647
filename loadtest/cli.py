"""The command line: `loadtest run`, `worker`, `doctor`, `report`, `profile`; the other `cli_` files add theirs.

It says what to do; everything that works lives below.

Law: an error raised on purpose is one message and its exit code, never a traceback. Locust is imported only by `run`,
and before anything else that touches sockets: it patches the standard library.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from loadtest import __version__, cli_bench, cli_compare, cli_outputs, cli_predict, cli_web
from loadtest.errors import ExitCode, LoadtestError, UsageError

if TYPE_CHECKING:
    from loadtest.launch.address import Address
    from loadtest.profile.model import Profile
    from loadtest.report.live import LiveView
    from loadtest.report.plain import PlainLog

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Hold, deploy, drop, recover, report: load tests for WebSocket gateways.",
)
profile_app = typer.Typer(no_args_is_help=True, help="Look at profiles.")
app.add_typer(profile_app, name="profile")
cli_compare.register(app)
cli_predict.register(app)
cli_bench.register(app)


def check_threshold(text: str) -> str | None:
    """Return what is wrong with a threshold, or None."""
    from loadtest.metrics.thresholds import parse

    try:
        parse(text)
    except UsageError as error:
        return str(error)
    return None


@app.command()
def run(
    profile: Annotated[
        str, typer.Argument(help="Path of a profile, or the name of a shipped one: smoke, deploy-storm.")
    ],
    target: Annotated[str | None, typer.Option(help="Run against this gateway (ws:// or wss:// URL).")] = None,
    out: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    settings: Annotated[list[str] | None, typer.Option("--set", help="dotted.key=value, over the profile.")] = None,
    workers: Annotated[
        str, typer.Option(help="Worker processes to start here, or auto; 0 when all join from elsewhere.")
    ] = "auto",
    expect_workers: Annotated[
        int, typer.Option(min=0, max=10_000, help="Wait for this many from elsewhere (loadtest worker).")
    ] = 0,
    expect_publishers: Annotated[
        int, typer.Option(min=0, max=1_000, help="Wait for this many publishers from elsewhere; none starts here then.")
    ] = 0,
    expect_timeout: Annotated[str, typer.Option(help="How long to wait for them.")] = "10m",
    bind: Annotated[
        str | None,
        typer.Option(help="HOST[:PORT] to listen on for workers. No password protects it: a private network only."),
    ] = None,
    lost_after: Annotated[
        str | None,
        typer.Option(help="A worker that is silent for so long is lost. Default: 30s, more where many share a core."),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="key=value, recorded in run.json.")] = None,
    force: Annotated[bool, typer.Option(help="Run although this machine seems too small.")] = False,
    headless: cli_outputs.HeadlessFlag = False,
    junit: cli_outputs.JunitPath = None,
    markdown: cli_outputs.MarkdownPath = None,
    json_file: cli_outputs.JsonPath = None,
    csv: cli_outputs.CsvPath = None,
    openmetrics: cli_outputs.OpenmetricsPath = None,
    prometheus: cli_outputs.PrometheusAt = None,
    web: cli_web.WebFlag = False,
    web_host: cli_web.HostAt = "127.0.0.1",
    web_port: cli_web.PortAt = 8089,
    web_login: cli_web.LoginFlag = False,
    autostart: cli_web.StartFlag = False,
) -> None:
    """Run a profile: hold, deploy, drop, recover; write the run folder; end with a verdict.

    Exit codes: 0 pass, 1 a threshold failed, 2 bad usage or profile, 3 invalid run, 4 target unreachable,
    130 interrupted.
    """
    from loadtest.launch.address import LOOPBACK, Address
    from loadtest.launch.session import Options  # patches the standard library: before ssl is in use
    from loadtest.profile.loader import load_profile
    from loadtest.report.data import load
    from loadtest.report.html import write_html
    from loadtest.report.terminal import print_summary
    from loadtest.results.summary import exit_code

    if headless and web:
        raise UsageError("--headless and --web: a run has one face; leave one out")
    outputs = cli_outputs.Outputs(junit, markdown, json_file, csv, openmetrics)
    outputs.check()
    loaded = load_profile(profile, settings or (), target_url=target, check_threshold=check_threshold)
    expects = bool(expect_workers or expect_publishers)
    address = Address.parse(bind, "--bind") if bind is not None else Address(LOOPBACK) if expects else None
    options = Options(
        out=out,
        workers=_workers(workers),
        expect_workers=expect_workers,
        expect_publishers=expect_publishers,
        expect_timeout_s=_duration(expect_timeout, "--expect-timeout"),
        lost_after_s=None if lost_after is None else _duration(lost_after, "--lost-after"),
        bind=address,
        tags=_tags(tag or ()),
        force=force,
    )
    if address is not None:
        _say_who_is_expected(address, expect_workers, expect_publishers)
    console = Console()
    with cli_outputs.live_metrics(prometheus) as meters:
        conduct = cli_outputs.conducting(outputs, meters, options)
        if web:
            form = cli_web.form_of(profile, settings or (), target, check_threshold)
            served = cli_web.WebOptions(out, web_host, web_port, web_login, autostart)
            raise cli_web.serve(form, served, conduct, outputs.write, _say)
        with _View(console, loaded, live=console.is_terminal and not headless) as view:
            result, folder = conduct(loaded, view.observe, lambda _: None)
    report: Path | None = folder / "report.html"
    try:
        write_html(load(folder), folder / "report.html")
    except (LoadtestError, ModuleNotFoundError) as error:
        console.print(f"no report: {error}", style="yellow", markup=False)
        report = None
    print_summary(result, console, report)
    outputs.write(result, folder)
    raise typer.Exit(int(exit_code(result)))


@app.command()
def worker(
    master: Annotated[
        str, typer.Option(help="HOST[:PORT] of a loadtest run with --bind; the port is 5557 by default.")
    ],
    role: Annotated[str, typer.Option(help="herd: holds connections. publisher: publishes.")] = "herd",
    processes: Annotated[str, typer.Option(help="Worker processes, or auto: one per core, one publisher.")] = "auto",
    log_dir: Annotated[Path | None, typer.Option(help="Keep the workers' logs here.")] = None,
) -> None:
    """Join a run that another machine conducts, with the cores of this one; ends with the run.

    What the profile names (a CSV, certificates) comes from there. Exit codes: 0 the run is over, 2 refused (another
    version, too late), 3 a worker crashed or was killed, 4 no run answered within 60 s, or it fell silent for 30 s,
    130 interrupted.
    """
    from loadtest.launch.address import Address
    from loadtest.launch.joining import Joining, join

    if role not in ("herd", "publisher"):
        raise UsageError(f'--role: "{role}" is neither "herd" nor "publisher"')
    count = _workers(processes, flag="--processes", least=1)
    joining = Joining(Address.parse(master, "--master"), role, count, log_dir)
    raise typer.Exit(int(join(joining, _say)))


@app.command()
def doctor(
    connections: Annotated[
        int | None, typer.Option("-n", "--connections", min=1, max=10_000_000, help="Connections it should hold.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The gateway's URL: elsewhere, and this machine only holds clients.")
    ] = None,
    relay: Annotated[
        bool, typer.Option("--relay", help="The profile has a [relay]: two more open files for each connection.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write the findings as JSON.")] = False,
) -> None:
    """Say how many connections this machine can hold, which limit is the narrowest, and how to lift each.

    Judged are a run with the target elsewhere ("client only") and one with the reference stack here too ("both ends").
    With -n the exit code says whether that many fit: 0 yes, 2 no; for a target elsewhere (--target with a host that is
    not this machine's loopback) "client only" decides, else "both ends". Without -n it is 0, and the lines to type are
    for a million. Nothing is changed, and nothing is sent to the target.
    """
    from loadtest.launch.doctor import examine, remote, show
    from loadtest.launch.machine import raise_open_files, read_machine

    raise_open_files()
    elsewhere = target is not None and remote(target)
    diagnosis = examine(read_machine(), connections, remote_target=elsewhere, relay=relay)
    if as_json:
        sys.stdout.write(json.dumps(diagnosis.as_json(), indent=2) + "\n")
    else:
        show(diagnosis, Console())
    raise typer.Exit(int(ExitCode.PASS if diagnosis.fits else ExitCode.USAGE))


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders. One: its report again. Several: side by side.")],
    out: Annotated[Path | None, typer.Option(help="File to write; default: report.html or comparison.html.")] = None,
    lab: Annotated[bool, typer.Option("--lab", help="Scaled storms on one page, with their predictions.")] = False,
) -> None:
    """Write the report of a run again from its folder, or lay several runs side by side.

    Side by side, scaled runs are told in the time of the system they speak for. With --lab the page holds what the
    storm model predicted as well, and the same in Markdown lies beside it.
    """
    if lab:
        from loadtest.cli_lab import write_lab

        write_lab(runs, out or Path("lab.html"), Console())
        return
    from loadtest.report.comparison import versions_table, write_comparison
    from loadtest.report.data import load
    from loadtest.report.html import write_html
    from loadtest.report.prediction import in_real_time
    from loadtest.report.terminal import print_summary

    console = Console()
    loaded = [load(folder) for folder in runs]
    if len(loaded) == 1:
        path = out or runs[0] / "report.html"
        write_html(loaded[0], path)
        print_summary(loaded[0].run, console, path)
        return
    path = out or Path("comparison.html")
    loaded = [in_real_time(data) for data in loaded]
    write_comparison(loaded, path)
    console.print(versions_table([data.run for data in loaded]))
    console.print(f"report: {path}", markup=False, soft_wrap=True)


@profile_app.command("schema")
def profile_schema() -> None:
    """Print the JSON schema of profiles, for editors."""
    from loadtest.profile.model import Profile

    sys.stdout.write(json.dumps(Profile.json_schema(), indent=2) + "\n")


@profile_app.command("check")
def profile_check(
    profile: Annotated[str, typer.Argument(help="Path or name of a profile.")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="dotted.key=value, over the profile.")] = None,
) -> None:
    """Check a profile: every error at once, or the profile as it would run, secrets struck out."""
    from loadtest.profile.loader import load_profile

    loaded = load_profile(profile, settings or (), check_threshold=check_threshold)
    sys.stdout.write(loaded.to_toml(redact=True))


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Hold, deploy, drop, recover, report: load tests for WebSocket gateways."""
    if version:
        sys.stdout.write(f"{__version__}\n")
        raise typer.Exit


class _View:
    """The live view on a terminal, plain lines elsewhere; entered before the run, left whatever happens."""

    def __init__(self, console: Console, profile: Profile, *, live: bool) -> None:
        from loadtest.profile.redaction import safe_text
        from loadtest.report.live import LiveView
        from loadtest.report.plain import PlainLog

        planned = {
            "ramp": profile.ramp_s,
            "warmup": profile.phases.warmup_s,
            "hold": profile.duration_s,
            "drain": profile.drain_s,
        }
        target = profile.target.version or safe_text(", ".join(profile.target.urls))
        self._view: LiveView | PlainLog = (
            LiveView(console, title=profile.name, target=target, planned_s=planned) if live else PlainLog(sys.stdout)
        )

    def observe(self, _: object) -> LiveView | PlainLog:
        return self._view

    def __enter__(self) -> _View:
        self._view.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._view.__exit__(*details)  # type: ignore[arg-type]


def _workers(text: str, flag: str = "--workers", least: int = 0) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or not least <= int(text) <= 10_000:
        raise UsageError(f'{flag}: "{text}" is neither "auto" nor a whole number from {least} to 10000')
    return int(text)


def _duration(text: str, flag: str) -> float:
    from loadtest.units import parse_duration

    try:
        return parse_duration(text)
    except UsageError as error:
        raise UsageError(f"{flag}: {error}") from error


def _say(text: str) -> None:
    from loadtest.profile.redaction import safe_text

    sys.stderr.write(f"loadtest: {safe_text(text)}\n")


def _say_who_is_expected(bind: Address, workers: int, publishers: int) -> None:
    if not bind.is_loopback:
        _say(
            f"warning: {bind} takes workers without a password, and sends them the profile with its secrets:"
            " only in a network you trust"
        )
    host = f"THIS-HOST:{bind.port}" if bind.everywhere else str(bind)
    for count, role in ((workers, "herd"), (publishers, "publisher")):
        if count:
            _say(f"waiting for {count} {role} processes: loadtest worker --master {host} --role {role}")


def _tags(texts: list[str] | tuple[str, ...]) -> dict[str, str]:
    tags = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f'--tag: "{text}" is not key=value')
        tags[key] = value
    return tags


def main() -> None:
    """Run the command line; exit with the documented code."""
    try:
        app()
    except LoadtestError as error:
        from loadtest.profile.redaction import safe_text

        said = f"loadtest: {safe_text(str(error))}"
        Console(stderr=True).print(said, style="bold red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(int(error.exit_code))
    except KeyboardInterrupt:
        sys.stderr.write("loadtest: interrupted before the run began\n")
        sys.exit(int(ExitCode.INTERRUPTED))


if __name__ == "__main__":
    main()
