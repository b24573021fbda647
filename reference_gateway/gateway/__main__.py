"""Run one gateway node: settings from the environment, exit 0 after SIGTERM or SIGINT, 2 if it cannot start as told."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from dataclasses import replace

import uvloop

from reference_gateway.broker import BrokerError, RedisBroker, open_broker
from reference_gateway.errors import ExitCode, SettingError

from .server import Node
from .settings import Settings, read_settings
from .tables import Table, TableLoop, Tables

log = logging.getLogger("reference_gateway.gateway")


class Whole:
    """One node, whole: a `Node` in each descriptor table, all on one port."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.of_one_table
        self._nodes: list[Node] = []  # those that listen, until they have hung up
        self._ended: list[tuple[asyncio.AbstractEventLoop, Node]] = []

    def work(self, table: Table) -> None:
        """Be the node of this table until SIGTERM or SIGINT, then drain it and hang up."""
        loop = uvloop.new_event_loop() if self._settings.tables == 1 else TableLoop()
        asyncio.set_event_loop(loop)
        node = loop.run_until_complete(self._serve(table))
        # The loop is neither closed nor forgotten: it would end each socket that is left in a turn of its own.
        self._ended.append((loop, node))
        node.hang_up()
        self._nodes.remove(node)

    async def _serve(self, table: Table) -> Node:
        loop, settings = asyncio.get_running_loop(), self._settings
        stop = asyncio.Event()
        table.ends = stop.set
        if table.is_first:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, table.end)
        broker = await open_broker(settings.broker_url)
        node = Node(settings, broker, table)
        node.whole = self._nodes
        if isinstance(broker, RedisBroker):
            broker.interrupted, broker.restored = node.hub.interrupted, node.hub.restored
        try:
            try:
                port = await node.listen()
            except OSError as error:
                raise SettingError(f"cannot listen on {settings.host} port {settings.port}: {error}") from error
            # The first table has not rested yet, so no other one has begun.
            self._settings = replace(settings, port=port)
            self._nodes.append(node)
            # Thousands of live sessions make full collections slow, and one leaves no cycle behind: collect rarely.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 100)
            if len(self._nodes) == settings.tables:
                log.info("%s (%s) listens on %s port %d", settings.node, settings.version, settings.host, port)
            await stop.wait()
            await node.drain()
        finally:
            await node.close()
        return node


def main() -> int:
    """Read the environment, serve, end the process; return only to say why not, after one line that says it too."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    try:
        settings = read_settings(os.environ)
        Tables(settings.tables).run(Whole(settings).work)
    except (SettingError, BrokerError) as error:
        log.error("%s", error)
        return ExitCode.USAGE
    logging.shutdown()
    os._exit(ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main())
