"""The marker by literal text: where it is found, and what only looks like one."""

from __future__ import annotations

import pytest

from loadtest.errors import LocalProtocolError
from loadtest.protocol.marker import Marker, find_marker, format_marker, parse_marker

TOKEN = "lt1.0badcafe.12.1.3417.81237712345678.20417"
MARKER = Marker("0badcafe", 12, 1, 3417, 81_237_712_345_678, 20_417)


def test_format_and_parse_are_inverse() -> None:
    assert format_marker(MARKER) == TOKEN
    assert parse_marker(TOKEN) == MARKER


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f'42["x",{{"text":"{TOKEN}xxxx"}}]',
        f"\\n{TOKEN}.7",
        f"lt1.0badcafe.1.1.1.1. {TOKEN} lt1.00000000.1.1.1.1.1",
        "lt1.0badcafe.1.1.1.1." + "1" * 21 + " " + TOKEN,
        "lt1.0badcafe" + ("." + "1" * 20) * 5 + " " + TOKEN,
    ],
)
def test_find_takes_the_first_real_one(text: str) -> None:
    assert find_marker(text) == MARKER
    assert find_marker(text.encode()) == MARKER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lt1.",
        "lt1.0BADCAFE.1.1.1.1.1",
        "lt1.0badcaf.1.1.1.1.1",
        "lt1.0badcafe.1.1.-1.1.1",
        "lt1.0badcafe.1.1.1.1.²",
    ],
)
def test_find_sees_nothing_in_what_only_looks_alike(text: str) -> None:
    assert find_marker(text) is None
    assert find_marker(text.encode()) is None


@pytest.mark.parametrize("text", [TOKEN + "x", " " + TOKEN, TOKEN + "\n", "lt1.0badcafe" + ("." + "1" * 20) * 5])
def test_parse_wants_the_token_alone(text: str) -> None:
    assert parse_marker(text) is None


@pytest.mark.parametrize(
    "change",
    [
        {"run": "0badcafe0"},
        {"run": "nothexxx"},
        {"seq": -1},
        {"late_ns": 10**20},
        {"channel": 10**19, "epoch": 10**19, "seq": 10**19, "late_ns": 10**19},
    ],
)
def test_format_refuses_what_could_not_be_found_again(change: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        format_marker(MARKER._replace(**change))  # type: ignore[arg-type]
