"""The synthetic run as fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtest.report.data import ReportData

from .synthetic import make_data, make_run, write_folder


@pytest.fixture
def run() -> dict[str, Any]:
    return make_run()


@pytest.fixture
def data() -> ReportData:
    return make_data()


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[[ReportData], Path]:
    return lambda data: write_folder(tmp_path / "run", data)
