"""One run from the outside: machine checked, stack and workers started, the run conducted, everything ended.

    check the machine --> probe or start the target --> master (this process) --> nursery forks workers
        --> Conductor.run --> run.json --> workers, stack end

Law: whatever happens on the way, every process that was started here has ended when `run_profile` returns, and what was
measured is in the run folder.
"""

from __future__ import annotations

import locust  # isort: skip  # first: it patches the standard library, which must happen before ssl is in use

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
from loadtest.herd.addresses import automatic, expand
from loadtest.launch import preflight
from loadtest.launch.children import Children
from loadtest.launch.crew import Crew
from loadtest.launch.probe import probe_all
from loadtest.launch.stack import ReferenceStack
from loadtest.metrics import thresholds
from loadtest.pacing.phases import Phase
from loadtest.profile.model import Profile
from loadtest.profile.target import Target
from loadtest.results.environment import harness_facts
from loadtest.results.folder import RunFolder
from loadtest.users.build import tls_context
from loadtest.users.conductor import Conductor, Surroundings
from loadtest.users.dispatcher import PinnedDispatcher
from loadtest.users.master_bridge import MasterBridge
from loadtest.users.profile_users import Population, Publisher
from loadtest.users.recorder import Observer, Recorder
from loadtest.users.worker import HEARTBEAT_LIVENESS

LOOPBACK = "127.0.0.1"
logger = logging.getLogger(__name__)


@dataclass
class Options:
    """How to run a profile. `workers` None: as many as the machine and the profile need. Port 0: a free one."""

    out: Path = Path("runs")
    workers: int | None = None
    master_host: str = LOOPBACK
    master_port: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    force: bool = False


def run_profile(
    profile: Profile, options: Options, observe: Callable[[RunFolder], Observer]
) -> tuple[dict[str, Any], Path]:
    """Run `profile`; return run.json and the run folder.

    Args:
        observe: makes the live view once the folder is there.

    Raises:
        UsageError: it cannot fit this machine, or needs a package that is not installed.
        TargetUnreachableError: nobody answers, or the reference stack does not come up.
        RunInvalidError: the workers could not be started.
    """
    session = _Session(profile, options)
    with ExitStack() as undo:
        undo.callback(session.stop)
        return session.run(observe)


