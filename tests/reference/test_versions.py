"""The table of versions: rows by name, and a clear word for a name that is not there."""

from __future__ import annotations

import pytest

from reference_gateway import versions
from reference_gateway.errors import ExitCode, UnknownVersionError
from reference_gateway.stack.config import find_versions


def test_names_hold_both_versions_once():
    assert versions.names() == ("sync", "bifrost-1")


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
