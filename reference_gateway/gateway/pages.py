"""What a node tells about itself over HTTP: /healthz and /metrics."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, cast

from .handshake import response
from .measures import prometheus

if TYPE_CHECKING:
    from .server import Node
    from .session import Session


def health(node: Node) -> bytes:
    """Answer /healthz: 200 from the first contact with the broker until draining, whatever the broker does then."""
    node.was_healthy = node.was_healthy or node.broker.healthy
    body = {
        "node": node.settings.node,
        "version": node.settings.version,
        "pid": os.getpid(),
        "connections": node.connections,
        "draining": node.draining,
        **node.load.facts,
        "broker_healthy": node.broker.healthy,
    }
    status = "200 OK" if node.was_healthy and not node.draining else "503 Service Unavailable"
    return response(status, json.dumps(body).encode(), "application/json")


def metrics(node: Node) -> bytes:
    """Answer /metrics."""
    gauges = {
        "connections": node.connections,
        "sockets": node.sockets,
        "polling": len(node.polling),
        "collections": len(node.hub),
        "queue_bytes": sum(cast("Session", one).transport.get_write_buffer_size() for one in node.heartbeat),
        "upstream_in_flight": node.upstream.in_flight,
        "broker_healthy": int(node.broker.healthy),
        "draining": int(node.draining),
        **node.load.facts,
    }
    text = prometheus(node.measures, gauges, {"node": node.settings.node, "version": node.settings.version})
    return response("200 OK", text, "text/plain; version=0.0.4")
