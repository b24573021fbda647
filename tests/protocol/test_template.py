"""Templates: the grammar by table, and JSON equal to what rendering and encoding would give."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.errors import LocalProtocolError
from loadtest.protocol.template import Template, TemplateError

VARIABLES: dict[str, object] = {"index": 7, "client": "c7", "quote": 'a"b\\c\n', "token": "tök", "csv.column-1": "v"}


@pytest.mark.parametrize(
    ("value", "rendered", "text"),
    [
        ("plain", "plain", '"plain"'),
        ("{index}", "7", '"7"'),
        ("{index:int}", 7, "7"),
        ("{{{index}}}", "{7}", '"{7}"'),
        ("{{index}}", "{index}", '"{index}"'),
        ("{quote}", 'a"b\\c\n', '"a\\"b\\\\c\\n"'),
        ("{csv.column-1}", "v", '"v"'),
        ("", "", '""'),
        (
            {"a": [{"b": "{client}-{token}"}, "{index:int}"], "{key}": True},
            {"a": [{"b": "c7-tök"}, 7], "{key}": True},
            '{"a":[{"b":"c7-tök"},7],"{key}":true}',
        ),
        ([], [], "[]"),
        ({}, {}, "{}"),
        ([[], {}, None, 1.5, -2, False], [[], {}, None, 1.5, -2, False], "[[],{},null,1.5,-2,false]"),
    ],
)
def test_template_fills_in(value: object, rendered: object, text: str) -> None:
    template = Template(value)
    assert template.render(VARIABLES) == rendered
    assert template.json(VARIABLES).decode() == text


def test_names_are_the_placeholders() -> None:
    assert Template({"a": "{x} {y}", "b": ["{x:int}", "{{z}}"]}).names == {"x", "y"}


@pytest.mark.parametrize("text", ["{", "}", "a{b", "{a b}", "{}", "{x:float}", "{1}", "}}{", "{{}", "id-{x:int}"])
def test_bad_placeholder_is_named_when_compiled(text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template([text])
    assert text in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), datetime.date(2026, 1, 1), b"bytes", [object()]])
def test_value_json_cannot_hold_is_refused_when_compiled(value: object) -> None:
    with pytest.raises(TemplateError):
        Template(value)


def test_value_nested_in_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(TemplateError, match="nested"):
        Template(loop)


def test_missing_variable_is_named_with_the_known_ones() -> None:
    for fill in (Template("{who}").render, Template("{who}").json):
        with pytest.raises(TemplateError, match=r"\{who\}.*known here: a, b"):
            fill({"b": 1, "a": 2})


def test_number_must_be_one() -> None:
    for fill in (Template("{x:int}").render, Template("{x:int}").json):
        with pytest.raises(TemplateError, match=r"\{x:int\}.*'seven'"):
            fill({"x": "seven"})


def test_lone_surrogate_is_a_local_fault() -> None:
    with pytest.raises(LocalProtocolError):
        Template("{x}").json({"x": "\ud800"})


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.lists(st.sampled_from(["{a}", "{b}", "{{", "}}", "x", '"', "\\", "é", "\x00"]), max_size=5).map("".join)
VALUES = st.recursive(
    LEAVES | TEXTS | st.just("{n:int}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(VALUES, st.text(max_size=6), st.text(max_size=6), st.integers())
def test_json_equals_encoding_the_rendered_value(value: object, a: str, b: str, n: int) -> None:
    variables: dict[str, object] = {"a": a, "b": b, "n": n}
    template = Template(value)
    assert json.loads(template.json(variables)) == template.render(variables)
