"""The pages over HTTP, as Locust's web server answers: what is shown, what is refused, what Locust's page becomes."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from loadtest.web.locust_page import dress, history
from loadtest.web.login import add_login, password_from_environment
from loadtest.web.pages import TITLES, Pages
from loadtest.web.shelf import Shelf
from loadtest.web.storm import Storm
from loadtest.web.watch import Watch
from loadtest.web.wording import SHOWN

from .test_history import line

DROP = {"kind": "drop", "share": "100%"}


def serve(environment: Any, watch: Watch, root: Path, *, login: bool = False) -> Any:
    """Return a client of a web UI with our pages; nothing listens."""
    runner, environment.runner = environment.runner, None  # with one, Locust reads this process's command line
    web_ui = environment.create_web_ui("127.0.0.1", 0, delayed_start=True, web_login=login)
    environment.runner = runner
    Pages(watch, Storm(watch), Shelf(root)).add_to(web_ui)
    dress(web_ui, watch, (SHOWN,), lambda: None)
    if login:
        add_login(web_ui, "correct horse")
    return web_ui.app.test_client()


@pytest.fixture
def client(environment, watch: Watch, tmp_path: Path) -> Any:
    return serve(environment, watch, tmp_path / "runs")


def token(client: Any) -> str:
    found = re.search('name="loadtest-token" content="([^"]+)"', client.get("/loadtest/storm").get_data(as_text=True))
    assert found is not None
    return found[1]


def press(client: Any, order: Any = DROP, **headers: str) -> Any:
    return client.post("/loadtest/storm", json=order, headers={"X-Loadtest-Token": token(client)} | headers)


@pytest.mark.parametrize("page", TITLES)
def test_each_page_loads_scripts_from_here_only(client: Any, page: str) -> None:
    answer = client.get(f"/loadtest/{page}")
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"].split("style-src")[0]
    assert "Access-Control-Allow-Origin" not in answer.headers
    sources = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert not [source for source in sources if "//" in source]
    assert not re.search(r"%\w+%", text)
    for source in sources:
        if source.startswith("assets/"):
            assert client.get(f"/loadtest/{source}", buffered=True).status_code == 200


def test_a_press_strikes(client: Any, watch: Watch) -> None:
    assert press(client).get_json() == {"event": "drop", "joined": False, "ago_s": 0.0}
    assert press(client).get_json()["joined"] is True


def test_the_page_is_told_what_there_is_to_press(client: Any, watch: Watch) -> None:
    told = client.get("/loadtest/recovery.json").get_json()
    assert [choice["name"] for choice in told["choices"]] == ["half"]
    assert "blackhole" in {each["kind"] for each in told["lasting"]}
    assert told["in_place"] == []


def test_a_press_without_the_pages_token_or_from_another_site_is_refused(client: Any, watch: Watch) -> None:
    assert client.post("/loadtest/storm", json=DROP).status_code == 403
    assert press(client, **{"X-Loadtest-Token": "x" * 32}).status_code == 403
    assert press(client, Origin="http://evil.example").status_code == 403
    assert press(client, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.get("/loadtest/storm").status_code == 200  # looking is not pressing
    assert watch.striker is not None
    assert watch.striker.under_way == ()


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"deploy"'])
def test_a_press_that_is_no_order_is_refused(client: Any, body: bytes) -> None:
    headers = {"X-Loadtest-Token": token(client), "Content-Type": "application/json"}
    assert client.post("/loadtest/storm", data=body, headers=headers).status_code == 409
    assert client.post("/loadtest/storm", data=b"x" * 20_000, headers=headers).status_code == 413


def test_history_names_its_columns_in_the_order_of_rows(client: Any, watch: Watch) -> None:
    watch.feed(line(1.0))
    told = client.get("/loadtest/history.json").get_json()
    assert [told["columns"][name][-1] for name in told["names"]] == watch._history.add(line(1.0))


def test_reports_and_comparisons_of_runs_that_are_not_there(client: Any) -> None:
    assert client.get("/loadtest/report/nothing").status_code == 404
    assert client.get("/loadtest/report/..%2f..%2fetc").status_code == 404
    assert client.get("/loadtest/compare?run=a&run=b").status_code == 404
    assert client.get("/loadtest/compare").status_code == 400


def test_a_report_that_is_there_is_sent_as_it_is(client: Any, watch: Watch, tmp_path: Path) -> None:
    assert watch.recorder is not None
    folder = watch.recorder.folder.path
    (folder / "report.html").write_text("<title>the report</title>")
    answer = client.get(f"/loadtest/report/{folder.name}", buffered=True)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert b"the report" in answer.get_data()


# --- Locust's page ---------------------------------------------------------------------------------------------------


def arguments(client: Any) -> dict[str, Any]:
    text = client.get("/").get_data(as_text=True)
    assert "./loadtest/assets/pane.js" in text
    found = re.search(r"window\.templateArgs = (.*)", text)
    assert found is not None
    content: dict[str, Any] = json.loads(found[1])
    return content


def test_locusts_page_has_our_tabs_and_our_past(client: Any, watch: Watch) -> None:
    watch.feed(line(1.0))
    told = arguments(client)
    assert [tab["title"] for tab in told["extended_tabs"]] == ["Live", "Storm", "Workers", "Runs"]
    (entry,) = told["history"]
    assert entry["user_count"][1] == 100
    assert entry["response_time_percentile_0.99"][1] == 3.0


def test_the_past_of_locusts_charts_is_bounded(watch: Watch) -> None:
    from datetime import UTC, datetime

    for second in range(5000):
        watch.feed(line(float(second)))
    assert 100 < len(history(watch, datetime.now(UTC))) <= 300


def test_locusts_figures_are_connections_and_exact_percentiles(client: Any, watch: Watch) -> None:
    fanout = {"published": 1, "delivered": 1234, "p50_ms": 1.25, "p99_ms": 77.125, "max_ms": 80.0}
    watch.feed(line(1.0, fanout=fanout, failures={"refused": 3}))
    told = client.get("/stats/requests").get_json()
    assert (told["user_count"], told["current_rps"], told["current_fail_per_sec"]) == (100, 1234, 3)
    assert told["current_response_time_percentiles"] == {
        "response_time_percentile_0.5": 1.25,
        "response_time_percentile_0.99": 77.125,
    }


def test_locusts_script_speaks_our_words_and_is_not_taken_for_its_own(client: Any) -> None:
    name = re.search(r'src="\./(assets/src-[^"]+)"', client.get("/").get_data(as_text=True))
    assert name is not None
    answer = client.get(f"/{name[1]}")
    assert "title:`Connections`" in answer.get_data(as_text=True)
    again = client.get(f"/{name[1]}", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert client.get("/assets/favicon-light.png", buffered=True).mimetype == "image/png"


# --- login -----------------------------------------------------------------------------------------------------------


def test_with_a_login_nothing_is_shown_or_done_before_it(
    environment, watch: Watch, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("loadtest.web.login.WRONG_S", 0)
    client = serve(environment, watch, tmp_path, login=True)
    watched = ("/", *(f"/loadtest/{page}" for page in TITLES), "/loadtest/history.json", "/loadtest/stream")
    for path in (*watched, "/loadtest/recovery.json", "/loadtest/workers.json", "/loadtest/runs.json"):
        answer = client.get(path)
        assert (answer.status_code, "login" in answer.headers["Location"]) == (302, True), path
    assert client.post("/loadtest/storm", json=DROP).status_code == 302
    for name, password in (("loadtest", "wrong"), ("root", "correct horse"), ("", "")):
        client.post("/loadtest-login", data={"username": name, "password": password})
        assert client.get("/loadtest/live").status_code == 302
    client.post("/loadtest-login", data={"username": "loadtest", "password": "correct horse"})
    assert client.get("/loadtest/live").status_code == 200


def test_a_login_needs_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    from loadtest.errors import UsageError

    monkeypatch.setenv("LOADTEST_WEB_PASSWORD", "short")
    with pytest.raises(UsageError, match="LOADTEST_WEB_PASSWORD"):
        password_from_environment()
    monkeypatch.setenv("LOADTEST_WEB_PASSWORD", "long enough")
    assert password_from_environment() == "long enough"


def test_the_script_of_the_charts_is_plotly_in_ascii(client: Any) -> None:
    answer = client.get("/loadtest/plotly.js")
    assert answer.headers["Content-Encoding"] == "gzip"
    script = gzip.decompress(answer.data)
    assert script.isascii()
    assert b"Plotly" in script[:2_000]
    assert len(script) > 1_000_000
