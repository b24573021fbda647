"""The web UI as a person uses it: real Chromium, Locust's page and ours, a real run behind them.

Pictures of every page are kept in $LOADTEST_PICTURES (default: the test's own folder). Every message of the browser's
console that is an error or a warning, every failed request and every script error fails the test.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect, sync_playwright

from ..web.browser import CHROMIUM, started_browser
from .conftest import LoadtestRun
from .test_locust_plain import OURS, gateway, locust, stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

__all__ = ["gateway", "locust", "stack"]

needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on PATH: apt-get install chromium (.ci/run does so where it may)"
)
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
SLOW_MS = 40_000
VERDICT = re.compile("pass|fail|invalid")
"""Which one is not the page's matter: the machine may be busy."""
expect.set_options(timeout=15_000)

OpenPage = Callable[..., Page]
Picture = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = started_browser(playwright)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Return `open(**context options)`: a page whose troubles fail the test at its end."""
    troubles: list[str] = []

    def opened(**options: Any) -> Page:
        given = {"viewport": {"width": 1280, "height": 900}} | options
        page = contexts.enter_context(browser.new_context(**given)).new_page()
        page.on("console", lambda told: troubles.append(told.text) if told.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("response", lambda got: troubles.append(f"{got.status} {got.url}") if got.status >= 400 else None)
        return page

    with ExitStack() as contexts:
        yield opened
    assert troubles == []


@pytest.fixture
def picture(tmp_path: Path) -> Picture:
    """Return `picture(page, name)`: keeps what the page looks like."""
    folder = Path(os.environ.get("LOADTEST_PICTURES") or tmp_path / "pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return lambda page, name: page.screenshot(path=folder / f"{name}.png", full_page=True) and None


def web_url(run: LoadtestRun) -> str:
    """Return where a `loadtest run --web --web-port 0` serves."""
    run.until_said("web UI: http")
    found = re.search(r"web UI: (http://\S+)", run.said)
    assert found is not None
    return found[1]


def ours(page: Page) -> FrameLocator:
    return page.frame_locator("#loadtest-pane")


def choose(page: Page, name: str, begins: str) -> None:
    """Choose the entry of a drop-down that begins so."""
    drop_down = page.locator(f"select[name={name}]")
    (label,) = [text for text in drop_down.locator("option").all_inner_texts() if text.startswith(begins)]
    drop_down.select_option(label=label)


def start(page: Page) -> None:
    page.locator("form button[type=submit]").last.click()
    expect(page.get_by_role("tab", name="Live")).to_have_attribute("aria-selected", "true", timeout=SLOW_MS)


def arm(place: Page | FrameLocator) -> None:
    place.locator("#arm").click()
    place.locator("#ask-yes").click()
    expect(place.locator("#armed-note")).to_have_text("Armed: each press strikes at once.")


def until_hold(place: Page | FrameLocator) -> None:
    expect(place.locator("#state")).to_have_text("hold", timeout=SLOW_MS)


def end(run: LoadtestRun, *pages: Page) -> int:
    for page in pages:
        page.goto("about:blank")  # a stream that is cut off is a trouble
    run.process.send_signal(signal.SIGINT)
    return run.wait(40)


@needs_browser
def test_two_versions_are_run_and_compared_from_the_page_alone(loadtest_run, open_page, picture) -> None:
    run = loadtest_run("deploy-storm", "--web", "--web-port", "0", "--set", "phases.warmup=1s")
    url, page = web_url(run), open_page()
    page.goto(url)
    expect(page.get_by_text("Ramp (connections per second)")).not_to_have_count(0)
    expect(page.locator("input[name=userCount]")).to_have_value("5000")
    choose(page, "profile", "smoke")
    expect(page.locator("input[name=userCount]")).to_have_value("200")
    picture(page, "1-start")
    fill(page, seconds=12, deploy="none", version="bifrost-1")
    start(page)
    expect(ours(page).locator("#now-connections")).to_have_text("150", timeout=SLOW_MS)
    expect(ours(page).locator("#chart-states .main-svg").first).to_be_visible()
    other = open_page(**PHONE, color_scheme="dark")
    two_press_deploy_at_once(page, other, url, picture)
    look_around(page, other, url, picture)

    page.get_by_role("button", name="New").click()
    choose(page, "profile", "smoke")
    fill(page, seconds=5, deploy="as the profile says", version="sync")
    choose(page, "versus", "bifrost-1")
    picture(page, "7-start-two")
    page.locator("form button[type=submit]").last.click()
    expect(ours(page).locator("#target")).to_have_text(re.compile("^sync.*, run 1 of 2$"), timeout=SLOW_MS)
    expect(ours(page).locator("#target")).to_have_text(re.compile("^bifrost-1.*, run 2 of 2$"), timeout=SLOW_MS)
    until_hold(ours(page))
    expect(ours(page).locator("#state")).to_have_text(VERDICT, timeout=SLOW_MS)
    compare_both(page, picture)
    assert end(run, page, other) in (0, 1, 3)
    assert [events_of(folder) for folder in run.folders] == [["deploy"]] * 3  # one each, though two pressed


def fill(page: Page, *, seconds: int, deploy: str, version: str) -> None:
    """Fill the form that is open."""
    page.locator("input[name=userCount]").fill("150")
    page.locator("input[name=runTime]").fill(f"{seconds}s")
    choose(page, "stackDeploy", deploy)
    choose(page, "stackVersion", version)


def two_press_deploy_at_once(page: Page, other: Page, url: str, picture: Picture) -> None:
    """One event, which both see: its answer, its mark, its curve and its times."""
    other.goto(f"{url}/loadtest/storm")
    page.get_by_role("tab", name="Storm").click()
    until_hold(ours(page))
    arm(ours(page))
    arm(other)
    ours(page).locator("#deploy button").click(no_wait_after=True)
    other.locator("#deploy button").click(no_wait_after=True)
    expect(ours(page).locator("#answer")).to_have_text("deploy struck.")
    expect(other.locator("#answer")).to_contain_text("pressed on another page")
    for place in (ours(page), other):
        rows = place.locator("#events tbody tr")
        expect(rows).to_have_count(1)
        expect(rows.first).to_contain_text("100 %", timeout=SLOW_MS)
        expect(place.locator("#chart-recovery .scatterlayer .trace")).to_have_count(2)
        expect(place.locator("#chart-states .annotation-text", has_text="deploy")).to_be_visible()
    picture(page, "2-storm")
    picture(other, "3-storm-phone-dark")
    assert other.evaluate("document.documentElement.scrollWidth") <= 390


def look_around(page: Page, other: Page, url: str, picture: Picture) -> None:
    """See the live page alone, the workers, Locust's charts, and the verdict."""
    other.goto(f"{url}/loadtest/live")
    expect(other.locator("#log")).to_contain_text("every client is back")
    picture(other, "4-live-phone-dark")
    page.get_by_role("tab", name="Workers").click()
    expect(ours(page).locator("#workers tbody tr")).to_have_count(2)
    page.get_by_role("tab", name="Charts").click()
    expect(page.get_by_text("Connections", exact=True).first).to_be_visible()
    picture(page, "5-charts")
    page.get_by_role("tab", name="Live").click()
    expect(ours(page).locator("#state")).to_have_text(VERDICT, timeout=SLOW_MS)
    with page.expect_popup() as reported:
        ours(page).get_by_text("Open the report").click()
    expect(reported.value.locator("h1")).to_contain_text("smoke", timeout=SLOW_MS)
    picture(page, "6-live")


