"""Run godserver: `python -m reference_gateway.godserver`, configured by its environment.

RG_HOST, RG_PORT    where to listen (RG_HOST: 127.0.0.1)
RG_FLEET            JSON {"version": ["ws://host:port/socket.io/", ..]}
RG_SHARES           JSON {"version": share}; default: everybody to the first version of the fleet
RG_FLAGS            JSON object handed to every client; default {}
RG_CONTROL_TOKEN    who may change the shares
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import uvloop

from reference_gateway.errors import SettingError
from reference_gateway.godserver.bootstrap import Godserver
from reference_gateway.godserver.fleet import Fleet, Node
from reference_gateway.godserver.http import HttpConnection, sweep
from reference_gateway.health import Health, probe_load
from reference_gateway.settings import read_port, read_text

# Seconds between two probes of one node, and of one that did not answer: after a deploy, clients are waiting for it.
PROBE_EVERY_S: Final = 0.5
PROBE_AGAIN_S: Final = 0.1
# A large fleet is asked no more often than this in all: probing costs both sides CPU that clients need.
PROBES_PER_S: Final = 20.0
AGAIN_PER_S: Final = 100.0
# A node that is gone refuses at once; one that accepts a storm may take its time.
PROBE_TIMEOUT_S: Final = 10.0

log = logging.getLogger("godserver")


async def _watch(fleet: Fleet, node: Node, number: int, count: int) -> None:
    """Probe node `number` of `count`, for ever; their turns are spread over the interval."""
    every_s, again_s = max(PROBE_EVERY_S, count / PROBES_PER_S), max(PROBE_AGAIN_S, count / AGAIN_PER_S)
    await asyncio.sleep(every_s * number / count)
    while True:
        health, load = await probe_load(node.host, node.port, PROBE_TIMEOUT_S)
        if fleet.report(node, health is Health.HEALTHY, load):
            log.info("%s is %s (%s)", node.url, "healthy" if node.healthy else "not healthy", health.value)
        await asyncio.sleep(every_s if node.strikes == 0 else again_s)


async def _serve(env: Mapping[str, str]) -> None:
    fleet = Fleet(_json_object(env, "RG_FLEET", None))
    everybody = json.dumps({fleet.versions[0]: 1.0})
    shares = _json_object(env, "RG_SHARES", everybody)
    godserver = Godserver(fleet, shares, _json_object(env, "RG_FLAGS", "{}"), read_text(env, "RG_CONTROL_TOKEN"))
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, ended.set)
    connections: set[HttpConnection] = set()
    server = await loop.create_server(
        lambda: HttpConnection(godserver.handle, connections),
        read_text(env, "RG_HOST", "127.0.0.1"),
        read_port(env),
        backlog=4096,
    )
    watchers: list[asyncio.Task[None]] = []

    def watch_all() -> None:
        for watcher in watchers:
            watcher.cancel()
        nodes = fleet.nodes
        watchers[:] = [loop.create_task(_watch(fleet, node, at, len(nodes))) for at, node in enumerate(nodes)]

    watch_all()
    godserver.fleet_changed = watch_all
    sweeper = asyncio.create_task(_sweep(connections))
    await ended.wait()
    server.close()
    for task in (*watchers, sweeper):
        task.cancel()
    await asyncio.gather(*watchers, sweeper, return_exceptions=True)


async def _sweep(connections: set[HttpConnection]) -> None:
    while True:
        await asyncio.sleep(5.0)
        sweep(connections, time.monotonic())


def _json_object(env: Mapping[str, str], name: str, default: str | None) -> dict[str, Any]:
    try:
        value = json.loads(read_text(env, name, default))
    except ValueError as error:
        raise SettingError(f"{name} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise SettingError(f"{name} must be a JSON object")
    return value


def main() -> None:
    """Serve until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        uvloop.run(_serve(os.environ))
    except (SettingError, OSError) as error:
        log.error("%s", error)
        sys.exit(2)


if __name__ == "__main__":
    main()
