"""An edit becomes a revision, then a publish, in that order and in the order of revisions."""

from __future__ import annotations

import asyncio
import json
import random

import pytest
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette

from reference_gateway.broker.contract import BrokerError
from reference_gateway.services.app import routes
from reference_gateway.services.collections import Collections
from reference_gateway.services.stripes import Stripes
from reference_gateway.wire import Edit

from .asgi import ask


class Store:
    """A store in memory whose answers take a different, seeded while each."""

    def __init__(self, seed=7):
        self.random = random.Random(seed)
        self.rows = {}

    async def append_revision(self, collection, parameter, text, author):
        await asyncio.sleep(self.random.random() / 1000)
        self.rows.setdefault(collection, []).append((parameter, text, author))
        number = len(self.rows[collection])
        await asyncio.sleep(self.random.random() / 1000)
        return number

    async def latest(self, collection):
        return len(self.rows.get(collection, []))


class BrokenStore:
    async def append_revision(self, *_):
        raise OperationalError("insert", {}, Exception("disk full, at /secret/path"))

    latest = append_revision


class Broker:
    def __init__(self, fault=None):
        self.published = []
        self.fault = fault

    async def publish(self, channel, data):
        await asyncio.sleep(0)
        if self.fault:
            raise self.fault
        self.published.append((channel, json.loads(data)))


def app_of(store, broker):
    app = Starlette(routes=routes())
    app.state.collections = Collections(store, broker)
    return app


def post_edit(app, body, collection="c-1", **raw):
    return asyncio.run(ask(app, "POST", f"/v1/collections/{collection}/edits", body, **raw))


def test_edit_is_stored_then_published():
    store, broker = Store(), Broker()
    status, answer = post_edit(app_of(store, broker), {"parameter": "url", "text": "é", "author": "ann"})
    assert (status, answer) == (200, {"revision": 1})
    assert store.rows == {"c-1": [("url", "é", "ann")]}
    message = {"collection": "c-1", "revision": 1, "parameter": "url", "text": "é"}
    assert broker.published == [("collection:c-1", message)]


def test_publishes_follow_the_order_of_revisions():
    store, broker = Store(), Broker()
    collections = Collections(store, broker)

    async def scenario():
        await asyncio.gather(*(collections.edit(Edit(f"c{i % 4}", "p", str(i)), "ann") for i in range(200)))

    asyncio.run(scenario())
    for number in range(4):
        seen = [message["revision"] for channel, message in broker.published if channel == f"collection:c{number}"]
        assert seen == list(range(1, 51))


def test_publish_that_fails_is_counted_and_keeps_the_revision():
    collections = Collections(Store(), Broker(BrokerError("no connection")))
    assert asyncio.run(collections.edit(Edit("c", "p", "t"), "ann")) == 1
    assert collections.unpublished == 1


def test_database_fault_publishes_nothing_and_hides_its_details():
    broker = Broker()
    status, answer = post_edit(app_of(BrokenStore(), broker), {"parameter": "url", "text": "x"})
    assert (status, answer) == (503, {"error": "the database did not store the edit"})
    assert broker.published == []


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"text": "x"}, "parameter"),
        ({"parameter": "url"}, "text"),
        ({"parameter": "url", "text": 5}, "text"),
        ({"parameter": "url", "text": "x" * 65_537}, "65536"),
        ({"parameter": "url", "text": "x", "author": 5}, "author"),
        ([1], "object"),
    ],
)
def test_edit_with_a_wrong_body_names_the_field(body, named):
    status, answer = post_edit(app_of(Store(), Broker()), body)
    assert status == 400
    assert named in answer["error"]


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":"' + b"x" * 1_100_000 + b'"}'])
def test_edit_with_garbage_is_refused(raw):
    assert post_edit(app_of(Store(), Broker()), None, raw=raw)[0] == 400


def test_collection_names_may_hold_slashes_and_dots():
    store = Store()
    app = app_of(store, Broker())
    assert post_edit(app, {"parameter": "p", "text": "t"}, collection="a/../b")[0] == 200
    assert list(store.rows) == ["a/../b"]
    assert asyncio.run(ask(app, "GET", "/v1/collections/a/../b/revision")) == (200, {"revision": 1})


def test_collection_name_over_its_bound_is_refused():
    assert post_edit(app_of(Store(), Broker()), {"parameter": "p", "text": "t"}, collection="x" * 129)[0] == 400


def test_health_counts_edits():
    app = app_of(Store(), Broker())
    post_edit(app, {"parameter": "p", "text": "t"})
    assert asyncio.run(ask(app, "GET", "/healthz")) == (200, {"ok": True, "edits": 1, "unpublished": 0})


def test_stripes_give_a_name_one_lock_in_constant_memory():
    stripes = Stripes(8)
    assert stripes.lock_of("a") is stripes.lock_of("a")
    assert len({id(stripes.lock_of(str(i))) for i in range(1000)}) == 8
