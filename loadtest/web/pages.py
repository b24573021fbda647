"""Our own pages below /loadtest: live, storm, workers, runs; what they ask for; what they may do.

    /loadtest/live|storm|workers|runs   pages, alone or framed in a tab of Locust's
    /loadtest/history.json, stream      the run so far, then each second as it happens (Server-Sent Events)
    /loadtest/recovery.json, workers.json, runs.json
    /loadtest/storm (POST, with the page's token)    /loadtest/report/<run>, /loadtest/compare?run=..&run=..

Laws: every route is behind Locust's login when that is on. What changes anything is a POST that carries the token of
this server's own pages. A page loads scripts from here only.
"""

from __future__ import annotations

import gzip
import hmac
import html
import re
import secrets
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from flask import Blueprint, Response, jsonify, redirect, request, send_file, send_from_directory
from locust.web import WebUI

from loadtest.errors import LoadtestError, UsageError
from loadtest.users.reporting import report_path
from loadtest.web.firewall import POLICY
from loadtest.web.rendering import comparison
from loadtest.web.shelf import Shelf
from loadtest.web.storm import Storm
from loadtest.web.watch import Watch

TITLES = {"live": "Live", "storm": "Storm", "workers": "Workers", "runs": "Runs"}
TOKEN_HEADER = "X-Loadtest-Token"
MOST_COMPARED = 60
MOST_BYTES = 10_000
"""Largest body of a press."""

ASSETS = Path(str(resources.files("loadtest.web").joinpath("assets")))


@cache
def _plotly_js() -> bytes | None:
    """Return plotly's script, compressed; None when it is not installed: pages work without, their charts do not.

    In ASCII: for two dozen other letters in five megabytes a browser would read all of them at twice the width.

    Cost: 0.1 s of the first page; a better compression would take five times as long, and loading plotly itself longer.
    """
    found = find_spec("plotly")
    path = Path(found.origin).parent / "package_data" / "plotly.min.js" if found and found.origin else None
    if path is None or not path.is_file():
        return None
    script = re.sub(r"[^\x00-\x7f]", _escaped, path.read_text(encoding="utf-8"))
    return gzip.compress(script.encode("ascii"), 1)


def _escaped(letter: re.Match[str]) -> str:
    units = letter[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def shell(page: str, token: str) -> str:
    """Return a page as HTML: its own part in the frame that all share."""
    links = "".join(
        f'<a href="{key}"{" aria-current=page" if key == page else ""}>{title}</a>' for key, title in TITLES.items()
    )
    frame = (ASSETS / "frame.html").read_text(encoding="utf-8")
    parts = {"title": TITLES[page], "page": page, "links": links, "token": html.escape(token)}
    parts["body"] = (ASSETS / f"{page}.html").read_text(encoding="utf-8")
    for key, value in parts.items():
        frame = frame.replace(f"%{key}%", value)
    return frame


class Pages:
    """The views. `token`: what a press must carry."""

    def __init__(self, watch: Watch, storm: Storm, shelf: Shelf) -> None:
        self.token = secrets.token_urlsafe(24)
        self._watch = watch
        self._storm = storm
        self._shelf = shelf

    def add_to(self, web_ui: WebUI, base_path: str = "") -> None:
        """Add the pages to Locust's web UI.

        Args:
            base_path: Locust's --web-base-path.
        """
        app, guarded = web_ui.app, cast(Any, web_ui).auth_required_if_enabled
        assert app is not None
        blueprint = Blueprint("loadtest", __name__, url_prefix=f"{base_path}/loadtest")
        for rule, view in (
            ("/", self.start),
            ("/<any(live, storm, workers, runs):page>", self.page),
            ("/assets/<path:name>", self.assets),
            ("/plotly.js", self.plotly),
            ("/history.json", self.history),
            ("/stream", self.stream),
            ("/recovery.json", self.recovery),
            ("/workers.json", self.workers),
            ("/runs.json", self.runs),
            ("/report/<run_id>", self.report),
            ("/compare", self.compare),
        ):
            blueprint.add_url_rule(rule, view.__name__, guarded(view))
        blueprint.add_url_rule("/storm", "press", guarded(self.press), methods=["POST"])
        app.register_blueprint(blueprint)

    def start(self) -> Any:
        """Lead to the live page."""
        return redirect("live")

    def page(self, page: str) -> Response:
        """Answer with one of the four pages."""
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
        return Response(shell(page, self.token), mimetype="text/html", headers=headers)

    def assets(self, name: str) -> Response:
        """Answer with a script or a style sheet."""
        return send_from_directory(ASSETS, name, max_age=0)

    def plotly(self) -> Response:
        """Answer with plotly's script, or an empty one: pages then show figures without charts."""
        script = _plotly_js()
        if script is None:
            return Response("", mimetype="text/javascript")
        headers = {"Content-Encoding": "gzip", "Cache-Control": "private, max-age=86400"}
        return Response(script, mimetype="text/javascript", headers=headers)

    def history(self) -> Response:
        """Answer with the run so far."""
        return jsonify(self._watch.history())

    def stream(self) -> Response:
        """Answer with each second as it happens."""
        try:
            events = self._watch.follow()
        except OverflowError as error:
            return _plain(str(error), 503)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Response(events, mimetype="text/event-stream", headers=headers)

    def recovery(self) -> Response:
        """Answer with the recovery of each event, and what can be struck again."""
        watch = self._watch
        return jsonify(
            {
                "events": watch.recovery(),
                **self._storm.offer(),
                **watch.head(),
            }
        )

    def workers(self) -> Response:
        """Answer with how each worker is."""
        return jsonify({"workers": self._watch.workers(), **self._watch.head()})

    def runs(self) -> Response:
        """Answer with the past runs."""
        return jsonify(self._shelf.entries())

    def press(self) -> Any:
        """Strike with a fault: a POST that carries the token of this server's pages."""
        if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), self.token.encode()):
            return jsonify({"problem": "this press did not come from a page of this server; reload the page"}), 403
        if (request.content_length or 0) > MOST_BYTES:
            return jsonify({"problem": "too large"}), 413
        order = request.get_json(silent=True)
        try:
            if not isinstance(order, dict):
                raise UsageError("an order is a JSON object")
            return jsonify(self._storm.press(order))
        except LoadtestError as error:
            return jsonify({"problem": str(error)}), 409

    def report(self, run_id: str) -> Response:
        """Answer with the report of a run."""
        folder = self._shelf.path(run_id)
        if folder is None:
            return _plain(f"no run {run_id[:100]}", 404)
        try:
            return send_file(report_path(folder).resolve())
        except LoadtestError as error:
            return _plain(str(error), 500)

    def compare(self) -> Response:
        """Answer with runs side by side."""
        ids = set(request.args.getlist("run"))
        if not 2 <= len(ids) <= MOST_COMPARED:
            return _plain(f"name 2 to {MOST_COMPARED} runs", 400)
        try:
            return Response(comparison(self._shelf.groups(list(ids))), mimetype="text/html")
        except KeyError as error:
            return _plain(f"no run {error.args[0][:100]}", 404)
        except LoadtestError as error:
            return _plain(str(error), 500)


def _plain(text: str, status: int) -> Response:
    return Response(text, status=status, mimetype="text/plain")
