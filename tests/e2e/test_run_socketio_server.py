"""A Socket.IO server that the project did not write, rooms and event names of its own, described by a profile alone."""

from __future__ import annotations

import threading
import urllib.request

import pytest

from loadtest.results.schema import validate

pytestmark = pytest.mark.e2e

PROFILE = """
name = "foreign"
duration = "14s"
thresholds = ["delivery.throughout.loss == 0", "events.drop.t_sub.99.9 < 8s", "connections.failures.rate < 5%"]

[target]
url = "{url}/socket.io/"
version = "npm socket.io 4"

[population]
connections = 2000

[[population.channels]]
name = "room {{n}}"
count = 40

[subscribe]
event = "enter-room"
args = ["{{channel}}"]
ack_path = "1.room"

[publish]
event = "shout"
args = [{{ to = "{{channel}}", body = "{{marker}}{{padding}}" }}]
ack = true
marker = "1.body"
rate = "40/s"
deadline = "2s"

[ramp]
rate = "800/s"

[phases]
warmup = "500ms"

[[faults]]
kind = "drop"
share = "50%"
after_steady = "2s"

[reconnect]
policy = "full-jitter"
base = "500ms"
cap = "2s"

[recovery]
window = "2s"
"""


def test_two_thousand_clients_dropped_by_us_and_by_the_server(
    loadtest_run, socketio_target, kernel_established
) -> None:
    run = loadtest_run(PROFILE.format(url=socketio_target.url), "--workers", "2")
    run.until_said("mark=hold")
    herds = [pid for name, pid in run.workers().items() if name.startswith("herd")]
    run.until(lambda: abs(kernel_established(port=socketio_target.port, pids=herds) - 2000) <= 2, seconds=2)
    assert socketio_target.count()["rooms"] == {f"room {number}": 50 for number in range(40)}
    run.until_said("drop: every client is back")
    drop = urllib.request.Request(f"{socketio_target.http_url}/drop", data=b"", method="POST")
    # The answer waits behind two thousand reconnects; the run is what is watched.
    threading.Thread(target=lambda: urllib.request.urlopen(drop, timeout=30).close(), daemon=True).start()
    run.until_said("mark=unannounced-1")
    assert run.wait(40) == 0, run.said

    result = run.result
    assert validate(result) == []
    ours, theirs = result["events"]
    assert (ours["name"], ours["announced"], ours["population"], ours["dropped"]) == ("drop", True, 2000, 1000)
    assert (theirs["name"], theirs["kind"], theirs["announced"]) == ("unannounced-1", "unannounced", False)
    assert theirs["population"] == theirs["dropped"] == 2000
    for event in (ours, theirs):
        assert event["recovery"]["t_sub_s"]["100"] is not None
    fanout = result["fanout"]
    assert fanout["by_class"]["throughout"]["lost"] == 0
    assert fanout["by_class"]["throughout"]["expected"] > 10_000
    assert fanout["expected"] == fanout["delivered"] + fanout["lost"]
    assert fanout["imbalance"] == fanout["duplicated"] == fanout["foreign"] == 0
    assert fanout["ack_ms"]["count"] > 0
    assert result["connections"]["at_end"] == 2000
    assert result["target"]["version"] == "npm socket.io 4"


def test_messages_published_by_http_arrive_by_websocket(loadtest_run, socketio_target) -> None:
    http = (
        f'via = "http"\nhttp = {{ url = "{socketio_target.http_url}/shout", '
        'body = { to = "{channel}", body = "{marker}" } }'
    )
    text = PROFILE.format(url=socketio_target.url)
    before, _, after = text.partition('event = "shout"')
    profile = before + http + "\n" + after.partition("ack = true\n")[2]
    profile = profile.replace('"events.drop.t_sub.99.9 < 8s", ', "").partition("[[faults]]")[0]
    run = loadtest_run(
        profile, "--set", "population.connections=80", "--set", "duration=3s", "--set", "publish.deadline=1s"
    )
    assert run.wait(30) == 0, run.said
    fanout = run.result["fanout"]
    assert fanout["published"] >= 100
    assert fanout["delivered"] == fanout["expected"] == fanout["published"] * 2
    assert fanout["publish_failures"] == {}
