"""The worker's end of the faults at connections: hears whom to afflict and whom to let go, answers what came of it.

    master --afflict {"id", "kind", ...}--> every herd of the population --afflicted {"id", "act", "hit", "error"}-->
           --relieve {"id"}---------------> until all is known ----------afflicted {"id", "act", "facts", "error"}-->

Law: every order is answered, whatever becomes of it; a worker without a herd answers that nobody was hit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gevent

from loadtest.clock import Clock
from loadtest.errors import LoadtestError
from loadtest.herd.affliction import merge_facts
from loadtest.herd.herd import Herd
from loadtest.users import messages

SETTLE_S = 3.0
LOOK_S = 0.05
MOST_FACTS = 40


class Afflictor:
    """Obey the master for the herds of one worker.

    Args:
        say: sends the master a message. herds: those of the population. place: (number of this worker, of how many).
    """

    def __init__(
        self,
        say: Callable[[str, dict[str, Any]], None],
        herds: Callable[[], Iterable[Herd]],
        place: Callable[[], tuple[int, int]],
        clock: Callable[[], Clock],
    ) -> None:
        self._say, self._herds, self._place, self._clock = say, herds, place, clock

    def afflict(self, data: dict[str, Any]) -> None:
        """Begin, and say at how many connections."""
        hit, error = 0, ""
        try:
            herds = list(self._herds())
            hit = sum(self._begin(herd, data, place, len(herds)) for place, herd in enumerate(herds))
        except (LoadtestError, OSError) as failed:
            error = str(failed)
        self._say(messages.AFFLICTED, {"id": data["id"], "act": "afflict", "hit": hit, "error": error})

    def _begin(self, herd: Herd, data: Mapping[str, Any], place: int, herds: int) -> int:
        worker, workers = self._place()
        number, of = worker * herds + place, workers * herds
        own = {"place": number, "seed": f"{data['seed']}/{data['id']}/{number}"}
        if "number" in data:
            own["count"] = data["number"] // of + (number < data["number"] % of)
        return herd.afflicting.afflict(data["id"], {**data, **own}, self._clock()())

    def relieve(self, data: dict[str, Any]) -> None:
        """End it, and say what came of it once that is known."""
        gevent.spawn(self._relieve, data["id"])

    def _relieve(self, fault: str) -> None:
        herds, error = list(self._herds()), ""
        facts: dict[str, float] = {}
        try:
            with gevent.Timeout(SETTLE_S, False):
                while [herd for herd in herds if not herd.afflicting.relieve(fault, self._clock()())]:  # all are told
                    gevent.sleep(LOOK_S)
            facts = merge_facts(herd.afflicting.take(fault) for herd in herds)
        except (LoadtestError, OSError) as failed:
            error = str(failed)
        self._say(messages.AFFLICTED, {"id": fault, "act": "relieve", "facts": facts, "error": error})


def is_answer(data: object) -> bool:
    """Whether what a worker said is an answer as above: other processes may say anything."""
    if not isinstance(data, dict) or not all(isinstance(data.get(key), str) for key in ("id", "act", "error")):
        return False
    hit, facts = data.get("hit", 0), data.get("facts", {})
    if type(hit) is not int or hit < 0 or not isinstance(facts, dict) or len(facts) > MOST_FACTS:
        return False
    return all(isinstance(key, str) and type(value) in (int, float) and value >= 0 for key, value in facts.items())
