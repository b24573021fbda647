"""The reference stack as real processes: up, edit, deploy, crash, down, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest
import socketio

from .reference_stack import COMMAND, ask, running_stack, start_up, wait_ready

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_leftovers")]

BOTH = pytest.mark.parametrize("version", ["sync", "bifrost-1"])


class Viewer:
    """python-socketio's own client, subscribed to one collection."""

    def __init__(self):
        self.client = socketio.AsyncClient(reconnection=False)
        self.revisions = asyncio.Queue()
        self.ended = asyncio.Event()
        self.client.on("revision", self.revisions.put_nowait)
        self.client.on("disconnect", self._disconnected)

    def _disconnected(self, *_):
        self.ended.set()

    @classmethod
    async def open(cls, url, collection):
        viewer = cls()
        base = url.replace("ws://", "http://").removesuffix("/socket.io/")
        await viewer.client.connect(base, transports=["websocket"], auth={"client": "ann"}, wait_timeout=5)
        assert (await viewer.call("subscribe", collection=collection))["ok"] is True
        return viewer

    async def call(self, event, **argument):
        return await self.client.call(event, argument, timeout=5)

    async def seen(self, count):
        async with asyncio.timeout(10):
            return [(await self.revisions.get())["revision"] for _ in range(count)]

    async def close(self):
        await self.client.disconnect()


@BOTH
def test_edits_at_once_reach_viewers_of_every_node_in_monotone_revisions(version, tmp_path):
    async def scenario(urls):
        viewers = [await Viewer.open(url, "c-1") for url in urls]
        edits = [
            viewer.call("edit", collection="c-1", parameter="url", text=str(n)) for n in range(10) for viewer in viewers
        ]
        answers = await asyncio.gather(*edits)
        seen = [await viewer.seen(20) for viewer in viewers]
        for viewer in viewers:
            await viewer.close()
        return answers, seen

    with running_stack(tmp_path, version, 2) as stack:
        answers, seen = asyncio.run(scenario(stack.ready["gateway_urls"]))
    assert sorted(answer["revision"] for answer in answers) == list(range(1, 21))
    for revisions in seen:
        assert sorted(revisions) == list(range(1, 21))
    if version != "sync":  # several monoliths may overtake each other, see monolith/sync.py
        assert seen == [list(range(1, 21))] * 2


def test_client_is_found_at_its_node_and_nowhere_when_it_has_gone(tmp_path):
    async def scenario(stack):
        async def until(names):
            async with asyncio.timeout(10):
                while names != [node["name"] for node in (await asyncio.to_thread(asked, stack))["nodes"]]:
                    await asyncio.sleep(0.05)

        viewer = await Viewer.open(stack.ready["gateway_urls"][1], "c-1")
        await until(["gateway-2"])
        told = await asyncio.to_thread(stack.command, "where", "ann")
        await viewer.close()
        await until([])
        return told

    def asked(stack):
        return stack.control("GET", "/v1/where?client=ann")[1]

    with running_stack(tmp_path, "bifrost-5", 2) as stack:
        told = asyncio.run(scenario(stack))
        assert told.stdout == f"gateway-2 (process {stack.pids()['gateway-2']})\n", told.stderr
        assert stack.command("where", "ann").stdout == "no node holds ann\n"
        assert stack.control("GET", "/v1/where?client=ann", token="wrong")[0] == 401


@BOTH
def test_ready_file_describes_a_healthy_stack(version, tmp_path):
    with running_stack(tmp_path, version, 2) as stack:
        ready = stack.ready
        assert stack.ready_file.stat().st_mode & 0o777 == 0o600
        assert (ready["schema"], ready["version"], ready["nodes"]) == ("reference_gateway.ready/1", version, 2)
        assert ready["pid"] == stack.process.pid
        gateways = [part for part in ready["parts"] if part["kind"] == "gateway"]
        assert all(part["pid"] for part in ready["parts"] if part["kind"] != "storage")
        assert [part["url"] for part in gateways] == ready["gateway_urls"]
        given = [ask(f"{ready['bootstrap_url']}?client=c{n}")[1]["gateway"] for n in range(4)]
        assert {gateway["url"] for gateway in given} == set(ready["gateway_urls"])
        assert {gateway["version"] for gateway in given} == {version}
    assert not stack.ready_file.exists()


