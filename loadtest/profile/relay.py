"""The relay between clients and gateways: `[relay]`, which network faults need."""

from __future__ import annotations

from pydantic import Field

from loadtest.profile.quantities import Count
from loadtest.profile.section import Section


class Relay(Section):
    """A TCP relay that the run starts on this machine; the population connects through it, publishers do not."""

    processes: Count = Field(default=0, le=64, description="Processes that share the connections; 0: automatic.")
    routes: dict[str, str] = Field(
        default_factory=dict,
        description="Filled in by the run: HOST:PORT of each gateway, and of the relay's listener for it.",
    )
