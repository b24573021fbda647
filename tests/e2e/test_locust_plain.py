"""`locust -f` as a Locust user types it: alone, distributed, forked, from the web UI, and when it cannot work.

The first locustfile is the one that the README shows; the second is the project's own.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import loadtest
from loadtest.herd import quick
from loadtest.results.reader import open_run
from loadtest.results.schema import validate

from .conftest import LoadtestRun
from .reference_stack import RunningStack, running_stack

pytestmark = pytest.mark.e2e

OWN = Path(__file__).parent / "locustfiles" / "own.py"
OURS = str(Path(loadtest.__file__).with_name("locustfile.py"))
ONLY_HERE = "--master-bind-host=127.0.0.1"

StartLocust = Callable[..., LoadtestRun]


@pytest.fixture
def locust(no_leftovers: None, tmp_path: Path) -> Iterator[StartLocust]:
    """Return `start(locustfile, *arguments)`: starts a `locust`, ended with the test."""
    started: list[LoadtestRun] = []

    def start(locustfile: str | Path, *arguments: str) -> LoadtestRun:
        log = tmp_path / f"locust-{len(started)}"
        argv = [sys.executable, "-m", "locust", "-f", str(locustfile), "--only-summary", *arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=tmp_path)
        started.append(LoadtestRun(process, tmp_path / "runs", log))
        return started[-1]

    yield start
    for run in started:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Run the reference stack, one for all tests here."""
    with running_stack(tmp_path_factory.mktemp("stack"), "bifrost-1") as running:
        yield running


@pytest.fixture
def gateway(stack: RunningStack) -> str:
    return str(stack.ready["gateway_urls"][0])


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def assert_complete(run: LoadtestRun, connections: int) -> dict:
    """Check the one run folder: everything is there, everybody came, nothing was lost."""
    result = run.result
    assert validate(result) == []
    assert open_run(run.folder).warnings == ()
    assert (result["verdict"], result["reasons"]) == ("pass", [])
    assert result["connections"]["target"] == result["connections"]["at_end"] == connections
    assert result["connections"]["failures"] == {}
    fanout = result["fanout"]
    assert fanout["expected"] == fanout["delivered"] > 100
    assert fanout["imbalance"] == fanout["lost"] == fanout["duplicated"] == 0
    assert "report.html" in run.said
    assert run.folder.joinpath("report.html").stat().st_size > 1_000_000
    return result


# --- it works --------------------------------------------------------------------------------------------------------


def test_own_locustfile_against_an_npm_server(locust, socketio_target) -> None:
    run = locust(OWN, "--headless", "--host", f"{socketio_target.url}/socket.io/", "-u", "5", "-r", "5", "-t", "5s")
    assert run.wait(40) == 0, run.said
    result = assert_complete(run, 200)
    assert result["target"]["url"] == f"{socketio_target.url}/socket.io/"
    assert [outcome["verdict"] for outcome in result["thresholds"]] == ["PASS"]
    assert result["fanout"]["foreign"] == 0
    heard = [int(line.split("heard ")[1].split()[0]) for line in run.said.splitlines() if "heard " in line]
    assert len(heard) == 4
    # every marker reached fifty viewers' hooks, and what viewers said to rooms 0 and 1 did too
    assert sum(heard) > result["fanout"]["delivered"]
    assert "Traceback" not in run.said
    assert "0(0.00%)" in run.said


