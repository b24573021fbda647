"""The schema's checks and the table of close codes."""

from __future__ import annotations

import pytest

from reference_gateway import wire


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ([], "one argument"),
        ([{"collection": "c"}, 1], "one argument"),
        (["c-1"], "one argument"),
        ([{}], "'collection' must be a string"),
        ([{"collection": 7}], "'collection' must be a string"),
        ([{"collection": ""}], "1 to 128"),
        ([{"collection": "c" * 129}], "1 to 128"),
        ([{"collection": "\ud800"}], "surrogate"),
    ],
)
def test_collection_is_refused_with_its_reason(args: list[object], named: str) -> None:
    with pytest.raises(wire.WireError, match=named):
        wire.collection_of(args)


def test_collection_of_the_longest_name_is_accepted() -> None:
    assert wire.collection_of([{"collection": "ü" * 128, "more": 1}]) == "ü" * 128


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"parameter": None}, "'parameter' must be a string"),
        ({"parameter": "p" * 129}, "'parameter' must have"),
        ({"text": 1}, "'text' must be a string"),
        ({"text": "x" * 65537}, "65536 bytes"),
        ({"text": "ü" * 32769}, "65536 bytes"),
        ({"text": "\udfff"}, "surrogate"),
    ],
)
def test_edit_is_refused_with_its_reason(change: dict[str, object], named: str) -> None:
    with pytest.raises(wire.WireError, match=named):
        wire.edit_of([{"collection": "c", "parameter": "url", "text": "", **change}])


def test_edit_of_the_largest_text_is_accepted() -> None:
    text = "ü" * 32768
    assert wire.edit_of([{"collection": "c", "parameter": "url", "text": text}]) == ("c", "url", text)


def test_close_codes_are_ones_a_server_may_send() -> None:
    for number, row in wire.CLOSE_CODES.items():
        assert row.code == number
        assert 1000 <= number <= 1013 or 4000 <= number <= 4999
        assert number not in (1004, 1005, 1006)
        assert len(row.meaning.encode()) <= 123


@pytest.mark.parametrize(
    ("code", "reconnect"), [(1001, True), (4008, True), (1013, True), (4009, False), (1002, False)]
)
def test_close_code_says_whether_to_reconnect(code: int, reconnect: bool) -> None:
    assert wire.CLOSE_CODES[code].reconnect is reconnect
