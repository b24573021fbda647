"""Rules of `[subscribe]` and `[publish]`: the keys of the dialect, and messages that can be recognised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loadtest.profile.model import Profile
from loadtest.profile.placeholders import scan
from loadtest.profile.rules.objection import Objection, Rule, wrong_url
from loadtest.profile.section import texts
from loadtest.profile.wording import show
from loadtest.units import format_duration

_OF_DIALECT = {"socketio": ("event", "args"), "websocket": ("message",)}


def _foreign(profile: Profile, table: str, keys: tuple[str, ...]) -> Iterator[Objection]:
    """Yield the keys of the other dialect that a table uses."""
    dialect = profile.target.dialect
    section = getattr(profile, table)
    own = _OF_DIALECT[dialect]
    for key in keys:
        if key not in own and section.departs(key):
            yield Objection(
                (f"{table}.{key}", "target.dialect"),
                f'not a key of target.dialect = "{dialect}"; allowed instead: {" and ".join(own)}',
            )


def subscribe_speaks_its_dialect(profile: Profile) -> Iterator[Objection]:
    """Socket.IO sends an event with arguments, plain WebSocket a message; an ack must be recognisable."""
    subscribe, dialect = profile.subscribe, profile.target.dialect
    if subscribe is None:
        return
    yield from _foreign(profile, "subscribe", ("event", "args", "message"))
    needed = _OF_DIALECT[dialect][0]
    if getattr(subscribe, needed) is None:
        kind = "an event name" if needed == "event" else "the message to send"
        yield Objection((f"subscribe.{needed}", "target.dialect"), f"required, and missing; allowed: {kind}")
    if dialect == "websocket" and subscribe.ack and not subscribe.ack_path and subscribe.ack_equals is None:
        yield Objection(
            ("subscribe.ack_path", "subscribe.ack", "target.dialect"),
            "required with ack = true, and missing; allowed: the dotted path that tells an answer (or ack = false)",
        )
    if not profile.population.channels:
        yield Objection(
            ("population.channels", "subscribe"),
            "required with [subscribe], and missing; allowed: [[population.channels]]",
        )


def publish_speaks_its_dialect(profile: Profile) -> Iterator[Objection]:
    """A message goes out by the dialect's event or message, or by HTTP; not by two ways at once."""
    publish, dialect = profile.publish, profile.target.dialect
    if publish.via == "http":
        for key in ("event", "args", "message", "ack"):
            if publish.departs(key):
                yield Objection((f"publish.{key}", "publish.via"), 'allowed only with via = "event"')
    else:
        yield from _foreign(profile, "publish", ("event", "args", "message"))
        if publish.ack and dialect == "websocket":
            yield Objection(("publish.ack", "target.dialect"), 'allowed only with target.dialect = "socketio"')
        if publish.http is not None:
            yield Objection(("publish.http", "publish.via"), 'allowed only with via = "http"')
    if publish.rate_per_s > 0 or profile.publishes:
        needed = "http" if publish.via == "http" else _OF_DIALECT[dialect][0]
        scheduled = publish.rate_per_s > 0 or profile.publish_rate_per_s > 0
        why = "publish.rate above 0" if scheduled else "recovery.canary"
        if getattr(publish, needed) is None:
            yield Objection(
                (f"publish.{needed}", "publish.via", "publish.rate", "target.dialect", "recovery.canary"),
                f'required with {why} and via = "{publish.via}", and missing',
            )
    if publish.departs("burst_every_s") and publish.arrival != "burst":
        yield Objection(("publish.burst_every", "publish.arrival"), 'allowed only with arrival = "burst"')


def publishes_can_be_recognised(profile: Profile) -> Iterator[Objection]:
    """What is published reaches somebody and carries the marker, and waits out its deadline."""
    publish = profile.publish
    if publish.rate_per_s == 0 and not profile.publishes:
        return
    key, content = _published(profile)
    names = {name for _, text in texts(content) for name in scan(text).names}
    if content is not None and "marker" not in names:
        yield Objection(
            (f"publish.{key}",),
            "has no {marker}, without which no delivery can be told; put it into a text that comes back",
        )
    if content is not None and publish.departs("payload_bytes") and "padding" not in names:
        yield Objection(
            ("publish.payload", f"publish.{key}"), f"has no effect: there is no {{padding}} in publish.{key}"
        )
    if not profile.population.channels and publish.rate_per_s > 0:
        yield Objection(
            ("population.channels", "publish.rate"),
            "required with publish.rate above 0, and missing: nobody would receive; allowed: [[population.channels]]",
        )
    if profile.drain_s < publish.deadline_s:
        yield Objection(
            ("phases.drain", "publish.deadline"),
            f'found "{format_duration(profile.drain_s)}", allowed: at least publish.deadline, '
            f'"{format_duration(publish.deadline_s)}", so that every message has its time',
        )


def _published(profile: Profile) -> tuple[str, Any]:
    """Return the key and the content of what is published; None when the profile has none."""
    publish = profile.publish
    if publish.via == "http":
        return "http", None if publish.http is None else [publish.http.url, publish.http.headers, publish.http.body]
    if profile.target.dialect == "socketio":
        return "args", None if publish.event is None else [publish.event, *publish.args]
    return "message", publish.message


def http_goes_somewhere(profile: Profile) -> Iterator[Objection]:
    """HTTP calls have an HTTP address."""
    if profile.publish.http is not None:
        wrong = wrong_url(profile.publish.http.url, ("http", "https"))
        if wrong is not None:
            yield Objection(("publish.http.url",), wrong)


def paths_have_steps(profile: Profile) -> Iterator[Objection]:
    """A dotted path has no empty step."""
    paths = {"publish.marker": profile.publish.marker}
    if profile.subscribe is not None:
        paths["subscribe.ack_path"] = profile.subscribe.ack_path
    if profile.target.bootstrap is not None:
        paths["target.bootstrap.path"] = profile.target.bootstrap.path
    for key, path in paths.items():
        if path and not all(path.split(".")):
            yield Objection((key,), f'found {show(path)}, allowed: names or numbers with single dots, such as "1.text"')


RULES: tuple[Rule, ...] = (
    subscribe_speaks_its_dialect,
    publish_speaks_its_dialect,
    publishes_can_be_recognised,
    http_goes_somewhere,
    paths_have_steps,
)
