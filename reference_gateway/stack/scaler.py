"""Add and drain gateway nodes while the stack runs: what `scaling.decision` decides, carried out.

    look: /healthz of each node --loads--> Decider --> more: start, tell godserver and the front, even out
                                                  \\--> less: both forget one, its clients leave, it ends

Laws: godserver knows a node only while it is healthy and stays. The newest node goes first. Nobody is added, drained or
moved while a deploy is in progress. Evening out asks the nodes that have more than their share to send the excess away;
who leaves is told by godserver where there is room.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from reference_gateway.errors import PartFailedError
from reference_gateway.relocation import Relocation
from reference_gateway.scaling.decision import Decider, ScalePlan
from reference_gateway.stack.composition import Composition
from reference_gateway.stack.deploy import END_GRACE_S, Deployer
from reference_gateway.stack.part import Part, State
from reference_gateway.stack.rollout import ask_health, bearer, relocate
from reference_gateway.stack.supervisor import Supervisor

_LOOK_S: Final = 0.5
_ANSWER_S: Final = 10.0
_EVEN_S: Final = 2.0
_LEAVE_S: Final = 5.0
_TOO_MANY: Final = 1.1  # of a node's even share: so much is left alone
_KEPT_CHANGES: Final = 100

log = logging.getLogger(__name__)


class Scaler:
    """Keep the number of nodes of a stack of one version at what its plan wants. `changes` says what was done.

    Args:
        token: of the stack, by which godserver takes a new fleet.
    """

    def __init__(
        self, plan: ScalePlan, composition: Composition, supervisor: Supervisor, deployer: Deployer, token: str
    ) -> None:
        self._composition = composition
        self._supervisor = supervisor
        self._deployer = deployer
        self._token = token
        self._decider = Decider(plan)
        self._begun_s = time.monotonic()
        self.changes: list[dict[str, Any]] = []

    async def run(self) -> None:
        """Look and act, for ever."""
        async with ClientSession(timeout=ClientTimeout(total=_ANSWER_S)) as http:
            while True:
                await asyncio.sleep(_LOOK_S)
                if self._deployer.current is None:
                    await self._look(http)

    async def _look(self, http: ClientSession) -> None:
        gateways = self._composition.gateways
        told = await asyncio.gather(*(_told(http, part) for part in gateways))
        loads = [None if facts is None else float(facts.get("load", 0.0)) for facts in told]
        wanted = self._decider.wanted(time.monotonic() - self._begun_s, time.time() % 86_400, loads)
        if wanted == len(gateways):
            return
        before = len(gateways)
        try:
            if wanted > before:
                await self._add(http, wanted - before)
            else:
                await self._drain(http, gateways[wanted:])
        except (PartFailedError, ClientError, TimeoutError) as error:
            log.warning("scaling from %d to %d nodes did not work: %s", before, wanted, error or type(error).__name__)
        self._note(before)

    def _note(self, before: int) -> None:
        nodes = len(self._composition.gateways)
        log.info("scaled from %d to %d nodes: %s", before, nodes, self._decider.why)
        at_s = round(time.monotonic() - self._begun_s, 2)
        self.changes.append({"at_s": at_s, "from": before, "to": nodes, "why": self._decider.why})
        del self.changes[:-_KEPT_CHANGES]

    async def _add(self, http: ClientSession, count: int) -> None:
        gateways = self._composition.gateways
        fresh = [self._composition.another() for _ in range(count)]
        started = await asyncio.gather(*(self._supervisor.start(part) for part in fresh), return_exceptions=True)
        gateways += [part for part, failed in zip(fresh, started, strict=True) if failed is None]
        await self._tell(http)
        for failed in started:
            if failed is not None:
                raise failed
        await self._even_out(http)

    async def _drain(self, http: ClientSession, leaving: list[Part]) -> None:
        gateways = self._composition.gateways
        gateways[:] = [part for part in gateways if part not in leaving]
        await self._tell(http)
        order = Relocation(None, 1.0, _LEAVE_S)
        token = self._composition.order_token
        told = await asyncio.gather(*(relocate(http, part, order, token) for part in leaving), return_exceptions=True)
        if any(isinstance(count, BaseException) or count for count in told):
            await asyncio.sleep(_LEAVE_S)
        await self._supervisor.stop_all(leaving, END_GRACE_S, patient=True)

    async def _tell(self, http: ClientSession) -> None:
        """Have the front, if there is one, and godserver send clients to the nodes there are now."""
        composition = self._composition
        if composition.front is not None:
            await composition.front.reload(composition.gateways)
            return
        fleet: dict[str, list[str]] = {}
        for part in composition.gateways:
            fleet.setdefault(part.version, []).append(part.url)
        url = f"{composition.godserver.url}/v1/fleet"
        async with http.put(url, data=json.dumps(fleet), headers=bearer(self._token)) as answer:
            answer.raise_for_status()

    async def _even_out(self, http: ClientSession) -> None:
        gateways = self._composition.gateways
        told = await asyncio.gather(*(_told(http, part) for part in gateways))
        counts = [0 if facts is None else int(facts["connections"]) for facts in told]
        share = sum(counts) / len(counts)
        token = self._composition.order_token
        await asyncio.gather(
            *(
                relocate(http, part, Relocation(None, (count - share) / count, _EVEN_S), token)
                for part, count in zip(gateways, counts, strict=True)
                if count > _TOO_MANY * share
            )
        )


async def _told(http: ClientSession, part: Part) -> dict[str, Any] | None:
    """Return what a node tells of itself; None if it does not answer, or is not there to stay."""
    if part.state is not State.HEALTHY:
        return None
    try:
        return await ask_health(http, part)
    except (ClientError, TimeoutError, ValueError) as error:
        log.info("%s tells no load: %s", part.name, error or type(error).__name__)
        return None
