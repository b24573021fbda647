"""Users that hold one connection each, through other people's client libraries: small populations, full fidelity.

from loadtest.users.api import SocketIOClientUser, attach
attach()
class Viewer(SocketIOClientUser):             # python-socketio;  WebSocketClientUser: websocket-client
    profile = "any-socketio.toml"
    def on_connect(self, client): self.connection.emit("hello", {"n": client.index})
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import Any, ClassVar

from loadtest.errors import UsageError
from loadtest.herd.herd import Herd
from loadtest.profile.model import Profile
from loadtest.users.herd_user import HerdUser
from loadtest.users.links import LibraryHerd, Link, SocketIOLink, WebSocketLink

LIBRARIES = {"socketio": "python-socketio[client]", "websocket": "websocket-client"}


class ClientUser(HerdUser):
    """One client of a library. Everything else is as in `HerdUser`.

    Attributes:
        connection: the library's own client, None while there is none: what tasks and hooks send with.
    """

    abstract = True
    connections = 1
    dialect_name: ClassVar[str]
    link: ClassVar[type[Link]]

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Import the library with the locustfile: half a second that must not fall into the run."""
        super().__init_subclass__(**keywords)
        if not cls.__dict__.get("abstract"):
            with suppress(ImportError):  # `herd_kind` refuses it in a sentence
                importlib.import_module(cls.link.module)

    @property
    def connection(self) -> Any:
        """Return the library's client of this user's connection, or None."""
        herd = self.herd
        assert isinstance(herd, LibraryHerd)
        link = herd.links.get(self.slots.start) if self.slots else None
        return None if link is None else link.connection

    @classmethod
    def herd_kind(cls, profile: Profile) -> type[Herd]:
        """Return the class of herd that holds this class's connections.

        Raises:
            UsageError: the profile is for something else, or the library is not installed.
        """
        if profile.target.dialect != cls.dialect_name:
            raise UsageError(f'{cls.__name__} speaks "{cls.dialect_name}", the profile "{profile.target.dialect}"')
        try:
            importlib.import_module(cls.link.module)
            importlib.import_module("websocket")  # python-socketio alone would fall back to polling
        except ImportError as error:
            raise UsageError(
                f"{cls.__name__} needs {LIBRARIES[cls.link.module]}: pip install 'gateway-loadtest[clients]'"
            ) from error
        return type("LibraryHerd", (LibraryHerd,), {"profile": profile, "link": cls.link})


class SocketIOClientUser(ClientUser):
    """One python-socketio client, on the WebSocket transport."""

    abstract = True
    dialect_name = "socketio"
    link = SocketIOLink


class WebSocketClientUser(ClientUser):
    """One websocket-client connection, with the profile's JSON messages."""

    abstract = True
    dialect_name = "websocket"
    link = WebSocketLink
