"""The JavaScript client's own backoff runs here with our draws: policy socketio-js waits exactly as long."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from random import Random

import pytest

from loadtest.pacing.reconnect import policy

pytestmark = pytest.mark.e2e

SCRIPT = """
const { Backoff } = require(process.argv[1]);
const draws = JSON.parse(process.argv[2]);
const waits = draws.map((drawn) => {
  Math.random = () => drawn;
  const backoff = new Backoff({ min: 1000, max: 5000, jitter: 0.5 });
  return Array.from({ length: 20 }, () => backoff.duration());
});
console.log(JSON.stringify(waits));
"""


class Drawn(Random):
    """A generator that always draws the same number."""

    def __init__(self, value: float) -> None:
        super().__init__(0)
        self._value = value

    def random(self) -> float:
        return self._value


def test_socketio_js_waits_are_those_of_the_npm_client(node_modules: Path) -> None:
    rng = Random(3)
    draws = [0.0, 0.05, 0.1, 0.5, 0.999, *(rng.random() for _ in range(200))]
    source = node_modules / "socket.io-client" / "build" / "cjs" / "contrib" / "backo2.js"
    command = ["node", "-e", SCRIPT, str(source), json.dumps(draws)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    ours = policy("socketio-js")
    for drawn, waits_ms in zip(draws, json.loads(done.stdout), strict=True):
        assert [ours.wait_s(attempt, Drawn(drawn)) for attempt in range(20)] == [wait / 1000 for wait in waits_ms], (
            drawn
        )
