"""The house stands as drawn: floors, names of rooms, size of files."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("loadtest", "reference_gateway")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
NO_NOUN = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
MOST_LINES = 400


def test_imports_go_downward_only() -> None:
    lint = Path(sysconfig.get_path("scripts")) / "lint-imports"
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_modules_are_named_for_what_they_are() -> None:
    everything = [path for folder in (*PACKAGES, "tests") for path in (ROOT / folder).rglob("*")]
    assert [path for path in everything if path.stem.lower() in NO_NOUN] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_says_its_law_and_stays_small(path: Path) -> None:
    text = path.read_text()
    assert not text.strip() or text.startswith('"""'), "a module begins with the docstring that states its law"
    lines = text.count("\n")
    assert lines <= MOST_LINES, f"{lines} lines: one idea per file"


def test_every_script_is_runnable_and_strict() -> None:
    scripts = [
        path
        for folder in ("ci", ".ci")
        for path in (ROOT / folder).iterdir()
        if path.is_file() and path.suffix != ".md"
    ]
    assert scripts
    for path in scripts:
        assert path.stat().st_mode & 0o111, f"{path.name} is not executable"
        assert "set -euo pipefail" in path.read_text(), f"{path.name} goes on after a failure"
