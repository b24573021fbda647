"""A worker process: Locust's worker runner with the profile's users and this end of the bridge."""

from __future__ import annotations

import logging
import signal

import gevent
from locust import runners
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtest.users.attach import make_bridge
from loadtest.users.profile_users import Population, Publisher

logger = logging.getLogger(__name__)

HEARTBEAT_LIVENESS = 30
"""Heartbeats (one a second) a busy worker may miss before it counts as lost."""


def run_worker(*, master_host: str, master_port: int, role: str, profile_path: str = "", run_id: str = "") -> int:
    """Run a worker until the master says quit, or the process is told to end.

    Args:
        role: "herd" or "publisher". profile_path, run_id: for the log; the master sends both.

    Returns:
        The exit code: 0.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    runners.HEARTBEAT_LIVENESS = HEARTBEAT_LIVENESS
    environment = Environment(user_classes=[Population, Publisher])
    runner: WorkerRunner = environment.create_worker_runner(master_host, master_port)
    bridge = make_bridge(environment, role)
    logger.info("worker of role %s for %s %s", role, profile_path, run_id)
    bridge.hello()
    gevent.signal_handler(signal.SIGTERM, runner.greenlet.kill, block=False)
    gevent.signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C reaches the whole group: the master decides
    runner.greenlet.join()
    bridge.stop()
    return 0
