"""One run from the outside: machine checked, stack and workers started, the run conducted, everything ended.

    check the machine --> probe or start the target --> master (this process) --> nursery forks workers
        --> Conductor.run --> run.json --> workers, stack end

Law: whatever happens on the way, every process that was started here has ended when `run_profile` returns, and what was
measured is in the run folder.
"""

from __future__ import annotations

import locust  # noqa: F401  # isort: skip  # first: it patches the standard library, which must happen before ssl is in use

import logging
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import gevent
import greenlet
import psutil
from locust import runners
from locust.env import Environment
from locust.runners import MasterRunner

from loadtest.errors import UsageError
from loadtest.faults.fault import Control
from loadtest.faults.registry import build_faults
from loadtest.herd.sharing import share_of
from loadtest.launch.address import LOOPBACK, Address
from loadtest.launch.children import Children
from loadtest.launch.crew import Crew
from loadtest.launch.machine import raise_open_files, read_machine
from loadtest.launch.probe import probe_all
from loadtest.launch.relaying import Relays
from loadtest.launch.stack import ReferenceStack
from loadtest.launch.staffing import Staff, check, files_of_fullest, files_of_herd, refuse, relay_processes, staff_for
from loadtest.metrics import thresholds
from loadtest.model.profiled import stack_limits
from loadtest.pacing.phases import Phase
from loadtest.profile.model import Profile
from loadtest.profile.redaction import SafeFormatter
from loadtest.profile.target import Node, Target
from loadtest.results.folder import RunFolder
from loadtest.users.attach import stripped
from loadtest.users.build import tls_context
from loadtest.users.conductor import WORKERS_TIMEOUT_S, Conductor, Surroundings
from loadtest.users.dispatcher import Dealer
from loadtest.users.master_bridge import MasterBridge
from loadtest.users.muster import Needs
from loadtest.users.profile_users import Population, Publisher
from loadtest.users.recorder import Observer, Recorder, ToldObserver
from loadtest.users.shipment import pack
from loadtest.users.verdict import manifest_facts
from loadtest.users.worker import silence_s

EXPECT_TIMEOUT_S = 600.0
NEVER = -(1 << 40)
LOCUSTFILE = Path(__file__).parents[1] / "locustfile.py"
"""What a plain `locust -f - --worker` that joins gets from the master."""
DEFAULT_VERSION = "bifrost-1"

logger = logging.getLogger(__name__)


@dataclass
class Options:
    """How to run a profile.

    Attributes:
        workers: herd workers to start here; None: as many as the machine and the profile need.
        expect_workers, expect_publishers: workers that join from elsewhere (`loadtest worker`), waited for.
        expect_timeout_s: how long.
        lost_after_s: how long a worker may be silent before it counts as lost, a second at least; None: `silence_s`.
        bind: where the master listens for them; None: on a free port of the loopback.
        force: run although this machine seems too small.
    """

    out: Path = Path("runs")
    workers: int | None = None
    expect_workers: int = 0
    expect_publishers: int = 0
    expect_timeout_s: float = EXPECT_TIMEOUT_S
    lost_after_s: float | None = None
    bind: Address | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    force: bool = False


def run_profile(
    profile: Profile,
    options: Options,
    observe: Callable[[RunFolder], Observer],
    attend: Callable[[Conductor], None] = lambda _: None,
) -> tuple[dict[str, Any], Path]:
    """Run `profile`; return run.json and the run folder.

    Args:
        observe: makes the live view once the folder is there.
        attend: is handed the conductor once all processes are up, before the run begins.

    Raises:
        UsageError: it cannot fit this machine, or needs a package that is not installed.
        TargetUnreachableError: nobody answers, or the reference stack does not come up.
        RunInvalidError: the workers could not be started.
    """
    session = _Session(profile, options)
    with ExitStack() as undo:
        undo.callback(session.stop)
        return session.run(observe, attend)


