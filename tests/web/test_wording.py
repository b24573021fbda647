"""The words that are replaced on Locust's page are really there, in the Locust that is installed."""

from __future__ import annotations

from pathlib import Path

import locust.html
import pytest

from loadtest.web.wording import FORM, HERDS, SHOWN, reworded


@pytest.fixture(scope="module")
def script() -> str:
    (path,) = (Path(locust.html.DEFAULT_BUILD_PATH) / "assets").glob("*.js")
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("phrase", [*SHOWN, *FORM, *HERDS])
def test_each_phrase_is_found_once(script: str, phrase: str) -> None:
    assert script.count(phrase) == 1


def test_words_are_replaced_and_nothing_else(script: str) -> None:
    ours = reworded(script, SHOWN, FORM)
    assert "Connections" in ours
    assert "Number of Users" not in ours
    assert len(ours) == len(script) + sum(len(new) - len(old) for old, new in {**SHOWN, **FORM}.items())
