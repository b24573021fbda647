"""The running stack: start in layers, describe, deploy, end. `up.py` gives it signals and a terminal.

start: links, nursery, broker -> (collections, api, gateways side by side) -> godserver -> control -> ready file
end:   ready file -> control -> faults taken back -> all parts together, at most END_S
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import time
from pathlib import Path
from typing import Any, Final

from reference_gateway.errors import PartFailedError
from reference_gateway.stack.composition import Composition, compose
from reference_gateway.stack.config import StackConfig
from reference_gateway.stack.data import DataFolder
from reference_gateway.stack.deploy import Deployer
from reference_gateway.stack.faults.ward import Ward
from reference_gateway.stack.ready import SCHEMA, claim_state_file, withdraw, write_ready
from reference_gateway.stack.supervisor import Supervisor

END_S: Final = 3.0

log = logging.getLogger(__name__)


class Stack:
    """One stack and all its processes.

    Constructing it checks settings and ports and starts nothing.

    Raises:
        SettingError, PortInUseError: before anything has started.
    """

    def __init__(self, config: StackConfig, data: DataFolder) -> None:
        self.config = config
        self.token = secrets.token_urlsafe(24)
        self.composition: Composition = compose(config, data, self.token)
        self._nursery = self.composition.nursery
        self.supervisor = Supervisor(config.start_timeout_s, self._nursery)
        self.deployer = Deployer(self.supervisor, self.composition.tiers, data.drain_file)
        self.ward = Ward(self.supervisor, self.composition.parts, self.composition.links, data.trouble_file)
        data.trouble_file.unlink(missing_ok=True)  # a stack that was killed may have left it
        self._state_file: Path | None = None
        self._started_s = time.monotonic()

    @property
    def control_url(self) -> str:
        """Where the control server listens."""
        return f"http://127.0.0.1:{self.composition.control_port}"

    async def start(self) -> None:
        """Start every part; returns when all are healthy.

        Raises:
            PartFailedError: one did not come up; `end` must still be called.
        """
        if self.config.ready_file is not None:
            # What a killed stack left there would tell a waiting caller that this one is ready.
            self.config.ready_file.unlink(missing_ok=True)
        try:
            for link in self.composition.links:
                await link.start()
            await self._nursery.start()
        except OSError as error:
            raise PartFailedError(f"the nursery or a link cannot be started: {error}") from None
        if self.composition.front is not None:
            await self.composition.front.prepare(self.composition.gateways)
        for layer in self.composition.layers:
            await self.supervisor.start_all(layer)

    def announce(self) -> bool:
        """Write the ready file and the default state file; return whether the latter is ours now.

        Raises:
            SettingError: a file cannot be written.
        """
        ready = self.describe()
        self._state_file = claim_state_file(ready)
        if self.config.ready_file is not None:
            write_ready(self.config.ready_file, ready)
        return self._state_file is not None

    def describe(self) -> dict[str, Any]:
        """Return the content of the ready file (schema in `ready.py`), control token included."""
        gateways, offers = self.composition.gateways, self.ward.offers
        return {
            "schema": SCHEMA,
            "version": self.config.version_label,
            "pid": os.getpid(),
            "nodes": len(gateways),
            "tables": self.config.tables,
            "bootstrap_url": self.composition.bootstrap_url,
            "gateway_urls": self.composition.client_urls,
            "control": {"url": self.control_url, "token": self.token, "deploys": self.deployer.strategies},
            "parts": [
                *({**part.describe(), "faults": offers[part.name]} for part in self.composition.parts),
                {"name": "control", "kind": "control", "pid": os.getpid(), "url": self.control_url},
                {"name": "nursery", "kind": "nursery", "pid": self._nursery.pid, "url": "-"},
                *(
                    {**part, "pid": None, "faults": offers.get(part["name"], [])}
                    for part in self.composition.outside_parts
                ),
            ],
        }

    def status(self) -> dict[str, Any]:
        """Return what control's `GET /v1/status` answers: parts with state and restarts, the deploy in progress."""
        order = self.deployer.current
        return {
            "version": self.config.version_label,
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._started_s, 3),
            "deploy": None if order is None else order.strategy,
            "faults": self.ward.describe(),
            "parts": [
                {**part.describe(), "state": str(part.state), "restarts": part.restarts}
                for part in self.composition.parts
            ],
        }

    async def end(self) -> None:
        """End every process, by force after a short grace; withdraw the files that announced them."""
        withdraw(self.config.ready_file)
        withdraw(self._state_file)
        await self.ward.heal_all()
        await self.supervisor.stop_all(self.composition.parts, END_S)
        await self._nursery.end()
        for part in self.composition.parts:
            part.release()
        for link in self.composition.links:
            link.close()
        log.info("all parts have ended")

    def kill(self) -> None:
        """End every process by force, now; `end` still has to collect them."""
        for part in self.composition.parts:
            if part.process is not None:
                part.process.signal(signal.SIGKILL)
        self._nursery.kill()