class _Session:
    def __init__(self, profile: Profile, options: Options) -> None:
        self._profile = profile
        self._options = options
        self._main = greenlet.getcurrent()
        self._conductor: Conductor | None = None
        self._recorder: Recorder | None = None
        self._children = Children()
        self._stack: ReferenceStack | None = None
        self._relays: Relays | None = None
        self._crew: Crew | None = None
        self._environment: Environment | None = None
        self._port = 0
        self._watched: list[Any] = []
        self._interrupted = False
        self._forking = False

    # --- the way up --------------------------------------------------------------------------------------------------

    def run(
        self, observe: Callable[[RunFolder], Observer], attend: Callable[[Conductor], None]
    ) -> tuple[dict[str, Any], Path]:
        memory_before = psutil.virtual_memory().available
        raise_open_files()
        staff = self._staff()
        context = tls_context(self._profile)
        if self._profile.target.stack is None:
            name = self._profile.target.tls.server_name if self._profile.target.tls else None
            probe_all(self._profile.target.urls, context=context, server_name=name)
        faults = build_faults(self._profile.faults)
        parsed = [thresholds.parse(text) for text in self._profile.thresholds]
        folder = RunFolder.create(self._options.out, self._profile.name)
        self._log_to(folder.logs_dir / "master.log")
        self._watched = [
            gevent.signal_handler(number, self._on_signal, number) for number in (signal.SIGINT, signal.SIGTERM)
        ]
        with folder:
            self._write_manifest(folder, staff.all_workers + staff.all_publishers)
            self._start_master(staff)
            assert self._environment is not None
            facts = {"tags": dict(self._options.tags)}
            observer = observe(folder)
            if isinstance(observer, ToldObserver):
                observer.log(_what_starts(self._profile, staff))
            bridge = MasterBridge(self._environment, self._needs())
            recorder = Recorder(bridge, self._profile, folder, observer, parsed, facts)
            self._recorder = recorder
            try:
                control = self._start_processes(folder, staff)
            except KeyboardInterrupt:  # nothing was measured, and the folder says so
                return recorder.finish(str(Phase.RAMP)), folder.path
            recorder.profile = self._profile
            relays = self._relays
            if relays is not None:
                recorder.last_facts = lambda: {"relay": relays.figures()}
            surroundings = Surroundings(
                workers=staff.all_workers,
                publishers=staff.all_publishers,
                deaths=self._deaths,
                stack_death=self._stack_death,
                relay_death=lambda: None if relays is None else relays.death(),
                control=control,
                relays=() if relays is None else relays.remotes,
                memory_before=memory_before,
                files=0 if self._options.force else files_of_fullest(self._profile, staff),
                herd_files=files_of_herd(self._profile),
                patience_s=self._options.expect_timeout_s if staff.expects else WORKERS_TIMEOUT_S,
            )
            conductor = Conductor(cast(MasterRunner, self._environment.runner), recorder, faults, surroundings)
            refusals = [sentence for fault in faults.values() for sentence in fault.check(conductor.striker)]
            if refusals:
                raise UsageError("; ".join(refusals))
            self._conductor = conductor
            attend(conductor)
            return conductor.run(), folder.path

    def _staff(self) -> Staff:
        """Return who does the work, or refuse what this machine cannot hold."""
        options, machine = self._options, read_machine()
        staff = staff_for(self._profile, machine, options.workers, options.expect_workers, options.expect_publishers)
        if staff.expects:
            pack(self._profile)  # what would be too large to send is said now
        wrong = check(self._profile, staff, machine, options.bind)
        if not options.force:
            refuse(wrong)
        return staff

    def _needs(self) -> Needs:
        """Return what workers have to have: the two users, with this profile or none of their own."""
        return Needs(dict.fromkeys((Population.__name__, Publisher.__name__), stripped(self._profile).sha256), True)

    def _write_manifest(self, folder: RunFolder, workers: int) -> None:
        folder.write_profile(self._profile.to_toml(redact=True))
        folder.write_manifest(manifest_facts(self._profile, workers, self._options.tags))

    def _start_master(self, staff: Staff) -> None:
        patience_s = self._options.lost_after_s or silence_s(share_of(staff.herds))
        runners.HEARTBEAT_LIVENESS = max(1, round(patience_s))  # heartbeats, one a second
        runners.HEARTBEAT_DEAD_INTERNAL = NEVER  # Locust would deal a lost worker's users to the others
        bind = self._options.bind
        host, self._port = (LOOPBACK, _free_port(LOOPBACK)) if bind is None else (bind.host, bind.port)
        environment = Environment(user_classes=[Population, Publisher])  # its own events: runs may follow each other
        environment.dispatcher_class = cast(Any, Dealer(self._role_of, lambda: True))
        environment.parsed_locustfiles = [str(LOCUSTFILE)]
        environment.create_master_runner(host, self._port)
        self._environment = environment

    def _start_processes(self, folder: RunFolder, staff: Staff) -> Control | None:
        """Start the stack and the workers side by side; return when all are up."""
        target = self._profile.target
        with self._uninterrupted():
            if target.stack is not None:
                self._stack = ReferenceStack.start(
                    version=target.version or DEFAULT_VERSION,
                    nodes=target.nodes,
                    log_dir=folder.logs_dir,
                    more=_stack_flags(self._profile),
                )
            if staff.workers or staff.publishers:
                self._crew = Crew.start(
                    master_host=LOOPBACK if self._options.bind is None else self._options.bind.from_here,
                    master_port=self._port,
                    profile_path=folder.path / "profile.toml",
                    run_id=folder.run_id,
                    workers=staff.workers,
                    tables=staff.tables,
                    publishers=staff.publishers,
                    log_dir=folder.logs_dir,
                )
                self._children.add(self._crew.child)
        control = None
        if self._stack is not None:
            ready = self._stack.wait_ready()
            self._profile = self._profile.with_gateways(ready.gateway_urls, f"{ready.bootstrap_url}?client={{client}}")
            control = Control(ready.control_url, ready.control_token, ready.faults, ready.deploys)
        if self._profile.relay is not None:
            self._relays = Relays(
                self._profile.target.urls, relay_processes(self._profile, read_machine()), folder.logs_dir
            )
            self._relays.wait_ready()
            self._profile = self._profile.with_routes(self._relays.routes)
        if self._crew is not None:
            self._crew.wait_ready()
        logger.info("master on port %d, %s", self._port, staff)
        return control

    def _role_of(self, node: str) -> str:
        return "" if self._recorder is None else self._recorder.bridge.role_of(node)

    @staticmethod
    def _log_to(path: Path) -> None:
        """Send this process's log (Locust's too) to a file: the terminal belongs to the view."""
        handler = logging.FileHandler(path)
        handler.setFormatter(SafeFormatter())
        root = logging.getLogger()
        root.handlers[:] = [handler]
        root.setLevel(logging.INFO)

    # --- while it runs -----------------------------------------------------------------------------------------------

    def _deaths(self) -> list[tuple[int, str]]:
        if self._crew is None:
            return []
        return [(end.pid, str(end).splitlines()[0]) for end in self._crew.deaths()]

    def _stack_death(self) -> str | None:
        if self._stack is None or self._stack.child.poll() is None:
            return None
        return str(self._stack.child.exit()).splitlines()[0]

    def _on_signal(self, number: int) -> None:
        if self._recorder is not None:
            self._recorder.over = self._recorder.over or f"Interrupted by {signal.Signals(number).name}."
        if self._conductor is None and not self._interrupted:
            self._interrupted = True  # once: the way down is not to be interrupted
            if not self._forking:
                gevent.kill(self._main, KeyboardInterrupt())

    @contextmanager
    def _uninterrupted(self) -> Iterator[None]:
        """Put off an interrupt, so that no process is started without being taken into our books."""
        self._forking = True
        yield
        self._forking = False
        if self._interrupted:
            raise KeyboardInterrupt

    # --- the way down ------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End everything that was started."""
        if self._environment is not None and self._environment.runner is not None:
            self._environment.runner.quit()
            cast(Any, self._environment.runner).server.close()
        self._children.stop(timeout_s=7.0)
        if self._relays is not None:
            self._relays.stop()
        if self._stack is not None:
            self._stack.stop()
        for watched in self._watched:
            watched.cancel()


