"""The command `reference-gateway`: up, deploy, rollout, status, where, shares, down, versions.

Law: this file turns flags into calls and results into text; it decides nothing. Tables and messages of `up` go to
stdout, faults to stderr, as one sentence, with the exit code of `errors.py`.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from reference_gateway.errors import ReferenceGatewayError, SettingError
from reference_gateway.proxy.nginx import Limits
from reference_gateway.scaling.decision import ScalePlan, parse_moment
from reference_gateway.scaling.usage import Budget
from reference_gateway.stack.client import ControlClient
from reference_gateway.stack.config import StackConfig, find_versions
from reference_gateway.stack.process import die_with_parent
from reference_gateway.stack.ready import state_file
from reference_gateway.stack.stack import Stack
from reference_gateway.stack.up import run_stack
from reference_gateway.versions import VERSIONS

app = typer.Typer(
    name="reference-gateway",
    help="A gateway stack to try the harness on, in versions chosen by name.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

ReadyFile = Annotated[
    Path | None, typer.Option("--ready-file", help="The ready file of the stack; else the last one started.")
]


@app.command()
def versions() -> None:
    """Show the gateway versions and their switches."""
    table = Table(title="gateway versions")
    switches = [name.replace("_", " ") for name in VERSIONS[0].switches]
    for heading in ("version", "shape", *switches, "what it is"):
        table.add_column(heading)
    for row in VERSIONS:
        table.add_row(row.name, row.shape, *map(_yes, row.switches.values()), row.summary)
    _out.print(table)


@app.command()
def up(
    version: Annotated[
        str, typer.Option(help="Gateway version; several as A+B, the first gets all clients at first.")
    ] = "bifrost-1",
    nodes: Annotated[int, typer.Option(help="Gateway nodes per version.")] = 1,
    tables: Annotated[
        int, typer.Option(help="Descriptor tables of each node, each up to the limit of open files; bifrost-1 alone.")
    ] = 1,
    host: Annotated[
        str, typer.Option(help="Address godserver and gateways listen on; the rest is always loopback.")
    ] = "127.0.0.1",
    port_base: Annotated[int | None, typer.Option(help="First of the fixed ports; free ones if left out.")] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Written (0600) once everything is healthy.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Database, rules, logs; a temporary folder if left out.")
    ] = None,
    log_dir: Annotated[
        Path | None, typer.Option(help="Output of the parts; `logs` in the data folder if left out.")
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="Rule table of the private API, watched for changes.")] = None,
    start_timeout: Annotated[float, typer.Option(help="Seconds each part has to become healthy.", min=0.1)] = 20.0,
    ping_interval: Annotated[
        float, typer.Option(help="Seconds between two pings of one client; 120 suits a million of them.", min=0.1)
    ] = 25.0,
    ping_timeout: Annotated[
        float, typer.Option(help="Seconds a client has to answer a ping before it is closed.", min=0.1)
    ] = 20.0,
    capacity: Annotated[
        float, typer.Option(help="Full connects per second that all nodes work off together; 0: what they can.", min=0)
    ] = 0.0,
    handshake_stages: Annotated[
        int, typer.Option(help="With --capacity: equal services that a connect takes.", min=1, max=64)
    ] = 4,
    held_cost: Annotated[
        float, typer.Option(help="With --capacity: what a held connection takes of it, connects per second.", min=0)
    ] = 0.0,
    admit: Annotated[
        float | None,
        typer.Option(help="Clients per second that the nodes of a version with admission control let in together."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            help="mysql://user:password@host/database or sqlite:////path; else DATABASE_URL, else SQLite in --data-dir."
        ),
    ] = None,
    front: Annotated[str, typer.Option(help="What stands in front of the gateways: nginx, or nothing.")] = "",
    front_rate: Annotated[
        float, typer.Option(help="With --front: new clients per second that it lets through; 0: any number.", min=0)
    ] = 0.0,
    front_connections: Annotated[
        int, typer.Option(help="With --front: WebSockets it holds at the same time; 0: any number.", min=0)
    ] = 0,
    broker_links: Annotated[
        bool, typer.Option("--broker-links", help="Relays before the embedded broker: it can be cut off, or be late.")
    ] = False,
    autoscale: Annotated[
        int | None, typer.Option(help="Add and drain nodes while it runs, --nodes to this many.", min=1)
    ] = None,
    scale_on: Annotated[
        str, typer.Option(help="With --autoscale: the load goes by both, cpu or memory; none: by --scale-at alone.")
    ] = "both",
    scale_at: Annotated[
        list[str] | None,
        typer.Option(help="With --autoscale: at least so many nodes from then on: 30s=4, 18:00=8 UTC."),
    ] = None,
    scale_calm: Annotated[float, typer.Option(help="Seconds of low load before a node is drained.", min=0.1)] = 30.0,
    node_cpu: Annotated[float, typer.Option(help="Cores that a node may use; 0: what there is.", min=0)] = 0.0,
    node_memory: Annotated[
        int, typer.Option(help="Bytes a node may use beyond its start before it is killed; 0: what there is.", min=0)
    ] = 0,
    client_memory: Annotated[int, typer.Option(help="Bytes that a node keeps for each client.", min=0)] = 0,
    with_parent: Annotated[bool, typer.Option("--die-with-parent", help="End when the calling process ends.")] = False,
) -> None:
    """Start the stack, show its parts, keep it running until Ctrl-C."""
    if with_parent:
        die_with_parent(signal.SIGTERM)
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=_err, show_path=False)])
    config = StackConfig(
        versions=find_versions(version),
        nodes=nodes,
        tables=tables,
        host=host,
        port_base=port_base,
        ready_file=ready_file,
        data_dir=data_dir,
        log_dir=log_dir,
        rules_file=rules,
        start_timeout_s=start_timeout,
        ping_interval_s=ping_interval,
        ping_timeout_s=ping_timeout,
        capacity_per_s=capacity,
        handshake_stages=handshake_stages,
        held_cost_per_s=held_cost,
        admit_per_s=admit,
        scaling=_scale_plan(nodes, autoscale, scale_on, scale_at or [], scale_calm),
        budget=Budget(node_cpu, node_memory),
        load_metric="both" if scale_on == "none" else scale_on,
        client_bytes=client_memory,
        front=front,
        front_limits=Limits(front_rate, front_connections),
        broker_links=broker_links,
        redis_url=os.environ.get("REDIS_URL") or None,
        database_url=database or os.environ.get("DATABASE_URL") or None,
    )
    run_stack(config, _show_stack)


@app.command()
def deploy(
    strategy: Annotated[str, typer.Option(help="all-at-once or rolling.")],
    drain_seconds: Annotated[float, typer.Option(help="Seconds over which an ending node spreads its closes.")] = 0.0,
    ready_file: ReadyFile = None,
) -> None:
    """Replace the gateway processes of the running stack."""
    client = ControlClient.find(ready_file)
    answer = _follow(client, strategy, drain_seconds)
    names = ", ".join(answer["replaced"])
    _out.print(f"{strategy}: replaced {len(answer['replaced'])} nodes in {answer['seconds']:.2f} s ({names})")


@app.command()
def rollout(
    percent: Annotated[float, typer.Argument(help="Of the clients, on the version named last in --version.")],
    over: Annotated[float, typer.Option(help="Seconds over which the clients that move are closed.", min=0)] = 0.0,
    patience: Annotated[float, typer.Option(help="Seconds to wait for them to come back.", min=0)] = 30.0,
    ready_file: ReadyFile = None,
) -> None:
    """Move clients from the first version to the second while they are connected."""
    answer = ControlClient.find(ready_file).rollout(percent, over, patience)
    clients = ", ".join(f"{version} {count}" for version, count in answer["clients"].items())
    _out.print(f"{percent:g} %: {answer['left']} clients told to go; after {answer['seconds']:.2f} s: {clients}")


@app.command()
def status(ready_file: ReadyFile = None) -> None:
    """Show the parts of the running stack."""
    answer = ControlClient.find(ready_file).status()
    doing = f", deploy in progress: {answer['deploy']}" if answer["deploy"] else ""
    _out.print(_parts_table(f"{answer['version']}, up for {answer['uptime_s']:.0f} s{doing}", answer["parts"]))


@app.command()
def where(
    client: Annotated[str, typer.Argument(help="Name that the client told in CONNECT's auth.")],
    ready_file: ReadyFile = None,
) -> None:
    """Show which nodes hold a client now (from bifrost-5 on, at most a second old)."""
    nodes = ControlClient.find(ready_file).where(client)
    for node in nodes:
        _out.print(f"{node['name']} (process {node['pid']})", markup=False)
    if not nodes:
        _out.print(f"no node holds {client}", markup=False)


@app.command()
def shares(
    share: Annotated[list[str] | None, typer.Argument(help="VERSION=SHARE for every version; together 1.")] = None,
    ready_file: ReadyFile = None,
) -> None:
    """Show, or set, the share of clients that godserver sends to each version."""
    wanted = {}
    for item in share or []:
        name, _, value = item.partition("=")
        try:
            wanted[name] = float(value)
        except ValueError:
            raise SettingError(f"{item!r} is not VERSION=SHARE, e.g. bifrost-1=0.5") from None
    for name, now in ControlClient.find(ready_file).shares(wanted or None).items():
        _out.print(f"{name} {now:.1%}")


@app.command()
def down(ready_file: ReadyFile = None) -> None:
    """End the running stack."""
    client = ControlClient.find(ready_file)
    client.down()
    _out.print(f"stack {client.ready['version']} (process {client.ready['pid']}) is going down")


def _scale_plan(nodes: int, most: int | None, on: str, at: list[str], calm_s: float) -> ScalePlan | None:
    if most is None:
        if at:
            raise SettingError("--scale-at: allowed with --autoscale")
        return None
    return ScalePlan(nodes, most, tuple(map(parse_moment, at)), reactive=on != "none", calm_s=calm_s)


def _yes(switch: bool) -> str:
    return "yes" if switch else "no"


def _parts_table(title: str, parts: list[dict[str, Any]]) -> Table:
    table = Table(title=title)
    for heading in ("part", "kind", "version", "state", "pid", "url"):
        table.add_column(heading, overflow="fold")
    for part in parts:
        restarts = f", restarted {part['restarts']}x" if part.get("restarts") else ""
        state = f"{part.get('state', 'healthy' if part['pid'] else '-')}{restarts}"
        pid = str(part["pid"]) if part["pid"] is not None else "-"
        table.add_row(part["name"], part["kind"], part.get("version", ""), state, pid, part["url"])
    return table


def _show_stack(stack: Stack, seconds: float, is_default: bool) -> None:
    ready = stack.describe()
    try:
        _out.print(_parts_table(f"{ready['version']} is up after {seconds:.2f} s", ready["parts"]))
        _out.print(f"clients start at {ready['bootstrap_url']}?client=ID")
        if not is_default:
            _out.print(f"another stack holds {state_file()}: reach this one with --ready-file", style="yellow")
        _out.print("Ctrl-C ends it")
    except OSError as error:
        # Nobody reads our output any more; the stack itself is fine and its ready file is written.
        logging.getLogger(__name__).info("cannot show the table: %s", error)


def _follow(client: ControlClient, strategy: str, drain_seconds: float) -> dict[str, Any]:
    """Run the deploy and show where each node is meanwhile (on a terminal)."""
    outcome: list[dict[str, Any] | ReferenceGatewayError] = []

    def work() -> None:
        try:
            outcome.append(client.deploy(strategy, drain_seconds))
        except ReferenceGatewayError as error:
            outcome.append(error)

    worker = threading.Thread(target=work, daemon=True)
    started_s = time.monotonic()
    worker.start()
    with _out.status(f"{strategy} deploy") as spinner:
        while worker.is_alive():
            worker.join(0.25)
            if worker.is_alive() and _out.is_terminal:
                nodes = [part for part in client.status()["parts"] if part["kind"] == "gateway"]
                states = ", ".join(f"{node['name']} {node['state']}" for node in nodes)
                spinner.update(f"{strategy} deploy, {time.monotonic() - started_s:.1f} s: {states}")
    if not outcome or isinstance(outcome[0], ReferenceGatewayError):
        raise (
            outcome[0]
            if outcome and isinstance(outcome[0], ReferenceGatewayError)
            else ReferenceGatewayError("no answer")
        )
    return outcome[0]


def main() -> None:
    """Run the command line; a fault is one sentence on stderr and an exit code."""
    try:
        app(standalone_mode=True)
    except ReferenceGatewayError as error:
        _err.print(f"reference-gateway: {error}", style="red", markup=False)
        sys.exit(int(error.exit_code))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
