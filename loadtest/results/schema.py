"""The shape of `run.json`, `loadtest.run/1`, as data: the object of METRICS with a type at every leaf.

    "int" "float" "str" "bool"     that type; a float may be written as a whole number, never NaN or infinite
    "...|null"                     or null: not measured, or for a recovery time "not recovered"
    [shape]                        a list of that shape
    {ANY: shape}                   an object with any keys
    "=a|b"                         exactly one of these strings

The law of this file: keys may be added, those here stay. A key that is missing is an error, not a null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

SCHEMA = "loadtest.run/1"
INTERVALS_SCHEMA = "loadtest.intervals/1"
ANY = "*"

LATENCY = {"count": "int"} | dict.fromkeys(("min", "p50", "p90", "p99", "p99.9", "max"), "float|null")
TTK = {"p50": "float|null", "p99": "float|null"}
BY_PERCENT = dict.fromkeys(("50", "90", "99", "99.9", "100"), "float|null")

RUN: dict[str, Any] = {
    "schema": f"={SCHEMA}",
    "run_id": "str",
    "started_at": "str",
    "finished_at": "str|null",
    "verdict": "=pass|fail|invalid|interrupted",
    "reasons": ["str"],
    "profile": {"name": "str", "sha256": "str"},
    "target": {"url": "str", "dialect": "str", "version": "str|null", "nodes": "int|null"},
    "harness": {
        "version": "str",
        "locust": "str",
        "python": "str",
        "workers": "int",
        "cores": "int",
        "kernel": "str",
    },
    "connections": {
        "target": "int",
        "peak": "int",
        "at_end": "int",
        "attempts": "int",
        "failures": {ANY: "int"},
        "ramp_seconds": "float|null",
        "connect_ms": LATENCY,
        "bytes_per_connection": "float|null",
    },
    "fanout": {
        "published": "int",
        "expected": "int",
        "delivered": "int",
        "lost": "int",
        "duplicated": "int",
        "reordered": "int",
        "completeness": "float|null",
        "latency_ms": LATENCY,
        "uncorrected_ms": LATENCY,
        "ttk_ms": {"50": TTK, "99": TTK, "100": TTK},
    },
    "events": [
        {
            "name": "str",
            "kind": "str",
            "at_s": "float",
            "population": "int",
            "dropped": "int",
            "recovery": {
                "t_conn_s": BY_PERCENT,
                "t_sub_s": BY_PERCENT,
                "t_svc_s": "float|null",
                "t_rec_s": "float|null",
                "attempts": "int",
                "amplification": "float|null",
                "peak_attempts_1s": "int",
                "peak_attempts_10s": "int",
                "secondary_drops": "int|null",
                "outage_s_mean": "float|null",
                "lost": "int|null",
                "metastable": "bool|null",
            },
        }
    ],
    "generator": {
        "lateness_p99_ms": "float|null",
        "loop_lag_p99_ms": "float|null",
        "cpu_max_percent": "float|null",
        "clock_error_ms": "float|null",
        "workers_lost": "int",
    },
    "thresholds": [{"expr": "str", "value": "float|null", "verdict": "=PASS|FAIL|NO_DATA"}],
}


def validate(run: object) -> list[str]:
    """Return what is wrong with `run` as sentences that begin with the key; empty when it fits the schema."""
    faults: list[str] = []
    _check(run, RUN, "", faults)
    return faults


def complete(given: object, shape: Any = RUN) -> Any:
    """Return `given` with every key of `shape` present: what is missing becomes null, an empty list or object.

    Keys that the schema does not know are kept. A null where the schema wants a number is left for `validate`.
    """
    if isinstance(shape, list):
        return [complete(item, shape[0]) for item in given] if isinstance(given, list | tuple) else []
    if not isinstance(shape, dict):
        return given
    known = dict(given) if isinstance(given, Mapping) else {}
    if shape is LATENCY and not known:
        known = {"count": 0}
    if ANY in shape:
        return known
    return known | {key: complete(known.get(key), inner) for key, inner in shape.items()}


def _check(value: object, shape: Any, key: str, faults: list[str]) -> None:
    name = key or "the run"
    if isinstance(shape, list):
        if not isinstance(value, list):
            faults.append(f"{name}: found {_kind(value)}, expected a list")
            return
        for at, item in enumerate(value):
            _check(item, shape[0], f"{key}[{at}]", faults)
    elif isinstance(shape, dict):
        if not isinstance(value, Mapping):
            faults.append(f"{name}: found {_kind(value)}, expected an object")
            return
        inner = dict.fromkeys(value, shape[ANY]) if ANY in shape else shape
        for known, kind in inner.items():
            path = f"{key}.{known}" if key else str(known)
            if known in value:
                _check(value[known], kind, path, faults)
            else:
                faults.append(f"{path}: missing")
    elif shape.startswith("="):
        allowed = shape[1:].split("|")
        if value not in allowed:
            faults.append(f"{name}: found {value!r}, expected {' or '.join(allowed)}")
    elif not any(_is(value, kind) for kind in shape.split("|")):
        faults.append(f"{name}: found {_kind(value)}, expected {shape.replace('|', ' or ')}")


def _is(value: object, kind: str) -> bool:
    if kind == "null":
        return value is None
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "str":
        return isinstance(value, str)
    if isinstance(value, bool):
        return False
    if kind == "int":
        return isinstance(value, int)
    return isinstance(value, int | float) and math.isfinite(value)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return type(value).__name__