class _Session:
    def __init__(self, profile: Profile, options: Options) -> None:
        self._profile = profile
        self._options = options
        self._main = greenlet.getcurrent()
        self._conductor: Conductor | None = None
        self._recorder: Recorder | None = None
        self._children = Children()
        self._stack: ReferenceStack | None = None
        self._crew: Crew | None = None
        self._environment: Environment | None = None
        self._port = 0
        self._interrupted = False
        self._forking = False

    # --- the way up --------------------------------------------------------------------------------------------------

    def run(self, observe: Callable[[RunFolder], Observer]) -> tuple[dict[str, Any], Path]:
        memory_before = psutil.virtual_memory().available
        preflight.raise_open_files()
        workers = self._fit()
        publishers = 1 if self._profile.publish_rate_per_s else 0
        context = tls_context(self._profile)
        if self._profile.target.stack is None:
            name = self._profile.target.tls.server_name if self._profile.target.tls else None
            probe_all(self._profile.target.urls, context=context, server_name=name)
        faults = build_faults(self._profile.faults)
        parsed = [thresholds.parse(text) for text in self._profile.thresholds]
        folder = RunFolder.create(self._options.out, self._profile.name)
        self._log_to(folder.logs_dir / "master.log")
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, self._on_signal, number)
        with folder:
            self._write_manifest(folder, workers + publishers)
            self._start_master()
            assert self._environment is not None
            facts = {"tags": dict(self._options.tags)}
            recorder = Recorder(MasterBridge(self._environment), self._profile, folder, observe(folder), parsed, facts)
            self._recorder = recorder
            try:
                control = self._start_processes(folder, workers, publishers)
            except KeyboardInterrupt:  # nothing was measured, and the folder says so
                return recorder.finish(str(Phase.RAMP)), folder.path
            recorder.profile = self._profile
            surroundings = Surroundings(
                workers=workers,
                publishers=publishers,
                deaths=self._deaths,
                stack_death=self._stack_death,
                control=control,
                memory_before=memory_before,
            )
            conductor = Conductor(cast(MasterRunner, self._environment.runner), recorder, faults, surroundings)
            refusals = [sentence for fault in faults.values() for sentence in fault.check(conductor)]
            if refusals:
                raise UsageError("; ".join(refusals))
            self._conductor = conductor
            return conductor.run(), folder.path

    def _fit(self) -> int:
        """Return the number of herd workers, or refuse what this machine cannot hold."""
        profile = self._profile
        machine = preflight.read_machine()
        connections, herd = (
            profile.population.connections,
            min(profile.population.herd_size, profile.population.connections),
        )
        workers = self._options.workers or preflight.workers_for(connections, machine.nofile, machine.cores, herd)
        workers = min(workers, profile.herds)
        local = profile.target.stack is not None or all(_is_loopback(url) for url in profile.target.urls)
        sources = len(expand(profile.population.source_addresses))
        if not sources:
            sources = workers * len(automatic(LOOPBACK, 0, -(-connections // workers))) if local else 1
        demand = preflight.Demand(
            connections=connections,
            workers=workers,
            herd_size=herd,
            sources=sources,
            destinations=profile.target.nodes if profile.target.stack else len(profile.target.urls),
            local_target=local,
            nodes=profile.target.nodes if profile.target.stack else 0,
        )
        found = preflight.findings(machine, demand)
        if self._options.master_port:
            found.append(preflight.port_free(self._options.master_host, self._options.master_port))
        refusals = preflight.refusals(found)
        if refusals and not self._options.force:
            raise UsageError("this machine cannot hold the run:\n" + "\n".join(f"  - {text}" for text in refusals))
        return workers

    def _write_manifest(self, folder: RunFolder, workers: int) -> None:
        profile = self._profile
        folder.write_profile(profile.to_toml(redact=True))
        folder.write_manifest(
            {
                "profile": {"name": profile.name, "sha256": profile.sha256},
                "target": {
                    "url": ", ".join(profile.target.urls),
                    "dialect": profile.target.dialect,
                    "version": profile.target.version,
                    "nodes": profile.target.nodes if profile.target.stack else None,
                },
                "harness": harness_facts(workers),
                "connections": {"target": profile.population.connections},
                "tags": dict(self._options.tags),
            }
        )

    def _start_master(self) -> None:
        runners.HEARTBEAT_LIVENESS = HEARTBEAT_LIVENESS
        self._port = self._options.master_port or _free_port(self._options.master_host)
        environment = Environment(user_classes=[Population, Publisher], events=locust.events)
        environment.dispatcher_class = cast(Any, self._dispatcher)
        environment.create_master_runner(self._options.master_host, self._port)
        self._environment = environment

    def _start_processes(self, folder: RunFolder, workers: int, publishers: int) -> Control | None:
        """Start the stack and the workers side by side; return when all are up."""
        target = self._profile.target
        with self._uninterrupted():
            if target.stack is not None:
                self._stack = ReferenceStack.start(
                    version=target.version or "bifrost-1",
                    nodes=target.nodes,
                    log_dir=folder.logs_dir,
                    more=_stack_flags(target),
                )
            self._crew = Crew.start(
                master_host=self._options.master_host,
                master_port=self._port,
                profile_path=folder.path / "profile.toml",
                run_id=folder.run_id,
                workers=workers,
                publishers=publishers,
                log_dir=folder.logs_dir,
            )
            self._children.add(self._crew.child)
        control = None
        if self._stack is not None:
            ready = self._stack.wait_ready()
            self._profile = self._profile.with_gateways(ready.gateway_urls, f"{ready.bootstrap_url}?client={{client}}")
            control = Control(ready.control_url, ready.control_token)
        self._crew.wait_ready()
        logger.info(
            "master on %s:%d, %d workers, %d publishers", self._options.master_host, self._port, workers, publishers
        )
        return control

    def _dispatcher(self, worker_nodes: list[Any], user_classes: list[type]) -> PinnedDispatcher:
        assert self._recorder is not None
        return PinnedDispatcher(worker_nodes, user_classes, self._recorder.bridge.role_of)

    @staticmethod
    def _log_to(path: Path) -> None:
        """Send this process's log (Locust's too) to a file: the terminal belongs to the view."""
        handler = logging.FileHandler(path)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root = logging.getLogger()
        root.handlers[:] = [handler]
        root.setLevel(logging.INFO)

    # --- while it runs -----------------------------------------------------------------------------------------------

    def _deaths(self) -> list[tuple[int, str]]:
        assert self._crew is not None
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
        self._children.stop(timeout_s=7.0)
        if self._stack is not None:
            self._stack.stop()


def _stack_flags(target: Target) -> list[str]:
    """Return the flags of `reference-gateway up` that a profile's [target] asks for."""
    flags = {"--ping-interval": target.ping_interval_s, "--ping-timeout": target.ping_timeout_s}
    return [word for flag, value in flags.items() if value is not None for word in (flag, f"{value:g}")]


def _free_port(host: str) -> int:
    with socket.socket() as sock:
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
        return port


def _is_loopback(url: str) -> bool:
    host = url.split("://", 1)[-1].split("/", 1)[0].rsplit(":", 1)[0].strip("[]")
    return host == "localhost" or host.startswith("127.") or host == "::1"
