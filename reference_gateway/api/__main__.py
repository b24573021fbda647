"""Run the private API: `python -m reference_gateway.api`, configured by its environment.

RG_HOST, RG_PORT     where to listen (RG_HOST: 127.0.0.1)
RG_LISTEN_FD         a listening socket to take over, in place of one of its own
RG_RULES             the rule file (default: the shipped one)
RG_COLLECTIONS_URL   base URL of the collections service; any RG_<NAME>_URL is a service {<name>_url} for rules
"""

from __future__ import annotations

import os
from pathlib import Path

from reference_gateway.api.app import build_app
from reference_gateway.api.rules import RuleError
from reference_gateway.errors import SettingError
from reference_gateway.serving import run_part, serve
from reference_gateway.settings import LISTEN_FD, read_port, read_text


def _start() -> None:
    read_text(os.environ, "RG_COLLECTIONS_URL")
    services = {
        name.removeprefix("RG_").lower(): url.rstrip("/")
        for name, url in os.environ.items()
        if name.startswith("RG_") and name.endswith("_URL") and name != "RG_API_URL"
    }
    rules = Path(read_text(os.environ, "RG_RULES", str(Path(__file__).with_name("rules.toml"))))
    try:
        app = build_app(rules, services, reload_on_hangup=True)
    except RuleError as error:
        raise SettingError(f"RG_RULES {rules}: {error}") from None
    given = read_text(os.environ, LISTEN_FD, "")
    where = read_text(os.environ, "RG_HOST", "127.0.0.1"), read_port(os.environ)
    serve(app, *where, listener=int(given) if given else None)


if __name__ == "__main__":
    run_part("api", _start)
