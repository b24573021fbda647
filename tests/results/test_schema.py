from __future__ import annotations

import copy
from typing import Any

import pytest

from loadtest.results.schema import LATENCY, RUN, SCHEMA, complete, validate
from loadtest.results.summary import RunFacts, build_summary


@pytest.fixture
def run(facts: RunFacts) -> dict[str, Any]:
    return build_summary(facts)


def changed(run: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    run = copy.deepcopy(run)
    parent: Any = run
    *parents, last = path.split("/")
    for part in parents:
        parent = parent[int(part) if part.isdigit() and isinstance(parent, list) else part]
    if value is ...:
        del parent[last]
    else:
        parent[last] = value
    return run


def test_a_built_summary_fits(run: dict[str, Any]) -> None:
    assert validate(run) == []
    assert run["schema"] == SCHEMA == "loadtest.run/1"


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("finished_at", ..., "finished_at: missing"),
        ("schema", "loadtest.run/2", "schema: found 'loadtest.run/2', expected loadtest.run/1"),
        ("verdict", "ok", "verdict: found 'ok', expected pass or fail or invalid or interrupted"),
        ("reasons", "none", "reasons: found str, expected a list"),
        ("reasons", [1], "reasons[0]: found int, expected str"),
        ("target", None, "target: found null, expected an object"),
        ("target/nodes", 1.5, "target.nodes: found float, expected int or null"),
        ("harness/workers", True, "harness.workers: found bool, expected int"),
        ("connections/failures", {"refused": "3"}, "connections.failures.refused: found str, expected int"),
        ("connections/connect_ms/p99.9", ..., "connections.connect_ms.p99.9: missing"),
        ("fanout/ttk_ms/99/p50", float("nan"), "fanout.ttk_ms.99.p50: found nan, expected float or null"),
        ("fanout/completeness", False, "fanout.completeness: found bool, expected float or null"),
        ("events/0/recovery/t_sub_s/100", ..., "events[0].recovery.t_sub_s.100: missing"),
        ("events/0/at_s", None, "events[0].at_s: found null, expected float"),
        ("generator/workers_lost", None, "generator.workers_lost: found null, expected int"),
        ("thresholds/1/verdict", "MAYBE", "thresholds[1].verdict: found 'MAYBE', expected PASS or FAIL or NO_DATA"),
    ],
)
def test_each_fault_is_named_by_its_key(run: dict[str, Any], path: str, value: Any, fault: str) -> None:
    assert validate(changed(run, path, value)) == [fault]


def test_every_single_key_is_required(run: dict[str, Any]) -> None:
    def keys(shape: Any, path: str) -> list[str]:
        if isinstance(shape, list):
            return keys(shape[0], f"{path}/0")
        if not isinstance(shape, dict) or "*" in shape:
            return []
        here = [f"{path}/{key}" for key in shape]
        return here + [deeper for key in shape for deeper in keys(shape[key], f"{path}/{key}")]

    paths = [path.strip("/") for path in keys(RUN, "")]
    assert len(paths) > 100
    for path in paths:
        assert validate(changed(run, path, ...)), path


def test_added_keys_are_welcome(run: dict[str, Any]) -> None:
    assert validate(run | {"phases": {}, "fanout": run["fanout"] | {"by_class": {}}}) == []


@pytest.mark.parametrize("found", [None, 3, [], "run"])
def test_what_is_no_object_is_one_fault(found: object) -> None:
    assert len(validate(found)) == 1


def test_complete_adds_nulls_and_keeps_what_is_there() -> None:
    filled = complete({"fanout": {"published": 3, "by_class": {"a": 1}}, "extra": 1})
    assert filled["fanout"]["published"] == 3
    assert filled["fanout"]["by_class"] == {"a": 1}
    assert filled["fanout"]["ttk_ms"]["99"] == {"p50": None, "p99": None}
    assert filled["fanout"]["latency_ms"] == dict.fromkeys(LATENCY) | {"count": 0}
    assert filled["events"] == []
    assert filled["connections"]["failures"] == {}
    assert filled["connections"]["bytes_per_connection"] is None
    assert filled["extra"] == 1
