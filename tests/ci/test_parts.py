"""The ready parts of ci/: each fits its schema, and says nothing to `loadtest` that it would not understand."""

from __future__ import annotations

import json
import re
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from loadtest.cli import app, check_threshold
from loadtest.errors import ExitCode
from loadtest.profile.loader import parse_profile
from loadtest.report.openmetrics import COUNTERS, GAUGES, HISTOGRAMS

from ..command_lines import Refused, parse, shell_commands

CI = Path(__file__).parents[2] / "ci"
PARTS = ("github/loadtest.yml", "gitlab/loadtest.yml", "container/compose.yaml", "kubernetes/loadtest.yaml")


def schema(name: str) -> Any:
    return json.loads(resources.files("check_jsonschema").joinpath("builtin_schemas", "vendor", name).read_text())


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("github/loadtest.yml", "github-workflows.json"),
        ("gitlab/loadtest.yml", "gitlab-ci.json"),
        ("container/compose.yaml", "compose-spec.json"),
    ],
)
def test_part_fits_its_schema(part: str, name: str) -> None:
    content = yaml.safe_load((CI / part).read_text())
    if name == "github-workflows.json":
        content["on"] = content.pop(True)  # YAML 1.1 reads "on" as true
    shape = schema(name)
    validator = jsonschema.validators.validator_for(shape)(shape)
    assert [error.message for error in validator.iter_errors(content)] == []


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((CI / "kubernetes/loadtest.yaml").read_text()))


@pytest.mark.parametrize(
    "manifest", manifests(), ids=lambda manifest: f"{manifest['kind']}-{manifest['metadata']['name']}"
)
def test_manifest_fits_the_schema_of_its_kind(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, "1.31", strict=True)


def test_workers_find_the_master_and_no_pod_is_privileged() -> None:
    by_name = {(each["kind"], each["metadata"]["name"]): each for each in manifests()}
    service = by_name["Service", "loadtest-master"]["spec"]
    labels = by_name["Job", "loadtest-master"]["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    for (kind, _), each in by_name.items():
        if kind == "Job":
            pod = each["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False
            if each["metadata"]["name"] != "loadtest-master":
                assert "--master=loadtest-master:5557" in pod["containers"][0]["args"]


def test_profile_of_the_cluster_is_a_profile() -> None:
    (config,) = [each for each in manifests() if each["kind"] == "ConfigMap"]
    text = config["data"]["profile.toml"]
    profile = parse_profile(text, "profile.toml", CI, check_threshold=check_threshold)
    assert profile.population.connections == 10_000


def test_shell_of_the_parts_parses() -> None:
    github = yaml.safe_load((CI / "github/loadtest.yml").read_text())
    gitlab = yaml.safe_load((CI / "gitlab/loadtest.yml").read_text())[".loadtest"]
    scripts = [step["run"] for step in github["jobs"]["loadtest"]["steps"] if "run" in step]
    for script in (*scripts, *gitlab["before_script"], *gitlab["script"]):
        done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def commands_of(part: str) -> list[list[str]]:
    """Return the words of every `loadtest` that a part calls, by its shell, its command or its arguments."""
    content = [each for each in yaml.safe_load_all((CI / part).read_text()) if each]
    found = []

    def walk(value: Any, key: str) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                walk(inner, str(name))
        elif key in ("command", "args") and isinstance(value, list):
            found.append([re.sub(r"\$\{\w+:[-?]?([^}]*)\}", r"\1", word) for word in value])
        elif isinstance(value, list):
            for inner in value:
                walk(inner, key)
        elif key in ("run", "script", "before_script") and isinstance(value, str):
            found.extend(shell_commands(value, "loadtest"))

    walk(content, "")
    return found


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("github/loadtest.yml", {"run", "gate"}),
        ("gitlab/loadtest.yml", {"run", "gate"}),
        ("container/compose.yaml", {"run", "worker"}),
        ("kubernetes/loadtest.yaml", {"run", "worker"}),
    ],
)
def test_the_command_takes_every_line_of_a_part(part: str, names: set[str]) -> None:
    lines = commands_of(part)
    assert {words[0] for words in lines} == names
    for words in lines:
        assert parse(app, words)


@pytest.mark.parametrize("wrong", ["loadtest run smoke --junti out.xml", "loadtest gate one", "loadtest run --out"])
def test_a_line_that_the_command_would_refuse_is_found(wrong: str) -> None:
    ((words),) = shell_commands(f"if true; then {wrong}; fi", "loadtest")
    with pytest.raises(Refused):
        parse(app, words)


def test_readme_lists_every_metric_and_every_part() -> None:
    text = (CI / "README.md").read_text()
    names = [*(name for name, _ in HISTOGRAMS.values()), *(f"{name}_total" for name in COUNTERS), *GAUGES]
    assert [name for name in names if f"`{name}`" not in text] == []
    assert [part for part in (*PARTS, "container/Containerfile") if f"`{part}`" not in text] == []
    assert f"{int(ExitCode.TOO_FEW_RUNS)} too few runs" in text


def test_containerfile_fetches_from_registries_only_and_runs_as_a_user() -> None:
    lines = (CI / "container/Containerfile").read_text().splitlines()
    text = " ".join(line for line in lines if not line.startswith("#"))
    assert re.findall(r"\bFROM (\S+)", text) == ["docker.io/library/python:3.12-slim"]
    assert "USER 10001" in text
    assert not re.search(r"curl|wget|https?://|ADD ", text)
