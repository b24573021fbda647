"""A plain WebSocket server with JSON messages of its own: acknowledged or not, broken by a command or by a hook."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from loadtest.results.schema import validate

pytestmark = pytest.mark.e2e

PROFILE = """
name = "plain"
duration = "4s"
thresholds = ["delivery.throughout.loss == 0", "events.outage.t_sub.99 < 5s", "delivery.duplicated == 0"]

[target]
dialect = "websocket"
url = "{url}/feed"

[population]
connections = 100

[[population.channels]]
name = "topic-{{n}}"
count = 5

[subscribe]
message = {{ op = "join", topic = "{{channel}}" }}
{acknowledged}

[publish]
message = {{ op = "say", topic = "{{channel}}", body = {{ text = "{{marker}}", more = "{{padding}}" }} }}
marker = "body.text"
rate = "40/s"
deadline = "1s"

[ramp]
rate = "200/s"

[phases]
warmup = "500ms"

[[faults]]
name = "outage"
after_steady = "500ms"
{fault}

[reconnect]
policy = "fixed"
delay = "500ms"

[recovery]
window = "1s"
"""
ACKED = 'ack_path = "op"\nack_equals = "joined"'
UNACKED = 'ack = false\nsettle = "300ms"'


class Hook(BaseHTTPRequestHandler):
    """The deploy button of somebody's pipeline."""

    calls: list[dict]
    press: staticmethod

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.calls.append({"path": self.path, "key": self.headers["X-Key"], "body": json.loads(body)})
        self.press()
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hook(websocket_target) -> Iterator[tuple[str, list[dict]]]:
    """Return the address of a hook that has the target drop everybody, and the calls it gets."""
    calls: list[dict] = []
    handler = type("Hook", (Hook,), {"calls": calls, "press": staticmethod(websocket_target.drop)})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/deploy", calls
        server.shutdown()
        thread.join()


def recovered(result: dict, kind: str) -> None:
    assert validate(result) == []
    assert result["target"]["dialect"] == "websocket"
    (event,) = result["events"]
    assert (event["name"], event["kind"]) == ("outage", kind)
    assert event["population"] == event["dropped"] == 100
    assert event["recovery"]["t_sub_s"]["100"] is not None
    fanout = result["fanout"]
    assert fanout["delivered"] > 500
    assert fanout["expected"] == fanout["delivered"] + fanout["lost"]
    assert fanout["by_class"]["throughout"]["lost"] == fanout["imbalance"] == fanout["foreign"] == 0


def test_acknowledged_subscriptions_and_a_command_that_drops(loadtest_run, websocket_target) -> None:
    # what a shop's own deploy script would do: it signals the server and says so
    command = f'kind = "command"\ncommand = "kill -USR2 {websocket_target.pid} && echo told $LOADTEST_RUN"'
    run = loadtest_run(PROFILE.format(url=websocket_target.url, acknowledged=ACKED, fault=command))
    run.until_said("mark=hold")
    assert websocket_target.count()["topics"] == {f"topic-{number}": 20 for number in range(5)}
    assert run.wait(30) == 0, run.said
    recovered(run.result, "command")
    assert 'log="outage: command done: told ' in run.said


def test_unacknowledged_subscriptions_and_a_hook_that_drops(loadtest_run, websocket_target, hook) -> None:
    url, calls = hook
    request = f'method = "PUT"\nurl = "{url}"\nheaders = {{ X-Key = "k" }}\nbody = {{ what = "deploy" }}'
    fault = f'kind = "http"\n[faults.http]\n{request}'
    run = loadtest_run(PROFILE.format(url=websocket_target.url, acknowledged=UNACKED, fault=fault))
    assert run.wait(30) == 0, run.said
    recovered(run.result, "http")
    assert calls == [{"path": "/deploy", "key": "k", "body": {"what": "deploy"}}]
    subscribe_ms = run.result["connections"]["subscribe_ms"]
    assert subscribe_ms["min"] >= 300, "an unacknowledged subscription counts after it has settled"


def test_a_fault_that_fails_makes_the_run_invalid(loadtest_run, websocket_target) -> None:
    fault = 'kind = "command"\ncommand = "echo no such host >&2; exit 7"'
    profile = PROFILE.format(url=websocket_target.url, acknowledged=ACKED, fault=fault)
    run = loadtest_run(profile, "--set", "duration=1s")
    assert run.wait(30) == 3, run.said
    assert run.result["verdict"] == "invalid"
    (reason, *_) = run.result["reasons"]
    assert "fault outage: command ended with status 7" in reason
    assert "no such host" in reason
