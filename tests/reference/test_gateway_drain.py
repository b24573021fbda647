"""How long a node takes to say goodbye: its setting, or what a deploy left in the drain file."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from reference_gateway.broker.memory import MemoryBroker
from reference_gateway.gateway.server import Node
from reference_gateway.gateway.settings import Settings


@pytest.mark.parametrize(("content", "seconds"), [(None, 3.0), ("0.5", 0.5), ("0", 0.0), ("soon", 3.0), ("-1", 0.0)])
def test_drain_file_counts_before_the_setting_when_it_holds_seconds(
    tmp_path: Path, content: str | None, seconds: float
) -> None:
    file = tmp_path / "drain"
    if content is not None:
        file.write_text(content)

    async def drain_s() -> float:
        node = Node(replace(Settings(), drain_s=3.0, drain_file=str(file)), MemoryBroker())
        found = node._drain_s()
        await node.close()
        return found

    assert asyncio.run(drain_s()) == seconds
