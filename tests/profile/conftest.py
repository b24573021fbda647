from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from loadtest.errors import ProfileError
from loadtest.profile import Profile, parse_profile

SMALL = """
duration = "10s"
[target]
url = "ws://127.0.0.1:1/"
[population]
connections = 100
[[population.channels]]
name = "room-{n}"
count = 10
[subscribe]
event = "join"
args = ["{channel}"]
[publish]
rate = "10/s"
event = "say"
args = [{ text = "{marker}" }]
"""
"""A profile with nothing wrong."""

Parse = Callable[..., Profile]
Faults = Callable[..., list[str]]


@pytest.fixture
def parse(tmp_path: Path) -> Parse:
    """Parse SMALL (or a text) with overrides."""

    def run(*overrides: str, text: str = SMALL, **options: object) -> Profile:
        return parse_profile(text, "test.toml", tmp_path, overrides=overrides, **options)  # type: ignore[arg-type]

    return run


@pytest.fixture
def faults(parse: Parse) -> Faults:
    """Return what is wrong with SMALL (or a text) after overrides; [] when nothing is."""

    def run(*overrides: str, **options: object) -> list[str]:
        try:
            parse(*overrides, **options)
        except ProfileError as error:
            return list(error.faults)
        return []

    return run