@BOTH
def test_deploy_all_at_once_drops_everybody_and_keeps_revisions(version, tmp_path):
    async def scenario(stack):
        url = stack.ready["gateway_urls"][0]
        viewer = await Viewer.open(url, "c-1")
        assert (await viewer.call("edit", collection="c-1", parameter="p", text="t"))["revision"] == 1
        deploying = asyncio.create_task(asyncio.to_thread(stack.command, "deploy", "--strategy", "all-at-once"))
        async with asyncio.timeout(10):
            await viewer.ended.wait()
        done = await deploying
        again = await Viewer.open(url, "c-1")
        assert (await again.call("edit", collection="c-1", parameter="p", text="t"))["revision"] == 2
        await again.close()
        return done

    with running_stack(tmp_path, version, 2) as stack:
        before = stack.pids()
        done = asyncio.run(scenario(stack))
        after = stack.pids()
    assert done.returncode == 0, done.stderr
    assert "replaced 2 nodes" in done.stdout
    for name in before:
        assert (before[name] == after[name]) == (not name.startswith("gateway-")), name


@BOTH
def test_rolling_deploy_replaces_one_node_after_the_other(version, tmp_path):
    with running_stack(tmp_path, version, 2) as stack:
        before = stack.pids()
        busy = []
        deploying = subprocess.Popen(
            [*COMMAND, "deploy", "--strategy", "rolling", "--ready-file", str(stack.ready_file)], stdout=subprocess.PIPE
        )
        while deploying.poll() is None:
            states = [part["state"] for part in stack.status()["parts"] if part["kind"] == "gateway"]
            busy.append(sum(state != "healthy" for state in states))
        deploying.communicate()
        after = stack.pids()
    assert deploying.returncode == 0
    assert max(busy) == 1
    assert before["gateway-1"] != after["gateway-1"]
    assert before["gateway-2"] != after["gateway-2"]


def test_second_deploy_waits_for_the_first_and_wrong_ones_are_refused(tmp_path):
    with running_stack(tmp_path, "sync") as stack:
        assert stack.control("POST", "/v1/deploy", {"strategy": "rolling"}, token="wrong")[0] == 401
        assert stack.control("POST", "/v1/deploy", {"strategy": "blue"})[0] == 400
        os.kill(stack.pids()["gateway-1"], signal.SIGSTOP)  # its end takes the whole grace
        first = subprocess.Popen(
            [*COMMAND, "deploy", "--strategy", "all-at-once", "--ready-file", str(stack.ready_file)],
            stdout=subprocess.PIPE,
        )
        stack.wait_for(lambda status: status["deploy"] == "all-at-once")
        status, answer = stack.control("POST", "/v1/deploy", {"strategy": "rolling"})
        assert (status, "in progress" in answer["error"]) == (409, True)
        first.communicate()
        assert first.returncode == 0


@pytest.mark.parametrize("name", ["gateway-1", "api", "collections", "broker", "godserver"])
def test_crashed_part_is_started_again(name, tmp_path):
    with running_stack(tmp_path, "bifrost-1") as stack:
        os.kill(stack.pids()[name], signal.SIGKILL)

        def is_back(status):
            part = next(part for part in status["parts"] if part["name"] == name)
            return part["restarts"] == 1 and part["state"] == "healthy"

        stack.wait_for(is_back)
        assert f"{name} ended with status -9" in (tmp_path / "up.log").read_text()


