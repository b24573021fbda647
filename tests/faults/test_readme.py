"""The guide's own fault works, and the guide names every kind there is."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from pydantic import Field

import loadtest.faults.fault
from loadtest.faults.fault import Fault, FaultContext, FaultFailedError
from loadtest.faults.registry import FAULTS
from loadtest.profile.fault import LastingFault

README = (Path(loadtest.faults.fault.__file__).parent / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def test_the_guide_names_every_kind() -> None:
    rows = [line.split("|")[1] for line in README.split("## ")[0].splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`([a-z-]+)`", "".join(rows))) == set(FAULTS)


@pytest.fixture
def example(tmp_path: Path) -> Any:
    """Return `make(path)`: the guide's fault, from its table, its settings and its code."""
    (table, settings, code) = [block for _, block in BLOCKS[-3:]]
    known: dict[str, Any] = {"Literal": Literal, "Field": Field, "LastingFault": LastingFault}
    exec(compile(settings, "guide", "exec", dont_inherit=True), known)
    words = {
        "Fault": Fault,
        "FaultContext": FaultContext,
        "FaultFailedError": FaultFailedError,
        "Path": Path,
        "dataclass": dataclass,
        "profile": SimpleNamespace(OutOfServiceFault=known["OutOfServiceFault"]),
        "__name__": __name__,
    }
    exec(compile(code, "guide", "exec", dont_inherit=True), words)
    (given,) = tomllib.loads(table)["faults"]

    def make(path: Path) -> Fault:
        filled = known["OutOfServiceFault"].model_validate({**given, "path": str(path)})
        fault: Fault = words["OutOfServiceFault"](filled)
        return fault

    return make


def test_the_example_is_applied_and_taken_back(example, context, tmp_path: Path) -> None:
    context.variables["run"] = "0badcafe"
    fault = example(tmp_path / "out")
    assert fault.check(context) == []
    assert (fault.settings.lasts_s, fault.settings.holds) == (30.0, {"out-of-service"})
    fault.undo(context)  # harmless where nothing was done
    fault.apply(context)
    assert (tmp_path / "out").read_text() == "0badcafe"
    with pytest.raises(FaultFailedError, match=r"fault out-of-service: .*/out cannot be made: File exists"):
        fault.apply(context)
    fault.undo(context)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_text("another's")
    fault.undo(context)
    assert (tmp_path / "out").exists()


def test_the_example_refuses_what_it_cannot_do(example, context, tmp_path: Path) -> None:
    assert example(tmp_path / "no" / "out").check(context) == [
        f"fault out-of-service: there is no folder {tmp_path / 'no'}"
    ]
