"""The hideout, held to the real collector."""

from __future__ import annotations

import gc

from reference_gateway.gateway.hideout import Hideout


def test_collector_is_spared_the_sessions_of_a_storm_and_nothing_else() -> None:
    hideout, idle = Hideout(crowded=True), Hideout(crowded=False)
    try:
        before = gc.get_freeze_count()
        hideout.tick(99)
        idle.tick(1_000)
        assert gc.get_freeze_count() == before
        hideout.tick(99 + 100)
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