def compare_both(page: Page, picture: Picture) -> None:
    """Tick the two runs of the series, compare their versions, open a report."""
    page.get_by_role("tab", name="Runs").click()
    rows = ours(page).locator("#runs tbody tr")
    expect(rows).to_have_count(3)
    for row, version in ((0, "bifrost-1"), (1, "sync")):
        expect(rows.nth(row)).to_contain_text(version)
        rows.nth(row).locator("input").check()
    expect(ours(page).locator("#picked")).to_have_text("Compare sync (1 run) with bifrost-1 (1 run).")
    picture(page, "8-runs")
    with page.expect_popup() as compared:
        ours(page).locator("#compare").click()
    expect(compared.value.locator("h1")).to_contain_text("bifrost-1", timeout=SLOW_MS)
    expect(compared.value.locator("h1")).to_contain_text("sync")
    expect(compared.value.get_by_text("The profiles differ")).to_have_count(0)
    picture(compared.value, "9-compared")
    with page.expect_popup() as reported:
        rows.last.get_by_text("Open").click()
    expect(reported.value.locator("h1")).to_contain_text("smoke", timeout=SLOW_MS)


def events_of(folder: Path) -> list[str]:
    return [event["name"] for event in json.loads((folder / "run.json").read_text())["events"]]


@needs_browser
def test_stop_keeps_what_was_measured_and_what_cannot_start_is_said_in_the_form(
    loadtest_run, open_page, picture
) -> None:
    run = loadtest_run("smoke", "--web", "--web-port", "0", "--set", "duration=60s")
    url, page = web_url(run), open_page()
    page.goto(url)
    choose(page, "stackDeploy", "none")
    page.locator("input[name=host]").fill("ws://127.0.0.1:9/socket.io/")
    page.locator("form button[type=submit]").click()
    expect(page.get_by_role("alert")).to_contain_text("127.0.0.1:9", timeout=SLOW_MS)
    page.locator("input[name=host]").fill("")
    page.locator("input[name=host]").blur()  # Locust's hint moves the button
    start(page)
    until_hold(ours(page))
    freeze_a_part(page, picture)
    page.get_by_role("button", name="Stop").click()
    expect(ours(page).locator("#state")).to_have_text("interrupted", timeout=SLOW_MS)
    expect(ours(page).locator("#alert")).to_contain_text("Stopped from the web page.")
    assert end(run, page) == 130
    assert run.folders[-1].joinpath("report.html").exists()


