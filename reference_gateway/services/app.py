"""The collections service over HTTP.

POST /v1/collections/{id}/edits {"parameter", "text", "author"} -> 200 {"revision": n}; 400, 503
GET  /v1/collections/{id}/revision                              -> 200 {"revision": n}
GET  /healthz                                                   -> 200 {"ok", "edits", "unpublished"}
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from reference_gateway.broker.log import Offsets
from reference_gateway.broker.redis import RedisBroker
from reference_gateway.services.collections import Collections
from reference_gateway.services.outbox import Outbox
from reference_gateway.serving import BodyError, read_object, refuse
from reference_gateway.storage.revisions import RevisionStore
from reference_gateway.storage.schema import AUTHOR_CHARS
from reference_gateway.wire import WireError, edit_of

log = logging.getLogger(__name__)


def build_app(
    database_url: str, redis_url: str, kept: int = 0, *, patient: bool = False, trouble_file: Path | None = None
) -> Starlette:
    """Return the service; it opens store and broker when it starts and closes them when it ends.

    Args:
        kept: messages that the broker keeps of each collection; 0 = none, and they have no offsets.
        trouble_file: where trouble of the database is told of, if anywhere.
        patient: whether what cannot be published is kept until it can be, and a replica made the primary if need be.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        store = await RevisionStore.open(database_url, trouble_file=trouble_file)
        broker = RedisBroker(redis_url, kept=kept, promotes=patient)
        outbox = Outbox(broker) if patient else None
        app.state.collections = Collections(store, broker if outbox is None else outbox, Offsets() if kept else None)
        try:
            yield
        finally:
            if outbox is not None:
                await outbox.close()
            await broker.close()
            await store.close()

    return Starlette(routes=routes(), lifespan=lifespan)


def routes() -> list[Route]:
    """Return the routes; they use `app.state.collections`."""
    return [
        # ":path": an id may hold a slash; it arrives percent-encoded and is decoded before routing.
        Route("/v1/collections/{collection:path}/edits", _edit, methods=["POST"]),
        Route("/v1/collections/{collection:path}/revision", _revision, methods=["GET"]),
        Route("/healthz", _health, methods=["GET"]),
    ]


async def _edit(request: Request) -> JSONResponse:
    collections: Collections = request.app.state.collections
    try:
        body = await read_object(request)
        edit = edit_of([{**body, "collection": request.path_params["collection"]}])
        author = _author_of(body)
    except (BodyError, WireError) as error:
        return refuse(400, str(error))
    try:
        return JSONResponse({"revision": await collections.edit(edit, author)})
    except SQLAlchemyError as error:
        log.warning("an edit of %r was not stored: %s", edit.collection, type(error).__name__)
        return refuse(503, "the database did not store the edit")


async def _revision(request: Request) -> JSONResponse:
    collections: Collections = request.app.state.collections
    try:
        return JSONResponse({"revision": await collections.latest(request.path_params["collection"])})
    except SQLAlchemyError as error:
        log.warning("no answer from the database: %s", type(error).__name__)
        return refuse(503, "the database did not answer")


async def _health(request: Request) -> JSONResponse:
    collections: Collections = request.app.state.collections
    return JSONResponse({"ok": True, "edits": collections.edits, "unpublished": collections.unpublished})


def _author_of(body: dict[str, object]) -> str:
    author = body.get("author") or ""
    if not isinstance(author, str) or len(author) > AUTHOR_CHARS:
        raise BodyError(f"'author' must be a string of at most {AUTHOR_CHARS} characters")
    return author
