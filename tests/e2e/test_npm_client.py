"""The official npm socket.io-client, unmodified, against every version of the reference stack.

By its own choice it polls first and then upgrades; told to, it stays with one transport.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from reference_gateway.versions import names

from .reference_stack import running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_leftovers")]

CLIENT = Path(__file__).parent / "node" / "client.js"


@pytest.mark.parametrize(
    ("version", "transports"), [*((name, "") for name in names()), ("bifrost-1", "polling"), ("bifrost-1", "websocket")]
)
def test_npm_client_subscribes_edits_and_sees_its_revisions(version, transports, node_modules, tmp_path):
    with running_stack(tmp_path, version) as stack:
        command = ["node", str(CLIENT), stack.ready["bootstrap_url"], "c 1/é", "3", transports]
        environment = os.environ | {"NODE_PATH": str(node_modules)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["version"] == version
    assert seen["subscribed"] == {"ok": True, "revision": 0}
    assert seen["acks"] == [{"ok": True, "revision": number} for number in (1, 2, 3)]
    assert seen["revisions"] == [
        {"collection": "c 1/é", "revision": number + 1, "parameter": "url", "text": f"é {number}"}
        for number in range(3)
    ]
    assert seen["unknown"] == {"ok": False, "error": "unknown event 'nope'"}
    assert seen["unsubscribed"]["ok"] is True
    assert seen["reason"] == "io client disconnect"
