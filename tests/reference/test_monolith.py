"""Version `sync` behaves on the wire as the split versions do; its handlers run here without a socket."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import OperationalError

from reference_gateway.monolith.app import MonolithSettings, build_app
from reference_gateway.monolith.sync import Sync
from reference_gateway.storage.location import sqlite_url

from .asgi import ask, running


class Server:
    """What the handlers use of a Socket.IO server, written down."""

    def __init__(self):
        self.handlers = {}
        self.rooms = set()
        self.emitted = []

    def on(self, event, handler):
        self.handlers[event] = handler

    async def enter_room(self, sid, room):
        self.rooms.add((sid, room))

    async def leave_room(self, sid, room):
        self.rooms.discard((sid, room))

    async def emit(self, event, data, room):
        self.emitted.append((event, data, room))

    def fire(self, event, *args):
        return asyncio.run(self.handlers[event](*args))


class Store:
    def __init__(self):
        self.rows = []

    async def append_revision(self, *row):
        await asyncio.sleep(0)
        self.rows.append(row)
        number = len(self.rows)
        await asyncio.sleep(0)
        return number

    async def latest(self, collection):
        return len(self.rows)


class BrokenStore:
    async def append_revision(self, *_):
        raise OperationalError("insert", {}, Exception("disk full, at /secret/path"))

    latest = append_revision


def monolith(store=None):
    server = Server()
    return server, Sync(server, store or Store())


EDIT = {"collection": "c-1", "parameter": "url", "text": "hi"}


def test_subscribe_enters_the_room_and_tells_the_revision():
    server, _ = monolith()
    assert server.fire("subscribe", "s1", {"collection": "c-1"}) == {"ok": True, "revision": 0}
    assert server.rooms == {("s1", "collection:c-1")}
    assert server.fire("unsubscribe", "s1", {"collection": "c-1"}) == {"ok": True, "revision": 0}
    assert server.rooms == set()


def test_edit_is_stored_under_the_clients_name_and_sent_to_the_room():
    store = Store()
    server, sync = monolith(store)
    server.fire("connect", "s1", {}, {"client": "ann"})
    assert sync.connections == 1
    assert server.fire("edit", "s1", EDIT) == {"ok": True, "revision": 1}
    assert store.rows == [("c-1", "url", "hi", "ann")]
    assert server.emitted == [("revision", {**EDIT, "revision": 1}, "collection:c-1")]
    server.fire("disconnect", "s1", "gone")
    assert sync.connections == 0


def test_edits_at_once_are_sent_in_the_order_of_revisions():
    server, _ = monolith()

    async def scenario():
        await asyncio.gather(*(server.handlers["edit"]("s", EDIT) for _ in range(50)))

    asyncio.run(scenario())
    assert [data["revision"] for _, data, _ in server.emitted] == list(range(1, 51))


@pytest.mark.parametrize("auth", [None, 5, {}, {"client": 5}, {"client": ""}, {"client": "x" * 1000}])
def test_connect_takes_any_auth(auth):
    store = Store()
    server, _ = monolith(store)
    server.fire("connect", "s1", {}, auth)
    server.fire("edit", "s1", EDIT)
    assert 0 < len(store.rows[0][3]) <= 128


@pytest.mark.parametrize("event", ["subscribe", "unsubscribe", "edit"])
@pytest.mark.parametrize("args", [(), (5,), ({},), ({"collection": ""},), ({"collection": "x" * 129},), (EDIT, EDIT)])
def test_wrong_arguments_are_refused_in_the_ack(event, args):
    server, _ = monolith()
    answer = server.fire(event, "s1", *args)
    assert answer["ok"] is False
    assert answer["error"]
    assert server.emitted == []


@pytest.mark.parametrize("event", ["subscribe", "unsubscribe", "edit"])
def test_database_fault_is_an_ack_without_details(event):
    server, _ = monolith(BrokenStore())
    assert server.fire(event, "s1", EDIT) == {"ok": False, "error": f"{event}: the database did not answer"}


def test_unknown_event_is_refused_in_the_ack():
    server, _ = monolith()
    assert server.fire("*", "nope", "s1", 5) == {"ok": False, "error": "unknown event 'nope'"}


def test_health_tells_node_and_connections(tmp_path):
    settings = MonolithSettings("n-1", "sync", sqlite_url(tmp_path / "r.sqlite3"), None, 25.0, 20.0, 5)

    async def scenario():
        async with running(build_app(settings)) as app:
            return await ask(app, "GET", "/healthz")

    assert asyncio.run(scenario()) == (200, {"ok": True, "node": "n-1", "version": "sync", "connections": 0})
