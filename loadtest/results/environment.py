"""Say what the harness ran on: "harness" of `run.json`."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def harness_facts(workers: int) -> dict[str, Any]:
    """Return version, locust, python, workers, cores (that this process may use) and kernel."""
    return {
        "version": _version("gateway-loadtest"),
        "locust": _version("locust"),
        "python": platform.python_version(),
        "workers": workers,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
    }


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
