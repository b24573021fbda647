"""Locust's words on its own page, where they would say something else than what is counted.

Law: a phrase is replaced whole or not at all. Where another Locust writes it differently, the page keeps Locust's word;
which phrases are found in the installed one is a test.
"""

from __future__ import annotations

SHOWN = {
    "title:`Number of Users`,lines:[{name:`Number of Users`": "title:`Connections`,lines:[{name:`Connections`",
    "title:`Total Requests per Second`,lines:[{name:`RPS`": "title:`Deliveries per Second`,lines:[{name:`Deliveries/s`",
    "name:`Failures/s`": "name:`Failed attempts/s`",
    "title:`Response Times (ms)`": "title:`Fan-out Latency (ms)`",
    "children:`Host`": "children:`Target`",
    "children:`Users`": "children:`Connections`",
    "children:`RPS`": "children:`Deliveries/s`",
}
"""For every run: status bar and charts."""

FORM = {
    "label:`Number of users (peak concurrency)`": "label:`Connections`",
    "label:`Ramp up (users started/second)`": "label:`Ramp (connections per second)`",
    "label:`Host ${": "label:`Target: the gateway's URL, ws:// or wss:// (empty: the profile's own) ${",
    "children:`Custom parameters`": "children:`Profile and deploy`",
    "message:`Please use a valid url format e.g. https://google.com`": "message:`Empty, or a URL such as ws://127.0.0.1:3000/socket.io/`",
}
"""For the start form of `loadtest run --web`, where connections are counted and not Locust's users."""

HERDS = {
    "label:`Number of users (peak concurrency)`": "label:`Users: herds of connections, and publishers`",
    "children:`Custom parameters`": "children:`Profile`",
}
"""For the start form under plain Locust."""


def reworded(script: str, *tables: dict[str, str]) -> str:
    """Return Locust's script with our words."""
    for table in tables:
        for theirs, ours in table.items():
            script = script.replace(theirs, ours)
    return script
