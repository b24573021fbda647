"""A run as JUnit XML, for the test view of a pipeline: one case for the run, one for each threshold.

verdict pass or fail     case "run" passes            (its thresholds tell)
invalid, interrupted     case "run" is an error       the harness, not the target
unreachable              case "run" is a failure
threshold FAIL, NO_DATA  its case is a failure        no data is never a pass
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO
from xml.etree import ElementTree

from loadtest.profile.redaction import safe
from loadtest.report import wording as w
from loadtest.report.facts import facts
from loadtest.report.story import story
from loadtest.report.summary_sections import threshold_rows


def write_junit(run: Mapping[str, Any], writer: TextIO) -> None:
    """Write one test suite.

    Args:
        run: run.json.
    """
    run = safe(run)
    name = w.plain(w.text(run, "profile", "name") or "run", 120)
    suite = ElementTree.Element("testsuite", name=f"loadtest {name}")
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in facts(run).items():
        ElementTree.SubElement(properties, "property", name=key, value=value)
    outcomes = [_run_case(suite, name, run)]
    for (expr, value, _), entry in zip(threshold_rows(run), w.items(run, "thresholds"), strict=False):
        case = ElementTree.SubElement(suite, "testcase", classname=f"loadtest.{name}", name=expr)
        passed = w.text(entry, "verdict") == "PASS"
        outcomes.append("" if passed else "failure")
        if not passed:
            ElementTree.SubElement(case, "failure", message=f"{expr}: measured {value}", type=w.text(entry, "verdict"))
    suite.set("timestamp", w.text(run, "started_at"))
    suite.set("tests", str(len(outcomes)))
    suite.set("failures", str(outcomes.count("failure")))
    suite.set("errors", str(outcomes.count("error")))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    writer.write('<?xml version="1.0" encoding="utf-8"?>\n')
    writer.write(ElementTree.tostring(root, encoding="unicode") + "\n")


def _run_case(suite: ElementTree.Element, name: str, run: Mapping[str, Any]) -> str:
    case = ElementTree.SubElement(suite, "testcase", classname=f"loadtest.{name}", name="run")
    ElementTree.SubElement(case, "system-out").text = w.plain(story(run), 4000)
    verdict = w.text(run, "verdict")
    kind = "failure" if w.dig(run, "unreachable") else "" if verdict in ("pass", "fail") else "error"
    if verdict == "fail" and all(w.text(entry, "verdict") == "PASS" for entry in w.items(run, "thresholds")):
        kind = "failure"  # it failed beyond its thresholds
    if kind:
        said = "; ".join(w.plain(reason) for reason in w.items(run, "reasons")) or verdict or "no verdict"
        ElementTree.SubElement(case, kind, message=said, type=verdict or "none")
    return kind
