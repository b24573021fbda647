"""The rule table: event -> HTTP call -> reply. Data, loaded whole or not at all.

    {"event", "args", "client", "node"} --Rule.call--> method, URL, body      service's JSON --Rule.reply--> ack

Law: a table is immutable; a reload makes a new one and swaps the reference, requests in flight keep the one they began
with. A URL starts with a service known by configuration and client values enter it percent-encoded: a client cannot
choose the host or climb out of the path.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from reference_gateway.api.template import Template, compile_value
from reference_gateway.errors import ReferenceGatewayError
from reference_gateway.wire import MAX_EVENT_CHARS


class RuleError(ReferenceGatewayError):
    """A rule file cannot be used; the message lists everything that is wrong with it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call to an internal service."""

    method: str
    url: str
    body: Any
    timeout_s: float


class Rule(BaseModel):
    """One row of the table; the keys are explained in `rules.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: str = Field(min_length=1, max_length=MAX_EVENT_CHARS)
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    url: str
    body: dict[str, Any] | None = None
    reply: dict[str, Any] = Field(default_factory=dict)
    timeout_s: float = Field(default=5.0, gt=0, le=60)

    _url: Template = PrivateAttr()
    _body: Any = PrivateAttr()
    _reply: Any = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        if "ok" in self.reply or "error" in self.reply:
            raise ValueError("reply: 'ok' and 'error' are the API's own")
        self._url = Template(self.url)
        self._body = compile_value(self.body)
        self._reply = compile_value(self.reply)
        return self

    def check_service(self, services: Mapping[str, str]) -> str:
        """Return what is wrong with the URL's service, empty if nothing is."""
        if any(self.url.startswith(f"{{{service}}}/") for service in services):
            return ""
        allowed = " or ".join(f"{{{service}}}/" for service in services)
        return f"rule {self.event!r}: url {self.url!r} must start with {allowed}"

    def call(self, values: Mapping[str, Any], services: Mapping[str, str]) -> Call:
        """Return the HTTP call for one message.

        Args:
            values: fields of the event's argument, with `client`, `node` and `event`.
            services: base URL per service placeholder.

        Raises:
            MissingValueError: the message lacks a field the rule needs.
        """
        service = self._url.names[0]
        rest = self._url.fill_text({**values, service: ""}, _encode_segment)
        return Call(self.method, services[service] + rest, self._body(values), self.timeout_s)

    def reply_of(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of the ack from the service's JSON answer.

        Raises:
            MissingValueError: the answer lacks a field the rule needs.
        """
        return dict(self._reply(answer))


@dataclass(frozen=True, slots=True)
class RuleTable:
    """All rules of one file, with the hash of the file they came from."""

    rules: Mapping[str, Rule]
    digest: str

    @classmethod
    def parse(cls, text: str, services: Mapping[str, str]) -> RuleTable:
        """Return the table in a TOML text.

        Raises:
            RuleError: everything that is wrong with it.
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise RuleError(f"not TOML: {error}") from None
        faults = [f"unknown key {key!r}: allowed is [[rules]]" for key in document if key != "rules"]
        rows = document.get("rules")
        if not isinstance(rows, list) or not rows:
            raise RuleError("; ".join([*faults, "no [[rules]]"]))
        rules: dict[str, Rule] = {}
        for number, row in enumerate(rows, 1):
            try:
                rule = Rule.model_validate(row)
            except ValidationError as error:
                for fault in error.errors():
                    where = ".".join(str(step) for step in fault["loc"])
                    faults.append(f"rule {number}{': ' + where if where else ''}: {fault['msg']}")
                continue
            wrong = rule.check_service(services)
            faults += [wrong] if wrong else []
            faults += [f"rule {number}: event {rule.event!r} has a rule already"] if rule.event in rules else []
            rules[rule.event] = rule
        if faults:
            raise RuleError("; ".join(faults))
        return cls(rules, hashlib.sha256(text.encode()).hexdigest()[:12])

    @classmethod
    def load(cls, path: Path, services: Mapping[str, str]) -> RuleTable:
        """Return the table in the file `path`.

        Raises:
            RuleError: the file cannot be read or used.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RuleError(f"cannot read {path}: {error}") from None
        return cls.parse(text, services)


def _encode_segment(value: str) -> str:
    """Percent-encode a client's value so that it stays one path segment; "." and ".." too."""
    encoded = quote(value, safe="", errors="replace")
    return encoded.replace(".", "%2E") if value in (".", "..") else encoded
