"""What thousands of clients say in the same bytes: a request to subscribe is read once, then looked up.

    420["subscribe",{"collection":"c-1"}] --first time: packets, wire--> Wish --kept--> for the next client: one look-up

The law: a look-up says what reading anew would; whatever else the bytes are, or say wrongly, is None here and judged by
those who judge everything. Bounded: `_MOST` wishes, then it forgets all and begins anew.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from reference_gateway import wire

from . import packets

_MOST: Final = 4096
_EVENT: Final = f"4{packets.EVENT}".encode()
_NAME: Final = f'["{wire.SUBSCRIBE}",'.encode()


class Wish(NamedTuple):
    """A request to subscribe to a collection; `ack` as in `packets.Packet`."""

    collection: str
    ack: str | None


class Phrases(dict[bytes, Wish | None]):
    """The wish in a text of a client of the namespace "/", None for anything else. Cost: 0.1 us for a known one."""

    def __missing__(self, payload: bytes) -> Wish | None:
        """Read a text that is not known, and know it from now on if it is a wish."""
        if not payload.startswith(_EVENT) or _NAME not in payload:
            return None
        try:
            packet = packets.parse(payload.decode())
            name, *args = packet.data if isinstance(packet.data, list) else [None]
            if name != wire.SUBSCRIBE or packet.namespace != "/":
                return None
            wish = Wish(wire.collection_of(args), packet.ack)
        except ValueError:  # not UTF-8, no packet, or no collection
            return None
        if len(self) >= _MOST:
            self.clear()
        self[payload] = wish
        return wish
