"""Run the collections service: `python -m reference_gateway.services`, configured by its environment.

RG_HOST, RG_PORT   where to listen (RG_HOST: 127.0.0.1)
DATABASE_URL       an SQLAlchemy URL with an async driver
REDIS_URL          the broker
RG_PATIENT         1: keep what cannot be published, and promote the broker's replica if need be
RG_DATABASE_TROUBLE  a file that tells of trouble the database is to be in (none: there never is any)
RG_LOG_KEPT        messages it keeps of each collection for those who were away (0: none)
"""

from __future__ import annotations

import os

from reference_gateway.services.app import build_app
from reference_gateway.serving import run_part, serve
from reference_gateway.settings import TROUBLE, read_number, read_path, read_port, read_text


def _start() -> None:
    kept = int(read_number(os.environ, "RG_LOG_KEPT", 0, 0, 1_000_000))
    patient = read_text(os.environ, "RG_PATIENT", "0") == "1"
    urls = read_text(os.environ, "DATABASE_URL"), read_text(os.environ, "REDIS_URL")
    app = build_app(*urls, kept, patient=patient, trouble_file=read_path(os.environ, TROUBLE))
    serve(app, read_text(os.environ, "RG_HOST", "127.0.0.1"), read_port(os.environ))


if __name__ == "__main__":
    run_part("collections", _start)