def test_a_hook_that_fails_is_shown_and_counts(locust, socketio_target, tmp_path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(OWN.read_text().replace('(None, "shouted")', '(None, "whispered")'))
    run = locust(broken, "--headless", "--host", f"{socketio_target.url}/socket.io/", "-u", "2", "-r", "2", "-t", "3s")
    assert run.wait(40) == 1, run.said
    assert run.result["verdict"] == "pass"  # the gateway did nothing wrong, the locustfile did


def test_master_and_two_workers(locust, gateway) -> None:
    port = str(free_port())
    target = ["--loadtest-profile", "smoke", "--host", gateway]
    master = locust(OURS, "--headless", "--master", "--expect-workers=2", ONLY_HERE, f"--master-bind-port={port}",
                    "-u", "6", "-r", "10", "-t", "6s", *target)  # fmt: skip
    workers = [locust(OURS, "--worker", f"--master-port={port}", *target[:2]) for _ in range(2)]
    assert master.wait(40) == 0, master.said
    result = assert_complete(master, 250)
    assert result["harness"]["workers"] == 2
    assert result["harness"]["hot_path"] == quick.best().name
    assert [outcome["expr"] for outcome in result["thresholds"]] == [
        "delivery.throughout.loss == 0",
        "delivery.duplicated == 0",
    ]
    assert [worker.wait(10) for worker in workers] == [0, 0]


def test_forked_workers(locust, gateway) -> None:
    port = free_port()
    run = locust(OURS, "--headless", "--processes=2", ONLY_HERE, f"--master-bind-port={port}", f"--master-port={port}",
                 "--loadtest-profile=smoke", "--host", gateway, "-u", "4", "-r", "10", "-t", "5s")  # fmt: skip
    assert run.wait(40) == 0, run.said
    assert assert_complete(run, 150)["harness"]["workers"] == 2


def test_a_killed_worker_makes_the_run_invalid_and_moves_nobody(locust, gateway, kernel_established) -> None:
    port, web = str(free_port()), urllib.parse.urlsplit(gateway).port
    target = ["--loadtest-profile", "smoke", "--host", gateway]
    master = locust(OURS, "--headless", "--master", "--expect-workers=2", ONLY_HERE, f"--master-bind-port={port}",
                    "-u", "5", "-r", "10", "-t", "20s", *target)  # fmt: skip
    workers = [locust(OURS, "--worker", f"--master-port={port}", *target[:2]) for _ in range(2)]
    pids = [worker.process.pid for worker in workers]
    master.until(lambda: kernel_established(port=web, pids=pids) >= 200)
    victim = min((0, 1), key=lambda number: kernel_established(port=web, pids=[pids[number]]))  # not the publisher's
    survivor = pids[1 - victim]
    held = kernel_established(port=web, pids=[survivor])
    workers[victim].process.kill()
    master.until_said("was lost: its heartbeat stopped", 25)
    assert kernel_established(port=web, pids=[survivor]) == held
    assert master.wait(40) == 3, master.said
    result = master.result
    assert result["generator"]["workers_lost"] == 1
    assert result["connections"]["at_end"] == 100
    assert result["connections"]["attempts"] <= 200  # nobody came back elsewhere
    assert result["fanout"]["lost"] == 0


def test_started_twice_from_the_web_ui(locust, gateway, kernel_established) -> None:
    port = free_port()
    run = locust(OURS, f"--web-port={port}", "--loadtest-profile=smoke")

    def ask(path: str, **form: object) -> dict:
        data = urllib.parse.urlencode(form).encode() if form else None
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=10) as response:
            return json.load(response)

    def connected() -> int:
        return kernel_established(port=urllib.parse.urlsplit(gateway).port, pids=[run.process.pid])

    run.until_said("Starting web interface at http://127.0.0.1:")
    run.until(lambda: socket.create_connection(("127.0.0.1", port)).close() is None if can_reach(port) else False)
    with pytest.raises(OSError):  # 127.0.0.2 stands for every other address of the machine
        socket.create_connection(("127.0.0.2", port)).close()

    assert ask("/swarm", user_count=1, spawn_rate=10, host=gateway)["success"]
    run.until_said("-u 1 leaves nobody to listen")
    for number in (1, 2):
        run.until(lambda: ask("/stats/requests")["state"] in ("ready", "stopped"))
        assert ask("/swarm", user_count=3, spawn_rate=10, host=gateway)["success"]
        run.until(lambda: connected() >= 100)
        run.until(lambda number=number: len(run.folders) == number and delivered(run.folders[-1]) > 500)
        rows = {row["name"]: row["num_requests"] for row in ask("/stats/requests")["stats"]}
        assert rows.keys() >= {"connect", "subscribe", "fan-out", "publish", "Aggregated"}
        ask("/stop", really="yes")
        run.until(lambda: connected() == 0)
        run.until(lambda number=number: len(list(run.out.glob("*/run.json"))) == number)
    run.process.send_signal(signal.SIGTERM)
    assert run.wait(20) == 2, run.said  # the first start was refused
    for folder in run.folders:
        result = json.loads((folder / "run.json").read_text())
        assert (result["verdict"], result["connections"]["at_end"]) == ("pass", 100), result["reasons"]
    assert "Traceback" not in run.said


