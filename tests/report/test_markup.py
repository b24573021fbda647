from __future__ import annotations

import json

import pytest

from loadtest.report.markup import Html, el, script_json, table


def test_text_and_attributes_are_escaped_unless_they_are_markup() -> None:
    made = el("p", "<b>", Html("<i>x</i>"), None, 5, title='"&', class_="a")
    assert made == '<p title="&quot;&amp;" class="a">&lt;b&gt;<i>x</i>5</p>'


def test_attributes_of_true_and_none() -> None:
    assert el("button", "x", disabled=True, hidden=False, aria_label=None) == "<button disabled>x</button>"


def test_void_elements_have_no_end() -> None:
    assert el("meta", name="a", content="b") == '<meta name="a" content="b">'


@pytest.mark.parametrize("words", ["</script>", "<!-- <script>", "&lt;", "]]>", "\u2028"])
def test_json_in_a_script_can_neither_end_it_nor_change(words: str) -> None:
    written = script_json({words: [words, float("nan"), 1.5]})
    assert not {"<", ">", "&", "\u2028"} & set(written)
    assert json.loads(written) == {words: [words, None, 1.5]}


def test_table_names_its_rows_and_columns() -> None:
    made = table(("Name", "Value"), [("a<b", "1")], "Some table")
    assert '<th scope="col">Name</th>' in made
    assert '<th scope="row">a&lt;b</th><td>1</td>' in made
    assert "<caption>Some table</caption>" in made
