"""Collections: an edit becomes a revision row, then a publish.

    edit -> [lock of the collection: append_revision (commit) -> publish "collection:{id}"] -> number

Law: publish after commit, never before; publishes of one collection leave in the order of its revisions. A publish that
fails does not undo the revision: it is counted and logged, and viewers learn of the revision with the next one.
"""

from __future__ import annotations

import json
import logging
from typing import Protocol

from reference_gateway.broker.contract import BrokerError
from reference_gateway.broker.log import Offsets
from reference_gateway.services.stripes import Stripes
from reference_gateway.storage.revisions import RevisionStore
from reference_gateway.wire import Edit, channel_of

log = logging.getLogger(__name__)


class Publisher(Protocol):
    """Whoever brings a message to the viewers: a broker, or an outbox before one."""

    async def publish(self, channel: str, data: bytes) -> None:
        """Take a message. Raises `BrokerError` if it surely will not be published."""


class Collections:
    """The domain rules of collections, over one store and one broker.

    Args:
        offsets: numbers what is published, so that who was away can be told what it missed; None: nothing is numbered.
    """

    def __init__(self, store: RevisionStore, broker: Publisher, offsets: Offsets | None = None) -> None:
        self._offsets = offsets
        self._store = store
        self._broker = broker
        self._stripes = Stripes()
        self.edits = 0
        self.unpublished = 0

    async def edit(self, edit: Edit, author: str) -> int:
        """Store `edit` and tell the viewers; return the revision's number.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: nothing was stored and nothing published.
        """
        async with self._stripes.lock_of(edit.collection):
            revision = await self._store.append_revision(edit.collection, edit.parameter, edit.text, author)
            self.edits += 1
            await self._publish(edit, revision)
        return revision

    async def latest(self, collection: str) -> int:
        """Return the latest revision of `collection`, 0 when it has none.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database did not answer.
        """
        return await self._store.latest(collection)

    async def _publish(self, edit: Edit, revision: int) -> None:
        message: dict[str, object] = {
            "collection": edit.collection,
            "revision": revision,
            "parameter": edit.parameter,
            "text": edit.text,
        }
        if self._offsets is not None:  # no pause from here until the broker has it: offsets leave in their order
            message["offset"] = str(self._offsets.next())
        data = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
        try:
            await self._broker.publish(channel_of(edit.collection), data)
        except BrokerError as error:
            self.unpublished += 1
            log.warning("revision %d of %r is stored but not published: %s", revision, edit.collection, error)
