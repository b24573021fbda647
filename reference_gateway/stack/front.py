"""NGINX as a part of the stack: its binary, its files, its check before it starts, its reload when nodes come or go.

    nodes --> nginx.conf --nginx -t--> start, or SIGHUP: new workers take the new clients, old ones keep theirs

Law: it needs no privilege and touches nothing outside its folder. A configuration that does not pass `nginx -t` is
never started or reloaded; the running one goes on.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from reference_gateway.errors import PartFailedError, SettingError
from reference_gateway.proxy.nginx import Limits, config, sites_of
from reference_gateway.stack.part import Part
from reference_gateway.stack.process import spawn

_PLACES: Final = "/usr/sbin:/usr/local/sbin:/sbin"
_CHECK_S: Final = 10.0

log = logging.getLogger(__name__)


def find_nginx() -> str:
    """Return the nginx binary.

    Raises:
        SettingError: there is none; the message says what helps.
    """
    found = shutil.which("nginx") or shutil.which("nginx", path=_PLACES)
    if found is None:
        raise SettingError(
            "--front nginx: there is no nginx here; install it (Debian: apt install nginx), or leave it out"
        )
    return found


class Front:
    """The configuration of NGINX, as files.

    Args:
        folder: its own folder inside the data folder; made if missing.
        listens: host:port for each version.
        patience_s: how long a connection may be silent.
        part: makes the part of the stack, given its command and the signal that ends all of nginx.
    """

    def __init__(
        self, folder: Path, listens: Mapping[str, str], limits: Limits, patience_s: float, part: Callable[..., Part]
    ) -> None:
        self._binary = find_nginx()
        self._folder = folder
        self._listens = listens
        self._limits = limits
        self._patience_s = patience_s
        self._file = folder / "nginx.conf"
        self.part = part(argv=self.argv, death_signal=signal.SIGTERM)

    @property
    def argv(self) -> list[str]:
        """The command that runs it in the foreground."""
        return [self._binary, "-e", "stderr", "-p", str(self._folder), "-c", str(self._file)]

    async def prepare(self, gateways: Sequence[Part]) -> None:
        """Write the configuration for these nodes, once it has passed the check.

        Raises:
            PartFailedError: nginx does not accept it; the file that was there stays.
        """
        nodes: dict[str, list[str]] = {version: [] for version in self._listens}
        for part in gateways:
            nodes[part.version].append(f"[{part.host}]:{part.port}" if ":" in part.host else f"{part.host}:{part.port}")
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        sites = sites_of(self._listens, nodes)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_text(config(self._folder, sites, self._limits, self._patience_s, files), encoding="utf-8")
        await self._check(fresh)
        fresh.replace(self._file)

    async def reload(self, gateways: Sequence[Part]) -> None:
        """Send new clients to these nodes from now on; who is connected stays.

        Raises:
            PartFailedError: nginx does not accept the configuration, and goes on with the one before.
        """
        await self.prepare(gateways)
        if self.part.process is not None:
            self.part.process.signal(signal.SIGHUP)
            log.info("nginx now has %d nodes", len(gateways))

    async def _check(self, file: Path) -> None:
        command = [*self.argv[:-1], str(file), "-t", "-q"]
        try:
            process = spawn(command, self.part.env, self.part.log_file)
        except OSError as error:
            raise PartFailedError(f"nginx cannot be started: {error}") from None
        try:
            async with asyncio.timeout(_CHECK_S):
                status = await process.wait()
        except TimeoutError:
            status = await process.end(0.0)
        if status:
            raise PartFailedError(f"nginx does not accept {file} (status {status})\n{self.part.log_tail()}")
