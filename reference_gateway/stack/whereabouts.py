"""Where a client is connected: asked of the registry that the nodes share in the broker.

    GET /v1/where?client=c7 --> where("c7") --> the broker's own servers: sockets, sockets:<process> --> nodes

Law: it only asks, on a connection of its own that ends with the answer, and never by a link that a fault may have cut.
What it says is at most a second old, and names a process that died for five seconds more (`broker.registry`).
"""

from __future__ import annotations

from typing import Any, Final

from reference_gateway.broker.registry import Registry
from reference_gateway.broker.servers import Servers
from reference_gateway.errors import SettingError
from reference_gateway.stack.composition import Composition
from reference_gateway.stack.config import StackConfig

_ANSWER_S: Final = 2.0


async def where(config: StackConfig, composition: Composition, client: str) -> list[dict[str, Any]]:
    """Return {"name": of the node, "pid": of its process} for each process that holds a connection of `client`.

    Raises:
        SettingError: the nodes of this stack keep no registry, or `client` is no name.
        BrokerError: the broker does not answer.
    """
    if not any(version.session_recovery for version in config.versions):
        raise SettingError(f"nodes share a registry of sockets from bifrost-5 on: this stack is {config.version_label}")
    if not client:
        raise SettingError("client: give the name that it told in CONNECT's auth")
    servers = Servers((config.redis_url or "").split() or [part.url for part in composition.brokers], _ANSWER_S)
    try:
        found = sorted(await Registry(servers).where(client))
    finally:
        await servers.close()
    names = (process.rpartition("@") for process in found)
    return [{"name": name, "pid": int(rest.partition("-")[0])} for name, _, rest in names]
