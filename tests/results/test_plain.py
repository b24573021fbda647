from __future__ import annotations

import json
import math

import pytest

from loadtest.results.plain import parse, plain, to_document, to_line


def test_nan_and_infinity_become_null_everywhere() -> None:
    assert plain({"a": [math.nan, (math.inf, 1.5)], 7: {"b": -math.inf}}) == {
        "a": [None, [None, 1.5]],
        "7": {"b": None},
    }


def test_line_is_one_line_whatever_the_text() -> None:
    line = to_line({"text": 'a\nb\u2028 "\ud800 \N{SNOWMAN}', "n": math.nan})
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line) == {"text": 'a\nb\u2028 "\ud800 \N{SNOWMAN}', "n": None}


def test_document_is_indented_and_keeps_the_order() -> None:
    assert to_document({"b": 1, "a": True}) == b'{\n "b": 1,\n "a": true\n}\n'


@pytest.mark.parametrize("value", [{1, 2}, b"x", object()])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="JSON values only"):
        plain({"key": value})


def test_parse_reads_what_other_writers_call_numbers_as_null() -> None:
    assert parse('{"a": NaN, "b": -Infinity}') == {"a": None, "b": None}


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_parse_refuses_what_is_no_json(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)
