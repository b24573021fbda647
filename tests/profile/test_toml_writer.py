from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.profile.toml_writer import dumps

_SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(derandomize=True, deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), _VALUES, max_size=4))
def test_what_is_written_reads_back_the_same(content: dict[str, Any]) -> None:
    assert tomllib.loads(dumps(content)) == content


def test_tables_become_sections() -> None:
    content = {"a": 1, "t": {"x": "y", "deep": {}}, "l": [{"n": 1}, {"n": [{"i": 2}, 3]}], "k é": "\x7f\t"}
    text = dumps(content)
    assert "[t]" in text
    assert "[t.deep]" in text
    assert text.count("[[l]]") == 2
    assert tomllib.loads(text) == content


def test_none_has_no_form() -> None:
    with pytest.raises(TypeError, match="None"):
        dumps({"a": None})
