"""A worker process: Locust's worker runner with the profile's users and this end of the bridge.

    run_worker          forked for one run by `loadtest run`, on the master's machine
    run_remote_worker   started by `loadtest worker`, on any machine: what the profile names comes with the plan

Law: a worker never outlives its use. It ends when the master says so, refuses it, never answers or falls silent.
"""

from __future__ import annotations

import logging
import signal
import time

import gevent
from locust import runners
from locust.env import Environment
from locust.rpc import Message
from locust.runners import WorkerRunner

from loadtest.errors import ExitCode, TargetUnreachableError
from loadtest.herd.sharing import are_many, herds_per_core
from loadtest.profile.redaction import SafeFormatter
from loadtest.users.attach import make_bridge
from loadtest.users.muster import users_of
from loadtest.users.profile_users import Population, Publisher
from loadtest.users.worker_bridge import WorkerBridge

logger = logging.getLogger(__name__)

MASTER_SILENCE_S = 30
"""Without a heartbeat of the master for this long, a worker ends."""
SILENCE_S_PER_HERD = 5
"""So much longer may either be silent for each herd that shares a core: in a storm each has its part of it only."""
CROWDED_HEARTBEAT_S = 5
"""Instead of Locust's one second: each makes a worker that rests, and three threads, wake for nothing else."""
JOIN_TIMEOUT_S = 60
"""A worker that no master answers gives up."""
JOIN_STEP_S = 5
FAREWELL_S = 0.2


def silence_s(herds_per_core: float) -> int:
    """Return the seconds, and the heartbeats, after which a worker takes its master for lost, and the other way round.

    A worker of this machine that ends is known at once, by its parent.
    """
    return MASTER_SILENCE_S + round(SILENCE_S_PER_HERD * max(0.0, herds_per_core - 1))


def run_worker(
    *,
    master_host: str,
    master_port: int,
    role: str,
    profile_path: str = "",
    run_id: str = "",
    remote: bool = False,
) -> int:
    """Run a worker until the master says quit, or the process is told to end.

    Args:
        role: "herd" or "publisher". profile_path, run_id: for the log; the master sends both.
        remote: files that the profile names are not here; the master sends them.

    Returns:
        The exit code: 0; 2 when the master refused this worker; 4 when it never answered or fell silent.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    patience_s = silence_s(herds_per_core())
    runners.MASTER_HEARTBEAT_TIMEOUT = patience_s
    if are_many():
        runners.HEARTBEAT_INTERVAL = CROWDED_HEARTBEAT_S
    runners.CONNECT_TIMEOUT = min(JOIN_STEP_S, JOIN_TIMEOUT_S)
    runners.CONNECT_RETRY_COUNT = JOIN_TIMEOUT_S // JOIN_STEP_S - 1  # that many retries after the first try
    gevent.signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C reaches the whole group: the master decides
    environment = Environment(user_classes=[Population, Publisher])
    master = f"the master at {master_host}:{master_port}"
    try:
        runner: WorkerRunner = environment.create_worker_runner(master_host, master_port)
    except ConnectionError:
        logger.error("%s did not answer within %d s", master, JOIN_TIMEOUT_S)
        return int(ExitCode.UNREACHABLE)
    bridge = make_bridge(environment, role, remote=remote, users=users_of(environment.user_classes))
    logger.info("worker of role %s for %s %s", role, master, f"{run_id} {profile_path}".strip())
    bridge.hello()
    patience = gevent.spawn_later(JOIN_TIMEOUT_S, _give_up_if_unanswered, bridge, master)
    gevent.signal_handler(signal.SIGTERM, _leave, runner)
    runner.greenlet.join()
    patience.kill()
    bridge.stop()
    if bridge.outcome is not None:
        return int(bridge.outcome.exit_code)
    heard = runner.last_heartbeat_timestamp
    if heard is not None and time.time() - heard > patience_s:
        logger.error("%s fell silent; it was last heard %.0f s ago", master, time.time() - heard)
        return int(ExitCode.UNREACHABLE)
    return int(ExitCode.PASS)


def run_remote_worker(
    *, master_host: str, master_port: int, role: str, profile_path: str = "", run_id: str = ""
) -> int:
    """Run a worker that joins a run from elsewhere; see `run_worker`."""
    return run_worker(
        master_host=master_host,
        master_port=master_port,
        role=role,
        profile_path=profile_path,
        run_id=run_id,
        remote=True,
    )


def _give_up_if_unanswered(bridge: WorkerBridge, master: str) -> None:
    if not bridge.time.answered:
        bridge.give_up(TargetUnreachableError(f"{master} speaks Locust, but no run of loadtest is behind it"))


def _leave(runner: WorkerRunner) -> None:
    """End because somebody asked, and say goodbye: the master need not wait for missing heartbeats."""
    runner.client.send(Message("quit", None, runner.client_id))  # type: ignore[no-untyped-call]  # Locust's
    gevent.sleep(FAREWELL_S)  # ZeroMQ sends in a thread of its own, which ends with the process
    runner.greenlet.kill(block=False)
