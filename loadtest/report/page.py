"""The frame of every page: style, script, plotly and figures in one file that asks the network for nothing.

The content security policy allows exactly the three scripts written here, by hash, and no connection at all: markup
that slipped through an escape could neither run nor fetch.

    body + Charts --page--> <html> style | body | figures (JSON) | plotly.js | page.js
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources

from loadtest.errors import UsageError
from loadtest.report.chart import Chart
from loadtest.report.markup import Html, el, join, script_json, table


@cache
def _asset(name: str) -> str:
    return resources.files("loadtest.report").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _plotly_js() -> str:
    try:
        from plotly.offline import get_plotlyjs  # noqa: PLC0415 (an extra: only the report needs it)
    except ImportError as error:
        raise UsageError("the HTML report needs plotly: pip install 'gateway-loadtest[report]'") from error
    source: str = get_plotlyjs()
    # Inside a script element only these end or suspend it; in strings and regular expressions \x3c means the same.
    return source.replace("</script", "\\x3c/script").replace("<!--", "\\x3c!--")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def figure(chart: Chart) -> Html:
    """Return the place of a chart, its caption, its switch and its table."""
    switch = (
        el("button", "Logarithmic scale", type="button", class_="switch", data_chart=chart.key, aria_pressed="false")
        if chart.log_axis
        else None
    )
    beside = (
        el("details", el("summary", "As a table"), table(chart.head, chart.rows, chart.title), class_="as-table")
        if chart.rows
        else None
    )
    return el(
        "figure",
        el("figcaption", el("h3", chart.title), el("p", chart.caption), switch),
        el("div", id=f"chart-{chart.key}", class_="chart", role="img", aria_label=f"{chart.title}. {chart.caption}"),
        beside,
    )


def section(key: str, title: str, *parts: object) -> Html:
    """Return a section with its heading; parts that are None are left out."""
    return el("section", el("h2", title, id=key), *parts, aria_labelledby=key)


def page(title: str, body: Sequence[object], charts: Sequence[Chart]) -> str:
    """Return the whole document as text.

    Args:
        title: of the document; text of a stranger is escaped.
        body: content of the main element.
        charts: the figures whose places `body` holds.
    """
    figures = {c.key: {"traces": c.traces, "layout": c.layout} for c in charts}
    scripts = [_plotly_js(), _asset("page.js")] if charts else []
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts) or "'none'"
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
    head = join(
        (
            el("meta", charset="utf-8"),
            el("meta", http_equiv="Content-Security-Policy", content=policy),
            el("meta", name="viewport", content="width=device-width, initial-scale=1"),
            el("meta", name="color-scheme", content="light dark"),
            el("title", title),
            el("style", Html(_asset("page.css"))),
        ),
        "\n",
    )
    tail = [el("script", script_json(figures), type="application/json", id="figures")] if charts else []
    tail += [el("script", Html(script)) for script in scripts]
    main = el("main", *body)
    return f'<!DOCTYPE html>\n<html lang="en">\n{el("head", head)}\n{el("body", main, *tail)}\n</html>\n'
