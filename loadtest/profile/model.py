"""The whole profile: one immutable value that says everything about a run, and what can be computed from it.

file + --set + --target --load_profile--> Profile --to_toml--> the run folder
                                             |--variables(i), channels_of(i)--> herds and publishers
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr

from loadtest.profile.channels import ChannelPlan
from loadtest.profile.client import Client
from loadtest.profile.faults import Fault
from loadtest.profile.placeholders import render
from loadtest.profile.population import Population
from loadtest.profile.quantities import Seconds
from loadtest.profile.redaction import redacted
from loadtest.profile.relay import Relay
from loadtest.profile.scale import Scale
from loadtest.profile.section import Section, Several
from loadtest.profile.target import Target
from loadtest.profile.timeline import Phases, Ramp, Reconnect, Recovery
from loadtest.profile.toml_writer import dumps
from loadtest.profile.traffic import Publish, Subscribe
from loadtest.profile.user_table import UserTable


class Profile(Section):
    """A load test, whole."""

    SCHEMA_ID: ClassVar[str] = "https://json-schema.org/draft/2020-12/schema"

    name: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Name of the profile. Default: the file's name.",
    )
    description: str = Field(default="", description="What this profile is for, in a sentence.")
    duration_s: Seconds = Field(
        alias="duration",
        gt=0,
        le=31_536_000,
        description="Measured time: the hold phase, after ramp and warm-up.",
        examples=["60s"],
    )
    seed: int = Field(default=1, ge=0, description="Seed of everything random: arrivals, jitter, masks.")
    target: Target = Field(default_factory=Target, description="The system under test.")
    client: Client = Field(default_factory=Client, description="How a client introduces itself.")
    population: Population = Field(description="Who connects and listens.", examples=[{"connections": 1000}])
    subscribe: Subscribe | None = Field(
        default=None, description="What a client sends for each of its channels; without it, connected is subscribed."
    )
    publish: Publish = Field(default_factory=Publish, description="What is published.")
    relay: Relay | None = Field(
        default=None, description="A TCP relay between clients and gateways, started by the run, for network faults."
    )
    ramp: Ramp = Field(default_factory=Ramp, description="How the population connects.")
    phases: Phases = Field(default_factory=Phases, description="The phases around the measured one.")
    faults: Several[Fault] = Field(default=(), description="What goes wrong on purpose.")
    reconnect: Reconnect = Field(default_factory=Reconnect, description="How clients come back.")
    scale: Scale | None = Field(
        default=None, description="The large system that this run speaks for; without it, the run speaks for itself."
    )
    recovery: Recovery = Field(default_factory=Recovery, description="When service counts as restored.")
    thresholds: Several[str] = Field(
        default=(), description='What must hold, such as "fanout.latency.p99 < 250ms"; the run fails otherwise.'
    )

    _folder: Path = PrivateAttr(default_factory=Path)

    # -- time -------------------------------------------------------------------------------------------------------

    @property
    def drain_s(self) -> float:
        """Return the seconds of the drain phase: as given, else the publish deadline and one second."""
        given = self.phases.drain_s
        return self.publish.deadline_s + 1.0 if given is None else given

    @property
    def time_scale(self) -> float:
        """Return how many seconds of the system spoken for pass in one of the run."""
        return self.scale.time if self.scale else 1.0

    @property
    def connect_timeout_s(self) -> float:
        """Return the give-up time of one attempt in the run."""
        return self.scale.give_up_s / self.scale.time if self.scale else self.ramp.connect_timeout_s

    @property
    def ramp_s(self) -> float:
        """Return the seconds the ramp's schedule takes when the target keeps up."""
        return self.population.connections / self.ramp.rate_per_s

    # -- population -------------------------------------------------------------------------------------------------

    @property
    def herds(self) -> int:
        """Return the number of Locust users that hold the population."""
        return -(-self.population.connections // self.population.herd_size)

    @cached_property
    def channels(self) -> ChannelPlan:
        """Return the layout of all channels: names, members of a channel, channels of a client."""
        groups = [(group.name, group.count, group.clients_per_channel) for group in self.population.channels]
        return ChannelPlan(self.population.connections, groups)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Return the names of all channels by number: group 0's first."""
        return self.channels.names

    def channels_of(self, index: int) -> list[int]:
        """Return the channel numbers of client `index`."""
        return self.channels.of(index)

    @property
    def publish_rates_per_s(self) -> tuple[float, ...]:
        """Return the messages per second of each channel group: its own rate, or its part of `publish.rate`."""
        groups = self.population.channels
        sharing = sum(group.count for group in groups if group.rate_per_s is None)
        return tuple(
            self.publish.rate_per_s * group.count / sharing if group.rate_per_s is None else group.rate_per_s
            for group in groups
        )

    @property
    def publish_rate_per_s(self) -> float:
        """Return the messages per second of the whole run."""
        return sum(self.publish_rates_per_s)

    @property
    def canary_channels(self) -> range:
        """Return the numbers of the channels that get the canary of `[recovery]`; empty: there is none."""
        for group, span in zip(self.population.channels, self.channels.spans, strict=True):
            if group.name == self.recovery.canary:
                return range(span.first, span.first + span.count)
        return range(0)

    @property
    def publishes(self) -> bool:
        """Return whether anything is published: by a schedule, or as a canary."""
        return self.publish_rate_per_s > 0 or self.recovery.canary is not None

    # -- templates --------------------------------------------------------------------------------------------------

    @cached_property
    def users(self) -> UserTable | None:
        """Return the rows of `client.csv`, or None without one."""
        return UserTable.read(self.file(self.client.csv)) if self.client.csv is not None else None

    def variables(self, index: int, run: str = "") -> dict[str, str]:
        """Return the template variables of client `index`: built-ins, its CSV row, then `client.variables`.

        Args:
            index: global client number from 0; publishers count on after the population.
            run: run id of the marker, 8 hex characters.
        """
        values = {"index": str(index), "client": f"c{index}", "run": run}
        if self.users is not None:
            values.update(self.users.row(index))
        if self.client.variables:
            values.update({name: render(text, values) for name, text in self.client.variables.items()})
        return values

    # -- files ------------------------------------------------------------------------------------------------------

    def file(self, name: str) -> Path:
        """Return the path of a file that the profile names; relative names start at the profile's folder."""
        return self._folder / name

    def to_toml(self, redact: bool = False) -> str:
        """Return the profile as run, after overrides and with defaults, as TOML that loads to the same profile.

        Files it names are written with their absolute paths, so that the copy works from any folder.

        Args:
            redact: replace secrets (auth, headers, query, variables, hello, credentials in URLs) by "***".
        """
        content = self.content()
        for table, key in self.files_in(content):
            table[key] = str(self.file(table[key]).absolute())
        return dumps(redacted(content) if redact else content)

    def content(self) -> dict[str, Any]:
        """Return the profile as the plain data of its file: keys as written there, units as text, no empty keys."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @cached_property
    def sha256(self) -> str:
        """Return the hash of the canonical content: two files that say the same have the same, wherever they lie.

        The URLs of a stack that we start are not content: they differ from run to run.
        """
        content = self.content()
        if self.target.stack is not None:
            content["target"].pop("url")
            content["target"].get("bootstrap", {}).pop("url", None)
        for table, key in self.files_in(content):
            table[key] = Path(table[key]).name
        content.get("relay", {}).pop("routes", None)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @staticmethod
    def files_in(content: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
        """Return (table, key) of every file that the plain data of a profile names."""
        tls = content["target"].get("tls", {})
        places = [(content["client"], "csv"), *((tls, key) for key in ("ca", "cert", "key"))]
        return [(table, key) for table, key in places if key in table]

    # -- derived profiles -------------------------------------------------------------------------------------------

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Profile:
        """Return a copy with some fields replaced, which works out anew what is computed from fields."""
        copy = super().model_copy(update=update, deep=deep)
        for name in ("channels", "users", "sha256"):
            copy.__dict__.pop(name, None)
        return copy

    def placed_in(self, folder: Path) -> Profile:
        """Return the same profile whose files are looked up in `folder`."""
        copy = self.model_copy()
        copy._folder = folder
        return copy

    def with_gateways(self, urls: Sequence[str], bootstrap_url: str | None = None) -> Profile:
        """Return the same profile aimed at the given gateways, for a stack whose URLs are known once it is up."""
        bootstrap = self.target.bootstrap
        if bootstrap is not None and bootstrap.url is None:
            bootstrap = bootstrap.model_copy(update={"url": bootstrap_url})
        target = self.target.model_copy(update={"urls": tuple(urls), "bootstrap": bootstrap})
        return self.model_copy(update={"target": target})

    def with_routes(self, routes: Mapping[str, str]) -> Profile:
        """Return the same profile whose population connects through a relay: address of each gateway -> the relay's."""
        assert self.relay is not None
        return self.model_copy(update={"relay": self.relay.model_copy(update={"routes": dict(routes)})})

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON schema of a profile, for editors."""
        schema = cls.model_json_schema(by_alias=True, mode="validation")
        return {"$schema": cls.SCHEMA_ID, **schema, "title": "loadtest profile"}
