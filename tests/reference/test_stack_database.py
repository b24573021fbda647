"""`reference-gateway up --database mysql://...`: edits end up in a real MariaDB, the password nowhere else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest
import socketio

from reference_gateway.storage.revisions import RevisionStore
from tests.e2e.reference_stack import running_stack

from .mariadb import PASSWORD, MariaProcess

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("version", ["sync", "bifrost-1"])
def test_edits_are_stored_in_mariadb_and_the_password_is_not_told(
    version: str, mariadb: MariaProcess, tmp_path: Path
) -> None:
    url = mariadb.new_database()

    async def edit(gateway: str) -> object:
        client = socketio.AsyncClient()
        await client.connect(gateway.replace("ws://", "http://").removesuffix("/socket.io/"))
        argument = {"collection": "c", "parameter": "url", "text": "é😀"}
        answers = [await client.call("edit", argument, timeout=10) for _ in range(2)]
        await client.disconnect()
        store = await RevisionStore.open(url)
        try:
            return answers, await store.latest("c")
        finally:
            await store.close()

    with running_stack(tmp_path, version, 1, "--database", url) as stack:
        answers, latest = asyncio.run(edit(stack.ready["gateway_urls"][0]))  # type: ignore[misc]
        shown = str(stack.status()) + stack.ready_file.read_text()
    assert answers == [{"ok": True, "revision": 1}, {"ok": True, "revision": 2}]
    assert latest == 2
    shown += "".join(log.read_text() for log in tmp_path.rglob("*.log"))
    assert "mysql" in shown
    assert PASSWORD not in shown
    assert quote(PASSWORD, safe="") not in shown
