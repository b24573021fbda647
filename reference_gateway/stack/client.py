"""Talk to the control server of a running stack, or to its godserver: what the commands other than `up` use."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from reference_gateway.errors import DeployError, NotRunningError, SettingError
from reference_gateway.stack.ready import read_ready, state_file


class ControlClient:
    """One running stack, found through its ready file."""

    def __init__(self, ready: Mapping[str, Any]) -> None:
        self.ready = ready
        self._token = str(ready["control"]["token"])
        self._control = str(ready["control"]["url"])
        self._godserver = str(ready["bootstrap_url"]).removesuffix("/v1/bootstrap")

    @classmethod
    def find(cls, ready_file: Path | None) -> ControlClient:
        """Return the stack described by `ready_file`, or by the default state file.

        Raises:
            NotRunningError: the file is missing or stale.
        """
        return cls(read_ready(ready_file if ready_file is not None else state_file()))

    def deploy(self, strategy: str, drain_seconds: float) -> dict[str, Any]:
        """Replace the gateways; returns when done.

        Raises:
            SettingError: the order was refused as wrong.
            DeployError: another deploy is running, or this one did not complete.
            NotRunningError: the stack does not answer.
        """
        order = {"strategy": strategy, "drain_seconds": drain_seconds}
        return self._ask(self._control, "POST", "/v1/deploy", order, timeout_s=None)

    def rollout(self, percent: float, over_seconds: float, patience_seconds: float) -> dict[str, Any]:
        """Move `percent` of the clients to the new version; returns when as many are connected as before.

        Raises:
            SettingError: the order was refused as wrong.
            DeployError: another one is running, or this one did not complete.
            NotRunningError: the stack does not answer.
        """
        order = {"percent": percent, "over_seconds": over_seconds, "patience_seconds": patience_seconds}
        return self._ask(self._control, "POST", "/v1/rollout", order, timeout_s=None)

    def status(self) -> dict[str, Any]:
        """Return the state of every part.

        Raises:
            NotRunningError: the stack does not answer.
        """
        return self._ask(self._control, "GET", "/v1/status", None, timeout_s=10.0)

    def where(self, client: str) -> list[dict[str, Any]]:
        """Return name and process of each node that holds a connection of `client`.

        Raises:
            SettingError: the nodes of this stack keep no registry.
            DeployError: its broker does not answer.
            NotRunningError: the stack does not answer.
        """
        answer = self._ask(self._control, "GET", f"/v1/where?client={quote(client, safe='')}", None, timeout_s=10.0)
        return list(answer["nodes"])

    def down(self) -> None:
        """Ask the stack to end.

        Raises:
            NotRunningError: the stack does not answer.
        """
        self._ask(self._control, "POST", "/v1/down", None, timeout_s=10.0)

    def shares(self, shares: Mapping[str, float] | None) -> dict[str, float]:
        """Return the share of clients per version, after setting it when `shares` is given.

        Raises:
            SettingError: the shares are refused.
            NotRunningError: godserver does not answer.
        """
        method = "GET" if shares is None else "PUT"
        return self._ask(self._godserver, method, "/v1/shares", shares, timeout_s=10.0)

    def _ask(self, base_url: str, method: str, path: str, body: Any, timeout_s: float | None) -> dict[str, Any]:
        where = urlsplit(base_url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=timeout_s)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {"Authorization": f"Bearer {self._token}"})
            answer = connection.getresponse()
            content = json.loads(answer.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise NotRunningError(f"the stack does not answer at {base_url}: {error}") from None
        finally:
            connection.close()
        if answer.status < 300:
            return dict(content)
        message = content.get("error", f"status {answer.status}")
        if answer.status == 400:
            raise SettingError(message)
        if answer.status == 401:
            raise NotRunningError(f"{base_url} belongs to another stack: the ready file is stale ({message})")
        raise DeployError(message)
