"""Move a share of the clients from one version to another while they are connected.

    POST /v1/rollout {"percent": 50} --> shares to godserver --> each node: who is not yours any more leaves
                                     <-- {"clients": {"sync": 251, "bifrost-1": 249}, ..} once as many are back

Law: godserver knows the new shares before anybody is told to go, so whoever asks again is sent where it belongs. Nobody
else is touched. Of two versions the one named last in `--version` is the new one; which clients are its percent follows
from their ids (`godserver.cohort`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout

from reference_gateway.errors import DeployError, DeployRunningError, SettingError
from reference_gateway.relocation import MAX_OVER_S, PATH, Relocation
from reference_gateway.stack.part import Part

MAX_PATIENCE_S: Final = 3600.0
_LOOK_S: Final = 0.1
_ANSWER_S: Final = 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RolloutOrder:
    """What a rollout was asked to do.

    Attributes:
        percent: of the clients, on the new version.
        over_s: seconds that a node spreads its closes over; 0 = its own pace.
        patience_s: how long to wait for those who left to come back.
    """

    percent: float
    over_s: float = 0.0
    patience_s: float = 30.0

    @classmethod
    def parse(cls, body: Any) -> RolloutOrder:
        """Return the order in a JSON body.

        Raises:
            SettingError: names the key, what was found and what is allowed.
        """
        most = {"percent": 100.0, "over_seconds": MAX_OVER_S, "patience_seconds": MAX_PATIENCE_S}
        if not isinstance(body, dict) or "percent" not in body or set(body) - set(most):
            raise SettingError('a rollout is a JSON object: {"percent": 50}, and over_seconds, patience_seconds')
        for key, value in body.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most[key]:
                raise SettingError(f"{key} {value!r}: allowed is a number from 0 to {most[key]:g}")
        return cls(body["percent"], body.get("over_seconds", 0.0), body.get("patience_seconds", 30.0))


class Rollout:
    """Carries out rollouts, one at a time.

    Args:
        gateways: the nodes of all versions; a list that may grow and shrink.
        godserver_url: base URL. token: of the stack, which may set the shares. order_token: of the nodes.
    """

    def __init__(
        self, versions: Sequence[str], gateways: Sequence[Part], godserver_url: str, token: str, order_token: str
    ) -> None:
        self._versions = versions
        self._gateways = gateways
        self._godserver_url = godserver_url
        self._token = token
        self._order_token = order_token
        self._busy = asyncio.Lock()

    async def roll(self, order: RolloutOrder) -> dict[str, Any]:
        """Set the shares, send away who belongs elsewhere, wait for them; return what came of it.

        Returns:
            {"version": the new one, "percent", "left": clients told to go, "clients": {version: connected},
            "complete": whether as many are connected as before, "seconds"}.

        Raises:
            SettingError: the stack does not have two versions.
            DeployRunningError: another rollout is in progress.
            DeployError: godserver or a node did not take its order.
        """
        if len(self._versions) != 2:
            raise SettingError(f"a rollout is between two versions: this stack has {', '.join(self._versions)}")
        if self._busy.locked():
            raise DeployRunningError("a rollout is in progress: wait for its end")
        async with self._busy, ClientSession(timeout=ClientTimeout(total=_ANSWER_S)) as http:
            started_s = time.monotonic()
            old, new = self._versions
            share = order.percent / 100
            shares = {old: 1.0 - share, new: share}
            try:
                before = sum((await self._clients(http)).values())
                await self._set_shares(http, shares)
                left = await self._send_away(http, Relocation(shares, 0.0, order.over_s))
                await asyncio.sleep(order.over_s)
                now = await self._wait(http, before, order.patience_s)
            except (ClientError, TimeoutError, ValueError, KeyError) as error:
                raise DeployError(f"the rollout did not complete: {error or type(error).__name__}") from None
        log.info("rollout to %g %%: %d clients were told to go, now %s", order.percent, left, now)
        return {
            "version": new,
            "percent": order.percent,
            "left": left,
            "clients": now,
            "complete": sum(now.values()) >= before,
            "seconds": round(time.monotonic() - started_s, 3),
        }

    async def _set_shares(self, http: ClientSession, shares: Mapping[str, float]) -> None:
        url = f"{self._godserver_url}/v1/shares"
        async with http.put(url, data=json.dumps(shares), headers=bearer(self._token)) as answer:
            answer.raise_for_status()

    async def _send_away(self, http: ClientSession, order: Relocation) -> int:
        return sum(await asyncio.gather(*(relocate(http, part, order, self._order_token) for part in self._gateways)))

    async def _wait(self, http: ClientSession, before: int, patience_s: float) -> dict[str, int]:
        """Wait until as many are connected as before, twice in a row; return how many per version."""
        give_up_s, good = time.monotonic() + patience_s, 0
        while True:
            await asyncio.sleep(_LOOK_S)
            now = await self._clients(http)
            good = good + 1 if sum(now.values()) >= before else 0
            if good == 2 or time.monotonic() > give_up_s:
                return now

    async def _clients(self, http: ClientSession) -> dict[str, int]:
        gateways = tuple(self._gateways)
        told = await asyncio.gather(*(ask_health(http, part) for part in gateways))
        clients = dict.fromkeys(self._versions, 0)
        for part, facts in zip(gateways, told, strict=True):
            clients[part.version] += int(facts["connections"])
        return clients


async def relocate(http: ClientSession, part: Part, order: Relocation, token: str) -> int:
    """Give a node an order; return how many clients leave it.

    Raises:
        aiohttp.ClientError, TimeoutError: it did not take it.
    """
    async with http.post(f"{_base(part)}{PATH}?{order.query}", headers=bearer(token)) as answer:
        answer.raise_for_status()
        return int((await answer.json())["leaving"])


async def ask_health(http: ClientSession, part: Part) -> dict[str, Any]:
    """Return what a node says of itself at /healthz, healthy or not.

    Raises:
        aiohttp.ClientError, TimeoutError, ValueError: it does not answer, or with something else.
    """
    async with http.get(f"{_base(part)}/healthz") as answer:
        return dict(await answer.json())


def _base(part: Part) -> str:
    return f"http://{urlsplit(part.url).netloc}"


def bearer(token: str) -> dict[str, str]:
    """Return the header that holds a token."""
    return {"Authorization": f"Bearer {token}"}