def _stack_flags(profile: Profile) -> list[str]:
    """Return the flags of `reference-gateway up` that a profile's [target] and [scale] ask for."""
    target = profile.target
    flags = {
        "--tables": target.tables if target.tables > 1 else None,
        "--ping-interval": target.ping_interval_s,
        "--ping-timeout": target.ping_timeout_s,
        "--admit": target.admit_per_s,
        "--front-rate": target.front_rate_per_s,
        "--front-connections": target.front_connections,
        **_node_flags(target),
        **stack_limits(profile),
    }
    words = [word for flag, value in flags.items() if value is not None for word in (flag, f"{value:.15g}")]
    words += ["--broker-links"] if any(fault.needs_links for fault in profile.faults) else []
    words += [] if target.front is None else ["--front", target.front]
    if target.autoscale is not None:
        words += ["--scale-on", target.autoscale.on]
        words += [word for moment in target.autoscale.schedule for word in ("--scale-at", moment)]
    return words


def _node_flags(target: Target) -> dict[str, float | None]:
    node, scale = target.node or Node(), target.autoscale
    return {
        "--node-cpu": node.cpu,
        "--node-memory": node.memory_bytes,
        "--client-memory": node.client_memory_bytes,
        "--autoscale": None if scale is None else scale.most,
        "--scale-calm": None if scale is None else scale.calm_s,
    }


def _what_starts(profile: Profile, staff: Staff) -> str:
    """Say what is being started, which takes a second or two."""
    target = profile.target
    stack = f"{target.version or DEFAULT_VERSION} with {_several(target.nodes, 'node')}, " if target.stack else ""
    workers = f"{_several(staff.workers, 'worker')} and {_several(staff.publishers, 'publisher')}"
    return f"starting {stack}{workers}"


def _several(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _free_port(host: str) -> int:
    with socket.socket() as sock:
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
        return port