def test_killed_node_comes_back_on_its_port_and_the_others_are_left_alone(tmp_path):
    with running_stack(tmp_path, "bifrost-1", 4) as stack:
        before = stack.pids()
        os.kill(before["gateway-3"], signal.SIGKILL)
        stack.wait_for(lambda status: state_of(status, "gateway-3") == ("healthy", 1))
        after = stack.pids()
        assert {name for name in before if before[name] != after[name]} == {"gateway-3"}
        for url in stack.ready["gateway_urls"]:
            assert ask(f"http://{url.split('/')[2]}/healthz")[0] == 200


def test_killed_nursery_takes_the_nodes_along_and_all_come_back(tmp_path):
    with running_stack(tmp_path, "bifrost-1", 3) as stack:
        nursery = next(part["pid"] for part in stack.ready["parts"] if part["name"] == "nursery")
        before = stack.pids()
        os.kill(nursery, signal.SIGKILL)
        nodes = [name for name in before if name.startswith("gateway-")]
        stack.wait_for(lambda status: all(state_of(status, name) == ("healthy", 1) for name in nodes))
        after = stack.pids()
        assert {name for name in before if before[name] != after[name]} == set(nodes)


def state_of(status, name):
    part = next(part for part in status["parts"] if part["name"] == name)
    return part["state"], part["restarts"]


def test_api_reload_drops_no_socket_and_a_broken_rule_file_keeps_the_old_rules(tmp_path):
    async def scenario(stack):
        rules = stack.data / "rules.toml"
        api = next(part["url"] for part in stack.ready["parts"] if part["name"] == "api")
        viewer = await Viewer.open(stack.ready["gateway_urls"][0], "c-1")
        edit = {"collection": "c-1", "parameter": "p", "text": "t"}

        async def wait_rules(condition):
            async with asyncio.timeout(5):
                while not condition((await asyncio.to_thread(ask, f"{api}/v1/rules"))[1]):
                    await asyncio.sleep(0.05)

        assert (await viewer.call("edit", **edit))["revision"] == 1
        good = rules.read_text()
        rules.write_text("[[rules]")
        await wait_rules(lambda shown: shown["error"] and "not TOML" in shown["error"])
        assert (await viewer.call("edit", **edit))["revision"] == 2
        rules.write_text(good.replace('event = "edit"', 'event = "change"'))
        await wait_rules(lambda shown: shown["error"] is None and shown["reloads"] == 1)
        assert (await viewer.call("change", **edit))["revision"] == 3
        assert (await viewer.call("edit", **edit))["ok"] is False
        assert not viewer.ended.is_set()
        await viewer.close()

    with running_stack(tmp_path, "bifrost-1") as stack:
        asyncio.run(scenario(stack))


def test_shares_move_clients_between_two_running_versions(tmp_path):
    with running_stack(tmp_path, "sync+bifrost-1") as stack:

        def share_of_bifrost():
            answers = [ask(f"{stack.ready['bootstrap_url']}?client=c{n}")[1] for n in range(200)]
            return sum(answer["gateway"]["version"] == "bifrost-1" for answer in answers) / 200

        assert share_of_bifrost() == 0
        done = stack.command("shares", "sync=0.5", "bifrost-1=0.5")
        assert done.stdout == "sync 50.0%\nbifrost-1 50.0%\n"
        assert abs(share_of_bifrost() - 0.5) < 2.576 * (0.25 / 200) ** 0.5
        assert stack.command("shares", "sync=0.5").returncode == 2
        assert stack.command("shares", "bifrost-1=1").returncode == 0
        assert share_of_bifrost() == 1


