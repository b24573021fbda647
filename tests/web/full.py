"""What the live page costs, by hand: `python -m tests.web.full [--minutes 10] [--connections 20000] [--workers 10]`.

A real run with its own stack, a deploy in its middle, watched in Chromium; the master's CPU is read without a page,
with the live page, with Locust's page around it, and without again.

    hold   | quiet | the live page alone, --minutes                     | Locust's page | quiet |
                     each second an update?  heap, nodes, bytes bounded?

Law: nothing is made up. Exit code 1 when a bound is broken; the machine's own idle share stands beside the figures.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from tests.web.browser import started_browser

QUIET_S = 40
FRAMED_S = 40
CHUNK_S = 30
CORE_PERCENT = 3.0
MOST_HISTORY_BYTES = 400_000
MOST_EVENT_BYTES = 4_000
MOST_HEAP_BYTES = 64 << 20
LONGEST_GAP_MS = 3_000
"""A second is told when its reports are in: 1 s apart on the whole, never three."""

WATCH_UPDATES = """() => {
  const clock = document.getElementById("clock");
  window.updates = [];
  new MutationObserver(() => window.updates.push(performance.now()))
    .observe(clock, { childList: true, characterData: true, subtree: true });
}"""


@dataclass
class Master:
    """The process that conducts the run."""

    process: psutil.Process
    busy_s: float = 0.0
    at_s: float = field(default_factory=time.monotonic)

    def percent(self) -> float:
        """Return the share of a core that it used since the last call, in percent."""
        times = self.process.cpu_times()
        busy_s, at_s = times.user + times.system, time.monotonic()
        share = (busy_s - self.busy_s) / (at_s - self.at_s)
        self.busy_s, self.at_s = busy_s, at_s
        return 100 * share


@dataclass
class Watched:
    """The live page in a browser: what it holds and what it is sent."""

    page: Page
    devtools: CDPSession
    events: list[int] = field(default_factory=list)

    @classmethod
    def open(cls, browser: Browser, url: str) -> Watched:
        """Open the page and begin to count."""
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        watched = cls(page, page.context.new_cdp_session(page))
        watched.devtools.send("Network.enable")
        watched.devtools.send("Performance.enable")
        watched.devtools.on("Network.eventSourceMessageReceived", lambda told: watched.events.append(len(told["data"])))
        page.goto(url, wait_until="commit")
        page.wait_for_function("() => document.querySelectorAll('.chart .main-svg').length >= 5")
        page.evaluate(WATCH_UPDATES)
        return watched

    def heap_bytes(self) -> int:
        """Return what the page's scripts hold once the garbage is gone."""
        self.devtools.send("HeapProfiler.collectGarbage")
        found = {each["name"]: each["value"] for each in self.devtools.send("Performance.getMetrics")["metrics"]}
        return int(found["JSHeapUsedSize"])

    def nodes(self) -> int:
        """Return the number of elements in the document."""
        return int(self.page.evaluate("() => document.querySelectorAll('*').length"))

    def history_bytes(self) -> int:
        """Return the size of the answer that a page which opens now gets."""
        return len(self.page.request.get(re.sub(r"[a-z]+$", "history.json", self.page.url)).body())

    def updates_ms(self) -> list[float]:
        """Return when the page's clock moved."""
        return list(self.page.evaluate("() => window.updates"))


