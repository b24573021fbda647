"""Rules of `[target]`: something to connect to, and only what that kind of target has."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from loadtest.profile.model import Profile
from loadtest.profile.rules.objection import Objection, Rule, wrong_url
from loadtest.profile.wording import show


def there_is_a_target(profile: Profile) -> Iterator[Objection]:
    """One of url, stack and bootstrap says where to connect, and stack knows its own URLs."""
    target = profile.target
    if target.stack is None and not target.urls and target.bootstrap is None:
        yield Objection(
            ("target.url", "target.stack", "target.bootstrap"),
            'required, and missing; allowed: a ws:// or wss:// address (or --target URL), or stack = "reference"',
        )
    if target.stack is not None and target.urls:
        yield Objection(
            ("target.url", "target.stack"),
            f'found {show(target.urls[0])} beside stack = "{target.stack}", which knows its own URLs; leave one out',
        )
    for number, url in enumerate(target.urls):
        wrong = wrong_url(url, ("ws", "wss"))
        if wrong is not None:
            yield Objection((f"target.url.{number}" if len(target.urls) > 1 else "target.url",), wrong)


def reference_stack_is_whole(profile: Profile) -> Iterator[Objection]:
    """The reference stack needs a version and speaks Socket.IO; other targets have no nodes to start."""
    target = profile.target
    if target.stack == "reference":
        if target.version is None:
            yield Objection(
                ("target.version", "target.stack"),
                'required with stack = "reference", and missing; allowed: a version such as "bifrost-1" or "sync"',
            )
        if target.dialect != "socketio":
            yield Objection(
                ("target.dialect", "target.stack"),
                f'found "{target.dialect}", allowed with stack = "reference": "socketio"',
            )
        for key, value in (("front_rate", target.front_rate_per_s), ("front_connections", target.front_connections)):
            if value is not None and target.front is None:
                yield Objection((f"target.{key}", "target.front"), 'allowed with front = "nginx"')
        return
    fields = {
        "nodes": "nodes",
        "ping_interval": "ping_interval_s",
        "ping_timeout": "ping_timeout_s",
        "admit": "admit_per_s",
        "front": "front",
        "front_rate": "front_rate_per_s",
        "front_connections": "front_connections",
        "node": "node",
        "autoscale": "autoscale",
    }
    for key, field in fields.items():
        if target.departs(field):
            found = "" if key != "nodes" else f"found {target.nodes}, "
            yield Objection(
                (f"target.{key}", "target.stack"), f'{found}allowed only with stack = "reference"; leave it out'
            )


def tls_fits(profile: Profile) -> Iterator[Objection]:
    """TLS settings belong to wss://, a certificate goes with its key, and the files exist."""
    target = profile.target
    tls = target.tls
    if tls is None:
        return
    if target.stack is not None or (target.urls and not any(urlsplit(url).scheme == "wss" for url in target.urls)):
        yield Objection(("target.tls", "target.url", "target.stack"), "allowed only with a wss:// address")
    if tls.key is not None and tls.cert is None:
        yield Objection(("target.tls.cert", "target.tls.key"), "required with key, and missing; allowed: a PEM file")
    if tls.insecure and tls.ca is not None:
        yield Objection(
            ("target.tls.insecure", "target.tls.ca"),
            "found true beside ca: verify against ca, or verify nothing, not both",
        )
    for key, name in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key)):
        if name is not None and not profile.file(name).is_file():
            yield Objection((f"target.tls.{key}",), f"found {show(name)}, but there is no file {profile.file(name)}")


def bootstrap_has_url(profile: Profile) -> Iterator[Objection]:
    """Somebody must be asked; only the reference stack knows whom by itself."""
    target = profile.target
    if target.bootstrap is None:
        return
    if target.bootstrap.url is None:
        if target.stack is None:
            yield Objection(
                ("target.bootstrap.url", "target.stack"),
                "required, and missing; allowed: an http:// or https:// address",
            )
        return
    wrong = wrong_url(target.bootstrap.url, ("http", "https"))
    if wrong is not None:
        yield Objection(("target.bootstrap.url",), wrong)


RULES: tuple[Rule, ...] = (there_is_a_target, reference_stack_is_whole, tls_fits, bootstrap_has_url)