def freeze_a_part(page: Page, picture: Picture) -> None:
    """Choose among what the stack has, and see it in place; what it lacks cannot be chosen and has its reason."""
    page.get_by_role("tab", name="Storm").click()
    arm(ours(page))
    form = ours(page).locator("#of_parts")
    expect(form.locator("option[value=failover]")).to_be_disabled()
    expect(form.locator("#why-not")).to_contain_text("No failover: the broker has no replica before bifrost-6.")
    form.locator("select[name=kind]").select_option("freeze")
    expect(form.locator("input[name=delay]")).to_be_hidden()
    form.locator("select[name=part]").select_option("api")
    form.locator("button").click()
    expect(ours(page).locator("#answer")).to_have_text("freeze struck.")
    expect(ours(page).locator("#back option")).to_have_text("freeze")
    picture(page, "10-parts")
    page.get_by_role("tab", name="Live").click()


@needs_browser
def test_plain_locust_shows_the_same_tabs(locust, gateway, open_page, picture) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run = locust(OURS, f"--web-port={port}", "--loadtest-profile=smoke", "--host", gateway)
    run.until(lambda: answers(f"http://127.0.0.1:{port}/"))
    page = open_page()
    page.goto(f"http://127.0.0.1:{port}/")
    page.locator("input[name=userCount]").fill("3")
    page.locator("input[name=spawnRate]").fill("10")
    page.locator("form button[type=submit]").click()
    page.get_by_role("tab", name="Live").click()
    expect(ours(page).locator("#now-connections")).to_have_text("100", timeout=SLOW_MS)
    page.get_by_role("tab", name="Storm").click()
    arm(ours(page))
    for form in ("#deploy", "#of_parts"):
        expect(ours(page).locator(f"{form} button")).to_be_disabled()  # Locust started no stack
    ours(page).locator("#drop button").click()
    expect(ours(page).locator("#answer")).to_have_text("drop struck.")
    expect(ours(page).locator("#events tbody tr").first).to_contain_text("100 %", timeout=SLOW_MS)
    picture(page, "11-plain-locust")
    page.goto("about:blank")
    run.process.send_signal(signal.SIGTERM)
    run.wait(40)
    assert events_of(run.folder) == ["drop"]


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except (urllib.error.URLError, OSError):
        return False


def test_a_port_that_is_taken_is_said(loadtest_run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = loadtest_run("smoke", "--web", "--web-port", str(taken.getsockname()[1]))
        assert run.wait(30) == 2
    assert "nothing can listen on 127.0.0.1" in run.said
    assert run.folders == []
