"""Run one gateway node: settings from the environment, exit 0 after SIGTERM or SIGINT, 2 if it cannot start as told."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys

import uvloop

from reference_gateway.broker import BrokerError, RedisBroker, open_broker
from reference_gateway.errors import ExitCode, SettingError

from .server import Node
from .settings import Settings, read_settings

log = logging.getLogger("reference_gateway.gateway")


async def serve(settings: Settings) -> Node:
    """Run a node until SIGTERM or SIGINT, then drain it."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    broker = await open_broker(settings.broker_url)
    node = Node(settings, broker)
    if isinstance(broker, RedisBroker):
        broker.interrupted, broker.restored = node.hub.interrupted, node.hub.restored
    try:
        try:
            port = await node.listen()
        except OSError as error:
            raise SettingError(f"cannot listen on {settings.host} port {settings.port}: {error}") from error
        # Thousands of live sessions make full collections slow, and a session leaves no cycle behind: collect rarely.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        log.info("%s (%s) listens on %s port %d", settings.node, settings.version, settings.host, port)
        await stop.wait()
        await node.drain()
    finally:
        await node.close()
    return node


def main() -> int:
    """Read the environment, serve, end the process; return only to say why not, after one line that says it too."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        node = loop.run_until_complete(serve(read_settings(os.environ)))
    except (SettingError, BrokerError) as error:
        log.error("%s", error)
        return ExitCode.USAGE
    # The loop is not closed: it would end each socket that is left in a turn of its own.
    node.hang_up()
    logging.shutdown()
    os._exit(ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main())
