"""The table of versions: rows by name, and a clear word for a name that is not there."""

from __future__ import annotations

from itertools import pairwise

import pytest

from reference_gateway import versions
from reference_gateway.errors import ExitCode, UnknownVersionError
from reference_gateway.stack.config import find_versions


def test_names_are_those_of_the_story_in_its_order():
    assert versions.names() == ("sync", "bifrost-1", "bifrost-2", "bifrost-3", "bifrost-4", "bifrost-5", "bifrost-6")


def test_each_row_of_the_split_keeps_the_cures_of_the_one_before_and_adds_to_them():
    split = [row for row in versions.VERSIONS if row.shape == "split"]
    for before, after in pairwise(split):
        kept = {name for name, on in before.switches.items() if on}
        now = {name for name, on in after.switches.items() if on}
        assert kept < now


@pytest.mark.parametrize("name", versions.names())
def test_find_returns_the_row_of_that_name(name):
    assert versions.find(name).name == name


def test_find_unknown_name_lists_those_that_exist():
    with pytest.raises(UnknownVersionError, match=r"'bifrost-9'.*sync, bifrost-1") as raised:
        versions.find("bifrost-9")
    assert raised.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize("label", ["sync+bifrost-1", "sync,bifrost-1", "sync, bifrost-1"])
def test_find_versions_splits_a_label(label):
    assert [row.name for row in find_versions(label)] == ["sync", "bifrost-1"]
