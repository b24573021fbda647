"""How clients are told to go while the node lives on or ends: so many close frames a step, spread evenly.

    POST /v1/leave --token?--> Relocation --choose--> pace(close each) over its seconds       (see `relocation`)
    SIGTERM -----------------> everybody ----------> pace(close each) over the drain's, or hang_up

Law: each close is a step of its own time; the loop is never held longer than one step's closes.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from socket import MSG_MORE
from typing import Final, TypeVar

from reference_gateway import wire
from reference_gateway.errors import SettingError
from reference_gateway.relocation import Relocation, is_authorized

from .drain import due
from .framing import close_frame
from .handshake import Refusal, Request, response

log = logging.getLogger(__name__)

_send: Final = ctypes.CDLL(None).send
"""send(2) of a bare descriptor: a socket object for each would first ask the kernel what it is (getsockname), 4 us."""
_send.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
_send.restype = ctypes.c_ssize_t

T = TypeVar("T")
_STEP_S: Final = 0.02


async def pace(
    sessions: Sequence[T],
    over_s: float,
    close: Callable[[T], None],
    before: Callable[[Sequence[T]], Awaitable[None]] | None = None,
) -> None:
    """Call `close` for each of `sessions`, evenly over `over_s` seconds; 0 = all at once.

    Args:
        before: awaited with those who are closed next.
    """
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    closed = 0
    while True:
        now = due(len(sessions), loop.time() - start_s, over_s)
        if before is not None and now > closed:
            await before(sessions[closed:now])
        for session in sessions[closed:now]:
            close(session)
        closed = now
        if closed == len(sessions):
            break
        await asyncio.sleep(_STEP_S)


def read_relocation(request: Request, token: str) -> Relocation:
    """Return the order in a request.

    Raises:
        Refusal: without the token, or not an order.
    """
    if request.method != b"POST":
        raise Refusal("405 Method Not Allowed", "method", b"POST only\n", "Allow: POST\r\n")
    if not is_authorized(token, request.headers.get(b"authorization", b"").decode("latin-1")):
        raise Refusal("401 Unauthorized", "token", b"the token of the nodes is missing or wrong\n")
    try:
        return Relocation.parse("&".join(f"{key.decode()}={value.decode()}" for key, value in request.query.items()))
    except (SettingError, UnicodeDecodeError) as error:
        raise Refusal("400 Bad Request", "order", f"{error}\n".encode()) from None


def answer(leaving: int) -> bytes:
    """Return the answer to an order that was taken."""
    return response("202 Accepted", json.dumps({"leaving": leaving}).encode(), "application/json")


def hang_up(transports: Iterable[asyncio.Transport], farewell: Callable[[], wire.CloseCode]) -> None:
    """Send each a close frame and end its connection in the same segment.

    For the end of a node that shares its core with many: sockets that are ended one by one, each after its client's
    answer, cost it and its neighbours several times as much, and nobody listens meanwhile. A transport whose output
    waits is just ended: its client is in the middle of a frame.
    """
    gone = 0
    for transport in transports:
        held = transport.get_extra_info("socket")
        if held is None:
            continue  # it polls, and has no connection of its own
        descriptor = held.fileno()
        if not transport.get_write_buffer_size():
            frame = close_frame(farewell())
            gone += _send(descriptor, frame, len(frame), MSG_MORE) < 0
        os.close(descriptor)
    if gone:
        log.info("%d connections had ended unseen", gone)
