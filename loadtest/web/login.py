"""Locust's login page for `loadtest run --web --web-login`: one name, one password, from the environment.

Law: the password is compared in constant time, is never logged, and never reaches a page. A wrong one costs a second.
"""

from __future__ import annotations

import hmac
import os
import secrets
from typing import Any

import gevent
from flask import redirect, request, session, url_for
from flask_login import UserMixin, login_user
from locust.web import WebUI

from loadtest.errors import UsageError

VARIABLE = "LOADTEST_WEB_PASSWORD"
NAME = "loadtest"
LEAST = 8
WRONG_S = 1.0


class _Person(UserMixin):  # type: ignore[misc]  # flask-login is untyped
    id = NAME


def password_from_environment() -> str:
    """Return the password that the environment holds.

    Raises:
        UsageError: it is missing or too short.
    """
    password = os.environ.get(VARIABLE, "")
    if len(password) < LEAST:
        raise UsageError(f"--web-login needs a password of {LEAST} characters or more in {VARIABLE}")
    return password


def add_login(web_ui: WebUI, password: str) -> None:
    """Ask for `NAME` and `password` before anything is shown. `web_ui` was made with web_login=True."""
    app = web_ui.app
    assert app is not None
    app.secret_key = secrets.token_bytes(32)
    app.config.update(SESSION_COOKIE_SAMESITE="Strict", SESSION_COOKIE_HTTPONLY=True)
    web_ui.login_manager.user_loader(lambda name: _Person() if name == NAME else None)
    web_ui.auth_args = {"username_password_callback": "./loadtest-login"}

    @app.route("/loadtest-login", methods=["POST"])
    def check() -> Any:
        given = request.form.get("username", ""), request.form.get("password", "")
        right = [
            hmac.compare_digest(one.encode(), two.encode()) for one, two in zip(given, (NAME, password), strict=True)
        ]
        if all(right):
            login_user(_Person())
            return redirect(url_for("locust.index"))
        gevent.sleep(WRONG_S)
        session["auth_error"] = f'Wrong name or password. The name is "{NAME}".'
        return redirect(url_for("locust.login"))
