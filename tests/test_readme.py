"""README tells the truth: its files exist, its commands are known, its locustfile is the one that is tested."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import loadtest.cli
import reference_gateway.cli

from .command_lines import parse

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines() if line.strip()]


def test_two_commands_stand_first_and_can_be_run() -> None:
    kind, first = BLOCKS[0]
    assert kind == "sh"
    assert [line.split()[0] for line in first.splitlines()] == ["ci/demo", "ci/test"]
    for name in ("ci/demo", "ci/test"):
        assert (ROOT / name).stat().st_mode & 0o111


def test_locustfile_is_the_one_that_runs_in_the_tests() -> None:
    (shown,) = [block for kind, block in BLOCKS if kind == "python"]
    assert shown.strip() == (ROOT / "tests/e2e/locustfiles/own.py").read_text().strip()


def test_profile_shown_is_a_valid_one(tmp_path: Path) -> None:
    from loadtest.cli import check_threshold
    from loadtest.profile.loader import parse_profile

    (shown,) = [block for kind, block in BLOCKS if kind == "toml"]
    (tmp_path / "users.csv").write_text("token\nabc\n")
    profile = parse_profile(shown, "README", tmp_path, check_threshold=check_threshold)
    assert profile.population.connections == 5000
    assert profile.variables(0)["token"] == "abc"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)\)", README))))
def test_files_that_are_linked_exist(target: str) -> None:
    assert (ROOT / target).exists()


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith(".venv/bin/")])
def test_commands_and_flags_that_are_shown_exist(line: str) -> None:
    words = shlex.split(line, comments=True)
    program, arguments = words[0].removeprefix(".venv/bin/"), words[1:]
    if program == "locust":
        return  # run as shown by tests/e2e/test_locust_plain.py
    assert parse({"loadtest": loadtest.cli.app, "reference-gateway": reference_gateway.cli.app}[program], arguments)
