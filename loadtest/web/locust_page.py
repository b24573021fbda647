"""Extends Locust's own page: four tabs, its status bar and charts fed with connections and exact percentiles.

    index.html      tabs (template_args), pane.js appended
    src-*.js        a few words replaced (`wording`)
    stats/requests  user_count, rates and percentiles of the last interval line

Laws: Locust's files stay as they are on the disk; everything not named here stays Locust's. The charts' past
is the bounded history, whatever Locust itself remembers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from flask import Response, request
from locust import stats
from locust.web import WebUI

from loadtest.web.firewall import Firewall
from loadtest.web.watch import RUNNING, Watch
from loadtest.web.wording import reworded

PERCENTILES = (0.5, 0.99)
KEYS = {0.5: "p50_ms", 0.99: "p99_ms"}
POINTS = 300
"""Most points of Locust's charts that are given to a page that opens."""

TABS = ({"title": "Live", "key": "live"}, {"title": "Storm", "key": "storm"}, {"title": "Runs", "key": "runs"})
WORKERS_TAB = {"title": "Workers", "key": "workers"}
HERDS_TAB = {"title": "Worker health", "key": "loadtest-workers"}
"""Under a distributed Locust, which has a tab Workers of its own."""


def dress(web_ui: WebUI, watch: Watch, words: tuple[dict[str, str], ...], arguments: Callable[[], None]) -> None:
    """Extend the page of `web_ui`, and put the firewall before it.

    Args:
        arguments: refreshes `web_ui.template_args`, Locust's way or another; tabs and history are added to it.
    """
    stats.PERCENTILES_TO_CHART[:] = PERCENTILES
    app = web_ui.app
    assert app is not None
    scripts: dict[str, bytes] = {}

    def update_template_args() -> None:
        arguments()
        distributed = web_ui.template_args.get("is_distributed")
        workers = HERDS_TAB if distributed else WORKERS_TAB
        web_ui.template_args |= {
            "extended_tabs": [*TABS[:2], workers, *TABS[2:]],
            "history": history(watch, datetime.now(UTC)),
            "percentiles_to_chart": list(PERCENTILES),
        }

    theirs: Any = app.view_functions["locust.send_assets"]

    def send_assets(path: str) -> Any:
        if not path.endswith(".js"):
            return theirs(path)
        if path not in scripts:
            scripts[path] = _in_our_words(theirs(path), words)
        script = scripts[path]
        answer = Response(script, mimetype="text/javascript")
        answer.set_etag(hashlib.sha256(script).hexdigest()[:32])  # not that of the file: a browser may know it
        return answer.make_conditional(request)

    app.view_functions["locust.send_assets"] = send_assets
    cast(Any, web_ui).update_template_args = update_template_args

    @app.after_request
    def extend(answer: Response) -> Response:
        if request.endpoint == "locust.request_stats" and answer.is_json:
            answer.set_data(json.dumps(patched(answer.get_json(), watch)))
        elif request.endpoint == "locust.index" and answer.mimetype == "text/html":
            script = '<script type="module" src="./loadtest/assets/pane.js"></script>'
            answer.set_data(answer.get_data(as_text=True).replace("</body>", f"{script}\n</body>"))
        return answer

    cast(Any, app).wsgi_app = Firewall(app.wsgi_app, web_ui.host)


def _in_our_words(answer: Response, words: tuple[dict[str, str], ...]) -> bytes:
    answer.direct_passthrough = False
    script = reworded(answer.get_data(as_text=True), *words).encode()
    answer.close()
    return script


def patched(report: dict[str, Any], watch: Watch) -> dict[str, Any]:
    """Return the figures of Locust's page, those of the last interval line put in their place."""
    line: Mapping[str, Any] = watch.line
    if not line or watch.state != RUNNING:
        return {**report, "user_count": _subscribed(line)}
    fanout = line.get("fanout") or {}
    return {
        **report,
        "user_count": _subscribed(line),
        "current_rps": fanout.get("delivered") or 0,
        "total_rps": fanout.get("delivered") or 0,
        "current_fail_per_sec": sum((line.get("failures") or {}).values()),
        "current_response_time_percentiles": {
            f"response_time_percentile_{percentile}": fanout.get(key) for percentile, key in KEYS.items()
        },
    }


def _subscribed(line: Mapping[str, Any]) -> int:
    return int((line.get("connections") or {}).get("subscribed", 0))


def history(watch: Watch, now: datetime) -> list[dict[str, Any]]:
    """Return the past of Locust's charts, at most `POINTS` entries."""
    columns = watch.history()["columns"]
    times_s = columns["t_s"]
    rows = range(0, len(times_s), -(-len(times_s) // POINTS) or 1)
    entries = []
    for row in rows:
        moment = now - timedelta(seconds=times_s[-1] - times_s[row])
        time = moment.isoformat(timespec="seconds").replace("+00:00", "Z")
        span_s = columns["span_s"][row]
        entries.append(
            {
                "time": time,
                "user_count": [time, columns["subscribed"][row]],
                "current_rps": [time, round((columns["delivered"][row] or 0) / span_s, 1)],
                "current_fail_per_sec": [time, round((columns["failed"][row] or 0) / span_s, 1)],
                **{
                    f"response_time_percentile_{percentile}": [time, columns[key][row] or 0]
                    for percentile, key in KEYS.items()
                },
            }
        )
    return entries


def base_path_of(options: Any) -> str:
    """Return Locust's --web-base-path, "" without."""
    return str(getattr(options, "web_base_path", None) or "").rstrip("/")


def runs_folder(out: str | Path) -> Path:
    """Return the folder of runs, absolute: Flask would look for a relative one elsewhere."""
    return Path(out).resolve()
