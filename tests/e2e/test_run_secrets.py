"""A secret planted wherever a profile and a command line may hold one: nobody who reads the results finds it.

Looked through are the run folder with all logs and the report, the outputs for a pipeline, what the terminal said, and
everything that the web UI answers.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from .topics import TOPICS

pytestmark = pytest.mark.e2e

SECRET = "hunter2-secret"
PROFILE = """
name = "guarded"
duration = "3s"
[target]
dialect = "websocket"
url = "ws://127.0.0.1:9/"
[client]
csv = "users.csv"
headers = {{ Authorization = "Bearer {{token}}", X-Key = "{secret}" }}
query = {{ key = "{secret}", token = "{{token}}" }}
hello = {{ key = "{secret}" }}
[client.variables]
more = "{secret}"
[population]
connections = 20
[[population.channels]]
name = "topic-{{n}}"
count = 2
[ramp]
rate = "200/s"
[[faults]]
kind = "http"
name = "answered"
after_steady = "200ms"
http = {{ url = "{http}/count?key={secret}", headers = {{ X-Key = "{secret}" }}, body = "{secret}" }}
[[faults]]
kind = "http"
name = "misled"
after_steady = "400ms"
http = {{ url = "http://user:{secret}@127.0.0.1:9/" }}
[[faults]]
kind = "command"
name = "failed"
after_steady = "600ms"
command = "echo 'Authorization: Bearer {secret}' --token {secret} password={secret} {http}/?key={secret}; exit 3"
"""
OUTPUTS = ("junit", "markdown", "json", "csv", "openmetrics")
PLACES = ("", "live", "storm", "runs", "workers", "history.json", "recovery.json", "workers.json", "runs.json")


def holders(folder: Path) -> list[str]:
    """Return the files below a folder that hold the secret."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and holds(path.read_bytes())]


def holds(content: bytes) -> bool:
    return SECRET.encode() in content


def read(url: str, size: int = -1) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return bytes(answer.read(size))


def test_a_planted_secret_is_found_nowhere(loadtest_run, websocket_target, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text(f"token\n{SECRET}-of-the-csv\n")
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    flags = [word for name in OUTPUTS for word in (f"--{name}", str(outputs / name))]
    flags += ["--tag", f"api_key={SECRET}", "--web", "--web-port", "0", "--autostart"]
    flags += ["--target", f"{websocket_target.url.replace('//', f'//user:{SECRET}@')}/feed?token={SECRET}"]
    profile = PROFILE.format(http=websocket_target.http_url, secret=SECRET) + TOPICS.format(rate=40)
    run = loadtest_run(profile, *flags)
    run.until_said("web UI: http")
    (url,) = re.findall(r"web UI: (http://\S+)", run.said)
    shown = {"stream": read(f"{url}/loadtest/stream", 2_000)}
    run.until_said("guarded: invalid")  # two faults failed, which the reasons tell
    shown |= {place: read(f"{url}/loadtest/{place}") for place in PLACES}
    shown |= {place: read(f"{url}/{place}") for place in ("?tab=live", "stats/requests", "logs")}
    shown["report"] = read(f"{url}/loadtest/report/{run.folder.name}")
    run.process.send_signal(signal.SIGINT)
    assert run.wait(30) == 3, run.said
    assert [place for place, content in shown.items() if holds(content)] == []
    assert sorted(path.name for path in outputs.iterdir()) == sorted(OUTPUTS)
    assert holders(outputs) == []
    assert holders(run.folder) == []
    assert SECRET not in run.said
    reasons = " ".join(run.result["reasons"])
    assert "http://***@127.0.0.1:9/" in reasons  # told all the same: what failed
    assert "ended with status 3" in reasons
    assert json.loads((outputs / "json").read_text())["tags"] == {"api_key": "***"}


@pytest.mark.parametrize("more", ["", "1234567/"], ids=["nobody listens", "no such port"])
def test_a_target_that_cannot_be_reached_is_named_without_its_secret(loadtest_run, tmp_path: Path, more: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"ws://user:{SECRET},@127.0.0.1:{free.getsockname()[1]}{more}?token={SECRET}"
    (tmp_path / "users.csv").write_text(f"token\n{SECRET}-of-the-csv\n")
    profile = PROFILE.format(http="http://127.0.0.1:9", secret=SECRET) + TOPICS.format(rate=40)
    run = loadtest_run(profile, "--target", url, "--junit", str(tmp_path / "junit.xml"))
    assert run.wait(20) == (2 if more else 4), run.said
    assert SECRET not in run.said
    assert "ws://***@127.0.0.1" in run.said
    assert "junit.xml" not in holders(tmp_path)
