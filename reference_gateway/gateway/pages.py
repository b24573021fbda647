"""What a node tells about itself over HTTP, the same in each of its descriptor tables: /healthz and /metrics."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, cast

from .handshake import response
from .measures import prometheus, together

if TYPE_CHECKING:
    from .server import Node
    from .session import Session


def health(node: Node) -> bytes:
    """Answer /healthz: 200 from the first contact with the broker until draining, whatever the broker does then.

    Of several tables each has to have been in contact.
    """
    nodes = node.whole
    for one in nodes:
        one.was_healthy = one.was_healthy or one.broker.healthy
    draining = any(one.draining for one in nodes)
    body = {
        "node": node.settings.node,
        "version": node.settings.version,
        "pid": os.getpid(),
        "connections": sum(one.connections for one in nodes),
        "draining": draining,
        **nodes[0].load.facts,
        "broker_healthy": all(one.broker.healthy for one in nodes),
    }
    serves = len(nodes) == node.settings.tables and all(one.was_healthy for one in nodes) and not draining
    status = "200 OK" if serves else "503 Service Unavailable"
    return response(status, json.dumps(body).encode(), "application/json")


def metrics(node: Node) -> bytes:
    """Answer /metrics; a collection counts once for each table that has subscribed to it."""
    nodes = node.whole
    sessions = (cast("Session", session) for one in nodes for session in one.heartbeat)
    gauges = {
        "connections": sum(one.connections for one in nodes),
        "sockets": sum(one.sockets for one in nodes),
        "polling": sum(len(one.polling) for one in nodes),
        "collections": sum(len(one.hub) for one in nodes),
        "queue_bytes": sum(session.transport.get_write_buffer_size() for session in sessions),
        "upstream_in_flight": sum(one.upstream.in_flight for one in nodes),
        "broker_healthy": int(all(one.broker.healthy for one in nodes)),
        "draining": int(any(one.draining for one in nodes)),
        **nodes[0].load.facts,
    }
    text = prometheus(
        together([one.measures for one in nodes]),
        gauges,
        {"node": node.settings.node, "version": node.settings.version},
    )
    return response("200 OK", text, "text/plain; version=0.0.4")