def delivered(folder: Path) -> int:
    """Return how many deliveries the interval lines of a run count so far."""
    lines = map(json.loads, (folder / "intervals.jsonl").read_text().splitlines())
    return sum(line["fanout"]["delivered"] for line in lines if "fanout" in line)


def can_reach(port: int) -> bool:
    with closing(socket.socket()) as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


# --- it says why not -------------------------------------------------------------------------------------------------


def test_a_threshold_decides_the_exit_code(locust, gateway, tmp_path) -> None:
    profile = tmp_path / "strict.toml"
    smoke = (Path(OURS).parents[1] / "profiles" / "smoke.toml").read_text()
    profile.write_text(smoke.replace('"delivery.duplicated == 0"', '"fanout.latency.p50 < 1us"'))
    run = locust(OURS, "--headless", "--loadtest-profile=strict.toml", "--host", gateway, "-u", "2", "-t", "4s",
                 "--loadtest-out=elsewhere")  # fmt: skip
    assert run.wait(30) in (1, 3), run.said  # 3: the harness is slower than a microsecond, too
    assert (tmp_path / "elsewhere").is_dir()
    assert "fanout.latency.p50 < 1us" in run.said


def test_ctrl_c_finishes_the_record(locust, gateway) -> None:
    run = locust(OURS, "--headless", "--loadtest-profile=smoke", "--host", gateway, "-u", "3", "-r", "5")
    run.until(lambda: run.out.exists() and "t_s" in (run.folder / "intervals.jsonl").read_text().partition("hold")[2])
    run.until(lambda: (run.folder / "intervals.jsonl").read_text().count('"phase"') > 3)
    run.process.send_signal(signal.SIGINT)
    assert run.wait(20) == 0, run.said
    assert run.result["verdict"] == "pass"


def test_nobody_there(locust) -> None:
    run = locust(OURS, "--headless", "--loadtest-profile=smoke", f"--host=ws://127.0.0.1:{free_port()}/socket.io/",
                 "-u", "2", "-t", "8s")  # fmt: skip
    assert run.wait(30) == 4, run.said
    assert "no client got through" in run.said
    assert "refused" in run.said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-u", "3", "--loadtest-profile=smok"], 'no profile "smok"; did you mean "smoke"?'),
        (["-u", "3", "--loadtest-profile=smoke"], "name the gateway with --host ws://..."),
        (["-u", "3", "--loadtest-profile=smoke", "--host=http://x"], 'did you mean "ws://x"?'),
        (["-u", "1"], "-u 1 leaves nobody to listen, since Publisher comes first: give -u 2 or more"),
        (["-u", "3", "--loadtest-profile=bad.toml"], "publish.rate"),
        (["-u", "3", "--host=ws://127.0.0.1:9/", "--loadtest-out=bad.toml/runs"], "cannot make the run folder"),
    ],
)
def test_what_cannot_run_is_refused_in_a_sentence(locust, tmp_path, arguments, words) -> None:
    (tmp_path / "bad.toml").write_text('duration = "5s"\n[population]\nconnections = 5\n[publish]\nrate = "fast"\n')
    run = locust(OURS, "--headless", "-t", "3s", *arguments)
    assert run.wait(20) == 2, run.said
    assert words in run.said
    assert "Traceback" not in run.said


def test_forked_workers_end_with_a_master_that_refuses(locust) -> None:
    port = free_port()
    run = locust(OURS, "--headless", "--processes=2", ONLY_HERE, f"--master-bind-port={port}", f"--master-port={port}",
                 "--loadtest-profile=smoke", "-u", "3")  # fmt: skip
    assert run.wait(20) == 2, run.said
    # `no_leftovers` looks for them
