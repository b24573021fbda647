from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.profile.placeholders import render, scan
from loadtest.protocol.template import Template, TemplateError


@pytest.mark.parametrize(
    ("text", "names", "stray", "number"),
    [
        ("plain", (), None, None),
        ("{a} and {b-c.d}", ("a", "b-c.d"), None, None),
        ("{{a}}", (), None, None),
        ("{{{a}}}", ("a",), None, None),
        ("{a:int}", ("a",), None, "{a:int}"),
        ("{", (), "{", None),
        ("x}y", (), "}y", None),
        ("{a b}", (), "{a b}", None),
        ("{1a}", (), "{1a}", None),
        ("{a:float}", (), "{a:float}", None),
        ("", (), None, None),
    ],
)
def test_strings_are_taken_apart(text: str, names: tuple[str, ...], stray: str | None, number: str | None) -> None:
    found = scan(text)
    assert (found.names, found.stray, found.number) == (names, stray, number)


def test_rendering_replaces_names_and_keeps_literal_braces() -> None:
    assert render("{a}-{{a}}-{b}{a}", {"a": "1", "b": "{a}"}) == "1-{a}-{a}1"


def test_rendering_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="b"):
        render("{b}", {"a": "1"})


@settings(derandomize=True, deadline=None)
@given(st.text(alphabet="{}ab:int ", max_size=30))
def test_any_string_is_taken_apart(text: str) -> None:
    found = scan(text)
    assert len(render(text, dict.fromkeys(found.names, ""))) <= len(text)


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=30))
def test_escaped_text_renders_to_itself(text: str) -> None:
    escaped = text.replace("{", "{{").replace("}", "}}")
    assert scan(escaped).stray is None
    assert render(escaped, {}) == text


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.text(alphabet="{}ab:int .-1", max_size=14))
def test_checked_text_is_what_the_wire_templates_take(text: str) -> None:
    found = scan(text)
    passes = found.stray is None and found.number in (None, text)
    try:
        template = Template(text)
    except TemplateError:
        assert not passes
    else:
        assert passes
        assert template.names == set(found.names)
        if found.number is None:
            assert template.render(dict.fromkeys(found.names, "x")) == render(text, dict.fromkeys(found.names, "x"))