@BOTH
def test_killed_up_leaves_nothing(version, tmp_path):
    ready_file = tmp_path / "ready.json"
    process = start_up(tmp_path, "--version", version, "--nodes", "2", "--ready-file", str(ready_file))
    ready = wait_ready(process, ready_file)
    process.kill()
    process.wait()
    wait_gone(ready)
    # The next stack removes the folder that the killed one could not.
    ready_file.unlink()
    with running_stack(tmp_path, "sync"):
        assert list(tmp_path.glob("reference-gateway-data-*")) == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_takes_everything_down(signum, tmp_path):
    ready_file = tmp_path / "ready.json"
    process = start_up(tmp_path, "--version", "bifrost-1", "--ready-file", str(ready_file))
    ready = wait_ready(process, ready_file)
    process.send_signal(signum)
    assert process.wait(5) == 0
    wait_gone(ready, seconds=0)
    assert list(tmp_path.glob("reference-gateway-data-*")) == []
    assert not ready_file.exists()


def test_down_command_takes_everything_down(tmp_path):
    ready_file = tmp_path / "ready.json"
    process = start_up(tmp_path, "--version", "sync", "--ready-file", str(ready_file))
    ready = wait_ready(process, ready_file)
    done = subprocess.run([*COMMAND, "down", "--ready-file", str(ready_file)], capture_output=True, check=False)
    assert done.returncode == 0
    assert process.wait(5) == 0
    wait_gone(ready, seconds=0)


def test_death_of_the_parent_takes_everything_down(tmp_path):
    ready_file = tmp_path / "ready.json"
    up = [*COMMAND, "up", "--version", "sync", "--die-with-parent", "--ready-file", str(ready_file)]
    script = f"import subprocess, sys; p = subprocess.Popen({up!r}); p.wait()"
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path)}
    with (tmp_path / "up.log").open("w") as log:
        parent = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=log, stderr=log)
    ready = wait_ready(parent, ready_file)
    parent.kill()
    parent.wait()
    wait_gone({"parts": [*ready["parts"], {"pid": ready["pid"]}]})


def test_signal_while_starting_leaves_nothing(tmp_path):
    process = start_up(tmp_path, "--version", "bifrost-1")
    deadline = time.monotonic() + 10
    while not list(tmp_path.glob("reference-gateway-data-*/logs/api.log")):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0
    assert list(tmp_path.glob("reference-gateway-data-*")) == []


def test_port_in_use_is_said_before_anything_starts(tmp_path):
    with running_stack(tmp_path, "sync") as stack:
        port = int(stack.ready["bootstrap_url"].split(":")[2].split("/")[0])
        done = subprocess.run(
            [*COMMAND, "up", "--version", "sync", "--port-base", str(port)], capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert f"port {port} for godserver on 127.0.0.1: in use" in done.stderr
    assert "--port-base" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["up", "--version", "bifrost-9"], 2, "choose one of sync, bifrost-1"),
        (["up", "--nodes", "0"], 2, "allowed is 1 to 256"),
        (["deploy", "--strategy", "rolling"], 4, "no stack is running"),
        (["status", "--ready-file", "/nonexistent"], 4, "does not exist"),
        (["down"], 4, "no stack is running"),
    ],
)
def test_unusable_command_says_why(arguments, code, said, tmp_path):
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_part_that_cannot_start_ends_the_stack_with_its_log(tmp_path):
    broken = tmp_path / "rules.toml"
    broken.write_text("[[rules]")
    process = start_up(tmp_path, "--version", "bifrost-1", "--rules", str(broken))
    assert process.wait(20) == 4
    log = (tmp_path / "up.log").read_text()
    assert "api ended with status 2" in log
    assert "not TOML" in log


def test_control_token_is_in_no_log(tmp_path):
    with running_stack(tmp_path, "bifrost-1") as stack:
        stack.command("deploy", "--strategy", "rolling")
        token = stack.ready["control"]["token"]
    logs = [tmp_path / "up.log", *stack.data.glob("logs/*.log")]
    assert len(logs) >= 6
    assert not [log.name for log in logs if token in log.read_text()]


def wait_gone(ready, seconds=5):
    """Wait until every process of the stack has ended."""
    deadline = time.monotonic() + seconds
    pids = [part["pid"] for part in ready["parts"] if part["pid"]]
    while left := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() <= deadline, left
        time.sleep(0.02)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
