from __future__ import annotations

import os
import platform

from loadtest.results.environment import _version, harness_facts


def test_harness_facts_name_this_machine() -> None:
    facts = harness_facts(workers=3)
    assert list(facts) == ["version", "locust", "python", "workers", "cores", "kernel"]
    assert facts["workers"] == 3
    assert facts["cores"] == len(os.sched_getaffinity(0))
    assert facts["kernel"] == platform.release()


def test_a_distribution_that_is_not_installed_is_unknown() -> None:
    assert _version("no-such-distribution-of-ours") == "unknown"
