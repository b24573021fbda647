"""What is said on the connections: `[subscribe]` and `[publish]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from loadtest.profile.quantities import Bytes, Count, PerSecond, Seconds
from loadtest.profile.section import HttpRequest, Section, Several, Value


class Subscribe(Section):
    """What a client sends for each of its channels. Without this table a client counts as subscribed on connect."""

    event: str | None = Field(default=None, min_length=1, description="Event name (socketio only).")
    args: Several[Value] = Field(default=(), description="Arguments of the event (socketio only).")
    message: Value | None = Field(
        default=None, description="Message (websocket only): a table is sent as JSON, a string as it is."
    )
    ack: bool = Field(
        default=True, description="Wait for the server's word; false: counted as subscribed after `settle`."
    )
    ack_path: str = Field(
        default="",
        description="Dotted path that tells a good ack: into the ack's arguments (socketio), or into a message "
        "(websocket, where ack needs it or ack_equals).",
    )
    ack_equals: Value | None = Field(default=None, description="Value at ack_path that means subscribed.")
    settle_s: Seconds = Field(
        default=1.0, alias="settle", le=3600, description="With ack = false: time until subscribed."
    )
    timeout_s: Seconds = Field(
        default=10.0, alias="timeout", gt=0, le=3600, description="Without an ack by then the subscription has failed."
    )


class Publish(Section):
    """What is published, how often, and how the harness knows its own messages again."""

    rate_per_s: PerSecond = Field(
        default=0.0, alias="rate", le=1_000_000, description="Messages per second, all channels together; 0: none."
    )
    arrival: Literal["constant", "poisson", "burst"] = Field(
        default="constant",
        description="Spacing: even, random (exponential gaps), or all at once every burst_every.",
    )
    burst_every_s: Seconds = Field(
        default=1.0, alias="burst_every", gt=0, le=86_400, description="Time between bursts (arrival = burst only)."
    )
    via: Literal["event", "http"] = Field(
        default="event", description="Publish by a client's event, or by an HTTP call."
    )
    connections: Count = Field(
        default=4,
        ge=1,
        le=10_000,
        description="Connections (or HTTP clients) that publish, on top of the population.",
    )
    event: str | None = Field(default=None, min_length=1, description="Event name (socketio, via = event).")
    args: Several[Value] = Field(default=(), description="Arguments of the event (socketio, via = event).")
    ack: bool = Field(
        default=False, description="Ask for a Socket.IO ack and measure its round trip (socketio, via = event)."
    )
    message: Value | None = Field(
        default=None, description="Message (websocket, via = event): a table is sent as JSON, a string as it is."
    )
    http: HttpRequest | None = Field(default=None, description="The call that publishes one message (via = http).")
    payload_bytes: Bytes = Field(default=64, alias="payload", le=16 * 2**20, description="Size of {padding}.")
    marker: str = Field(
        default="",
        description="Dotted path to the text that holds the marker in a delivered message: into [event, args...] "
        'for socketio, into the JSON message for websocket. "": it is searched for anywhere.',
    )
    deadline_s: Seconds = Field(
        default=5.0, alias="deadline", gt=0, le=3600, description="A message not delivered by then counts as lost."
    )
