"""Binary in Socket.IO: attachments beside a packet on the wire, a note of base64 inside the JSON of the API.

    452-["file",{"_placeholder":true,"num":0}] + two binary messages  <->  ["file", {"$bytes": "AQI="}]

The law: inside the stack a message is one JSON value, whatever came with it. The number of attachments of a packet is
bounded, the size of each is that of any message.
Source: socket.io-protocol v5, "Packet encoding"; a bound of 10 attachments as in socket.io-parser 4.2.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from .packets import Packet, PacketError

BYTES: Final = "$bytes"
_PLACEHOLDER: Final = "_placeholder"


class Partial:
    """A packet whose attachments are still on their way.

    Args:
        packet: as it came, with placeholders.
        due: how many attachments belong to it.
    """

    __slots__ = ("_attachments", "_due", "_packet")

    def __init__(self, packet: Packet, due: int) -> None:
        self._packet = packet
        self._due = due
        self._attachments: list[bytes] = []

    def add(self, attachment: bytes) -> Packet | None:
        """Take the next attachment; return the whole packet with the last one.

        Raises:
            PacketError: a placeholder names no attachment.
        """
        self._attachments.append(attachment)
        if len(self._attachments) < self._due:
            return None
        try:
            return self._packet._replace(data=self._restored(self._packet.data))
        except RecursionError as error:
            raise PacketError("nested too deeply") from error

    def _restored(self, value: object) -> object:
        if isinstance(value, list):
            return [self._restored(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get(_PLACEHOLDER) is not True:
            return {key: self._restored(item) for key, item in value.items()}
        number = value.get("num")
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(self._attachments):
            raise PacketError("a placeholder names no attachment")
        return {BYTES: base64.b64encode(self._attachments[number]).decode()}


def detach(value: object, attachments: list[bytes]) -> object:
    """Return `value` with a placeholder for each note of bytes in it, and append those bytes to `attachments`."""
    if isinstance(value, list | tuple):
        return [detach(item, attachments) for item in value]
    if not isinstance(value, dict):
        return value
    note = value.get(BYTES)
    if len(value) == 1 and isinstance(note, str):
        try:
            attachments.append(base64.b64decode(note, validate=True))
        except (binascii.Error, ValueError):
            return value
        return {_PLACEHOLDER: True, "num": len(attachments) - 1}
    return {key: detach(item, attachments) for key, item in value.items()}
