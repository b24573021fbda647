"""How a client introduces itself: `[client]`. Every string is a template over the client's variables."""

from __future__ import annotations

from pydantic import Field

from loadtest.profile.section import Section, Value


class Client(Section):
    """What each client says of itself when it connects."""

    namespace: str = Field(default="/", pattern=r"^/", description="Socket.IO namespace (socketio only).")
    headers: dict[str, str] = Field(default_factory=dict, description="Extra headers of the upgrade request.")
    query: dict[str, str] = Field(default_factory=dict, description="Query parameters added to the URL.")
    auth: dict[str, Value] | None = Field(default=None, description="Payload of Socket.IO's CONNECT (socketio only).")
    hello: Value | None = Field(
        default=None, description="First message (websocket only): a table is sent as JSON, a string as it is."
    )
    csv: str | None = Field(
        default=None,
        min_length=1,
        description="CSV file beside the profile: its header names variables; client i takes row i modulo rows.",
    )
    variables: dict[str, str] = Field(
        default_factory=dict,
        description="Variables per client: templates over {index}, {client}, {run}, CSV columns.",
    )
