"""Rules turn messages into calls and answers into acks; a broken rule file changes nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from reference_gateway.api.app import build_app
from reference_gateway.api.calls import Calls
from reference_gateway.api.reload import RuleFile
from reference_gateway.api.rules import Call, RuleError, RuleTable
from reference_gateway.api.template import MissingValueError, Template, compile_value
from reference_gateway.stack.data import DEFAULT_RULES

from .asgi import ask, running

SERVICES = {"collections_url": "http://127.0.0.1:7"}
PING = '[[rules]]\nevent = "ping"\nmethod = "GET"\nurl = "{collections_url}/ping"\n'
SHIPPED = DEFAULT_RULES.read_text(encoding="utf-8")


def table_of(text, services=SERVICES):
    return RuleTable.parse(text, services)


@pytest.mark.parametrize(
    ("text", "values", "filled"),
    [
        ("plain", {}, "plain"),
        ("{a}", {"a": 5}, 5),
        ("{a}", {"a": [1, {"b": None}]}, [1, {"b": None}]),
        ("<{a}>", {"a": 5}, "<5>"),
        ("{a}{b}", {"a": 1, "b": None}, "1"),
        ("{a.b}", {"a": {"b": "x"}}, "x"),
        ("{{a}}", {}, "{a}"),
        ("", {}, ""),
    ],
)
def test_template_fills(text, values, filled):
    assert Template(text).fill(values) == filled


@pytest.mark.parametrize("text", ["{", "}", "{}", "{a!r}", "{a:>5}", "{a[0]}", "{a.__class__}x{ }", "{0}"])
def test_template_refuses_what_is_no_placeholder(text):
    with pytest.raises(ValueError, match=r"\S"):
        Template(text)


def test_template_names_the_missing_value():
    with pytest.raises(MissingValueError) as raised:
        Template("{a.b}").fill({"a": 5})
    assert raised.value.name == "a.b"


def test_compile_value_fills_inside_tables_and_lists():
    fill = compile_value({"a": ["{x}", 1, True], "b": {"c": "-{x}-"}})
    assert fill({"x": 7}) == {"a": [7, 1, True], "b": {"c": "-7-"}}


def test_shipped_rules_make_the_call_of_an_edit():
    values = {"collection": "c-1", "parameter": "url", "text": "hi", "client": "ann", "node": "n", "event": "edit"}
    call = table_of(SHIPPED).rules["edit"].call(values, SERVICES)
    url = "http://127.0.0.1:7/v1/collections/c-1/edits"
    assert call == Call("POST", url, {"parameter": "url", "text": "hi", "author": "ann"}, 5.0)


@pytest.mark.parametrize(
    ("collection", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("x?y#z", "x%3Fy%23z"),
        ("a b", "a%20b"),
        ("@evil:80", "%40evil%3A80"),
        ("{collections_url}", "%7Bcollections_url%7D"),
        ("\ud800", "%3F"),
    ],
)
def test_client_values_stay_inside_their_path_segment(collection, segment):
    values = {"collection": collection, "parameter": "p", "text": "t", "client": "c"}
    assert table_of(SHIPPED).rules["edit"].call(values, SERVICES).url.split("/")[5] == segment


def test_client_cannot_name_the_service():
    values = {"collections_url": "http://evil", "collection": "c", "parameter": "p", "text": "t", "client": "c"}
    assert table_of(SHIPPED).rules["edit"].call(values, SERVICES).url.startswith("http://127.0.0.1:7/")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rules]", "not TOML"),
        ("", "no [[rules]]"),
        ("rules = 5", "no [[rules]]"),
        ("x = 1\n" + PING, "unknown key 'x'"),
        (PING + "colour = 1\n", "colour"),
        (PING.replace("GET", "FETCH"), "method"),
        (PING.replace("{collections_url}", "http://evil"), "must start with {collections_url}/"),
        (PING.replace("{collections_url}", "{other_url}"), "must start with {collections_url}/"),
        (PING + PING, "has a rule already"),
        (PING + "[rules.reply]\nok = true\n", "'ok' and 'error'"),
        (PING + "timeout_s = 0\n", "timeout_s"),
        (PING + '[rules.body]\na = "{b"\n', "expected '}'"),
    ],
)
def test_broken_rules_are_refused_with_a_reason(text, said):
    with pytest.raises(RuleError) as raised:
        table_of(text)
    assert said in str(raised.value)


def test_broken_rules_name_every_fault_at_once():
    with pytest.raises(RuleError, match=r"rule 1: method.*rule 2: colour"):
        table_of(PING.replace("GET", "FETCH") + PING.replace("ping", "pong") + "colour = 1\n")


def test_broken_rule_file_keeps_the_old_rules_and_shows_the_error(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(SHIPPED)
    rule_file = RuleFile(path, SERVICES)
    before = rule_file.table
    path.write_text("[[rules]")
    assert not rule_file.reload()
    assert rule_file.table is before
    assert "not TOML" in rule_file.describe()["error"]
    path.write_text(PING)
    assert rule_file.reload()
    assert list(rule_file.table.rules) == ["ping"]
    assert rule_file.describe()["error"] is None


def test_removed_rule_file_keeps_the_old_rules(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(SHIPPED)
    rule_file = RuleFile(path, SERVICES)
    path.unlink()
    assert not rule_file.reload()
    assert "cannot read" in rule_file.describe()["error"]
    assert list(rule_file.table.rules) == ["edit"]


def test_watcher_takes_over_a_changed_file(tmp_path, monkeypatch):
    path = tmp_path / "rules.toml"
    path.write_text(SHIPPED)
    rule_file = RuleFile(path, SERVICES)
    monkeypatch.setattr("reference_gateway.api.reload.POLL_EVERY_S", 0.0)

    async def scenario():
        watching = asyncio.create_task(rule_file.watch())
        path.write_text(PING)
        async with asyncio.timeout(5):
            while rule_file.reloads == 0:
                await asyncio.sleep(0)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    asyncio.run(scenario())
    assert list(rule_file.table.rules) == ["ping"]


def ask_api(method, path, body=None, rules: Path = DEFAULT_RULES, **raw):
    async def scenario():
        async with running(build_app(rules, SERVICES)) as app:
            return await ask(app, method, path, body, **raw)

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"event": "nope", "args": [{}]}, "unknown event 'nope'"),
        ({"event": 5, "args": [{}]}, "unknown event '5'"),
        ({}, "unknown event 'None'"),
        ({"event": "edit", "args": "x"}, "edit: expected one argument, an object"),
        ({"event": "edit", "args": [1]}, "edit: expected one argument, an object"),
        ({"event": "edit", "args": [{"collection": "c"}]}, "edit: 'parameter' is missing"),
        ({"event": "edit", "args": []}, "edit: 'collection' is missing"),
    ],
)
def test_message_that_fits_no_rule_is_refused_in_its_ack(message, error):
    assert ask_api("POST", "/v1/messages", message) == (200, {"args": [{"ok": False, "error": error}]})


def test_garbage_is_no_message():
    assert ask_api("POST", "/v1/messages", raw=b"{")[0] == 400


def test_rules_are_shown():
    status, shown = ask_api("GET", "/v1/rules")
    assert status == 200
    assert [rule["event"] for rule in shown["rules"]] == ["edit"]
    assert shown["error"] is None


@pytest.mark.e2e
def test_captured_call_is_what_the_rule_says_and_the_answer_becomes_the_ack():
    captured = []
    answers = {
        "c-1": web.json_response({"revision": 7}),
        "bad": web.json_response({"error": "no such place"}, status=404),
        "odd": web.json_response({"number": 1}),
        "text": web.Response(text="oops", status=500),
    }

    async def service(request):
        captured.append((request.method, request.raw_path, await request.json()))
        return answers[request.match_info["collection"]]

    async def scenario():
        app = web.Application()
        app.router.add_post("/v1/collections/{collection}/edits", service)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        services = {"collections_url": f"http://127.0.0.1:{port}"}
        table = table_of(SHIPPED, services)
        acks = []
        async with aiohttp.ClientSession() as session:
            calls = Calls(session, services)
            for name in answers:
                argument = {"collection": name, "parameter": "url", "text": "hi"}
                acks.append(
                    await calls.carry(table, {"event": "edit", "args": [argument], "client": "ann", "node": "n"})
                )
            await runner.cleanup()
            acks.append(await calls.carry(table, {"event": "edit", "args": [argument], "client": "ann", "node": "n"}))
        return acks, calls

    acks, calls = asyncio.run(scenario())
    assert captured[0] == ("POST", "/v1/collections/c-1/edits", {"parameter": "url", "text": "hi", "author": "ann"})
    assert acks[0] == {"ok": True, "revision": 7}
    assert acks[1] == {"ok": False, "error": "edit: no such place"}
    assert acks[2] == {"ok": False, "error": "edit: the service's answer has no 'revision'"}
    assert [ack["ok"] for ack in acks[3:]] == [False, False]
    assert (calls.carried, calls.failed) == (1, 4)
