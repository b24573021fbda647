"""Run one node of version `sync`: `python -m reference_gateway.monolith`, configured by its environment.

RG_NODE, RG_VERSION                      names shown in /healthz
RG_HOST, RG_PORT                         where to listen (RG_HOST: 127.0.0.1)
DATABASE_URL                             an SQLAlchemy URL with an async driver
REDIS_URL                                only with several nodes, or beside other versions
RG_BRIDGE                                1: beside other versions, see `bridge`
RG_ORDER_TOKEN                           who may send clients elsewhere, see `relocation`
RG_PING_INTERVAL_S, RG_PING_TIMEOUT_S    Engine.IO heartbeat (25, 20)
RG_POOL_SIZE                             database connections of the process (5)
RG_DATABASE_TROUBLE                      a file that tells of trouble the database is to be in
RG_CAPACITY and others                   see `reference_gateway.gate`
"""

from __future__ import annotations

import os
import sys

from reference_gateway.gate import read_capacity
from reference_gateway.monolith.app import MonolithSettings, build_app
from reference_gateway.serving import run_part, serve
from reference_gateway.settings import TROUBLE, read_number, read_path, read_port, read_text


def _start() -> None:
    env = os.environ
    settings = MonolithSettings(
        node=read_text(env, "RG_NODE", "gateway-1"),
        version=read_text(env, "RG_VERSION", "sync"),
        database_url=read_text(env, "DATABASE_URL"),
        redis_url=env.get("REDIS_URL") or None,
        ping_interval_s=read_number(env, "RG_PING_INTERVAL_S", 25.0, 0.1, 3600.0),
        ping_timeout_s=read_number(env, "RG_PING_TIMEOUT_S", 20.0, 0.1, 3600.0),
        bridged=read_text(env, "RG_BRIDGE", "0") == "1",
        order_token=read_text(env, "RG_ORDER_TOKEN", ""),
        pool_size=int(read_number(env, "RG_POOL_SIZE", 5, 1, 1000)),
        trouble_file=read_path(env, TROUBLE),
    )
    host, capacity = read_text(env, "RG_HOST", "127.0.0.1"), read_capacity(env)
    serve(build_app(settings), host, read_port(env), ws="wsproto", capacity=capacity)


def main() -> int:
    """Serve until SIGTERM."""
    run_part("sync", _start)
    return 0


if __name__ == "__main__":
    sys.exit(main())