def command(arguments: argparse.Namespace, out: Path) -> list[str]:
    """Return the run: the deploy storm, with these many clients and workers, long enough for every part."""
    hold_s = arguments.minutes * 60 + 2 * QUIET_S + FRAMED_S + 40
    settings = {
        "population.connections": arguments.connections,
        "population.channels.0.count": max(1, arguments.connections // 100),
        "population.herd_size": max(1, arguments.connections // arguments.workers // 4),
        "publish.rate": "20/s",
        "duration": f"{hold_s:g}s",
        "faults.0.after_steady": f"{hold_s / 2:g}s",
        "ramp.rate": "400/s",
        "ramp.timeout": "300s",
    }
    argv = [sys.executable, "-m", "loadtest.cli", "run", "deploy-storm", "--web", "--web-port", "0", "--autostart"]
    argv += ["--out", str(out), "--workers", str(arguments.workers), "--force"]
    return argv + [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def watch(url: str, master: Master, browser: Browser, seconds: float) -> list[str]:
    """Measure the four parts; return what is out of its bound."""
    master.percent()
    time.sleep(QUIET_S)
    quiet = [master.percent()]
    watched = Watched.open(browser, f"{url}/loadtest/live")
    watched.page.wait_for_timeout(5_000)
    rows = []
    until_s = time.monotonic() + seconds
    psutil.cpu_percent()
    began_ms, told = watched.updates_ms()[-1], len(watched.events)
    master.percent()
    alone: list[float] = []
    while time.monotonic() < until_s:
        watched.page.wait_for_timeout(min(CHUNK_S, until_s - time.monotonic()) * 1000)
        alone.append(master.percent())
        idle = 100 - psutil.cpu_percent()
        rows.append((watched.heap_bytes(), watched.nodes(), watched.history_bytes()))
        master.percent()  # what looking cost is not the page's
        say(
            f"  {len(alone) * CHUNK_S / 60:5.1f} min: master {alone[-1]:.2f} % of a core,"
            f" heap {rows[-1][0] / 1e6:.1f} MB, {rows[-1][1]} elements, history {rows[-1][2] / 1e3:.0f} kB,"
            f" machine idle {idle:.0f} %"
        )
    updates = [at for at in watched.updates_ms() if at >= began_ms]
    gaps = [after - before for before, after in pairwise(updates)]
    events = watched.events[told:]
    watched.page.context.close()
    framed = browser.new_page()
    framed.goto(f"{url}/?tab=live", wait_until="load")
    framed.wait_for_timeout(5_000)
    master.percent()
    framed.wait_for_timeout(FRAMED_S * 1000)
    in_locust = master.percent()
    framed.close()
    time.sleep(2)
    master.percent()
    time.sleep(QUIET_S)
    quiet.append(master.percent())

    without, with_page = sum(quiet) / 2, sum(alone) / len(alone)
    per_s = 1000 * len(gaps) / (updates[-1] - updates[0])
    say(f"master: {quiet[0]:.2f} and {quiet[1]:.2f} % of a core without a page, {with_page:.2f} % with the live page,")
    say(f"        {in_locust:.2f} % with Locust's page around it: the live page costs {with_page - without:.2f} %")
    say(f"updates: {len(updates)}, {per_s:.3f} a second, longest gap {max(gaps) / 1000:.2f} s")
    say(f"stream: {len(events)} events, {sum(events) / len(events):.0f} bytes each, at most {max(events)}")
    bounds = {
        f"{with_page - without:.2f} % of a core for the page": with_page - without < CORE_PERCENT,
        f"a gap of {max(gaps):.0f} ms": max(gaps) < LONGEST_GAP_MS,
        f"{per_s:.3f} updates a second": per_s > 0.97,
        f"an event of {max(events)} bytes": max(events) < MOST_EVENT_BYTES,
        f"a history of {max(row[2] for row in rows)} bytes": max(row[2] for row in rows) < MOST_HISTORY_BYTES,
        f"a heap of {max(row[0] for row in rows)} bytes": max(row[0] for row in rows) < MOST_HEAP_BYTES,
        f"{rows[-1][1]} elements": rows[-1][1] < 1.5 * rows[0][1] + 500,
    }
    return [said for said, kept in bounds.items() if not kept]


def until(process: subprocess.Popen[Any], log: Path, pattern: str, timeout_s: float) -> str:
    """Return what `pattern` finds in what the run says, once it is there."""
    deadline_s = time.monotonic() + timeout_s
    while (found := re.search(pattern, log.read_text())) is None:
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise SystemExit(f"the run did not get so far:\n{log.read_text()}")
        time.sleep(0.1)
    return found[1]


def until_hold(browser: Browser, url: str) -> None:
    """Return once everybody is connected."""
    page = browser.new_page()
    page.goto(f"{url}/loadtest/workers", wait_until="commit")
    page.wait_for_function("() => document.getElementById('state').textContent === 'hold'", timeout=360_000)
    page.close()


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--connections", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "said"
        with log.open("wb") as said:
            process = subprocess.Popen(
                command(arguments, Path(scratch) / "runs"), stdout=said, stderr=said, cwd=scratch
            )
        try:
            url = until(process, log, r"web UI: (http://\S+)", 60)
            with sync_playwright() as playwright:
                browser = started_browser(playwright)
                until_hold(browser, url)
                wrong = watch(url, Master(psutil.Process(process.pid)), browser, 60 * arguments.minutes)
                browser.close()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(120)
        say(log.read_text().strip().splitlines()[-1])
    say("\n".join(f"WRONG {each}" for each in wrong) or "every bound holds")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
