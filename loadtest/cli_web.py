"""`loadtest run --web`: puts the web UI (`loadtest.web`) and the runs (`loadtest.launch`) together.

Law: the two rooms do not know each other; what one needs of the other is handed over here. Neither is loaded unless
--web is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadtest.errors import UsageError

if TYPE_CHECKING:
    from loadtest.launch.session import Options
    from loadtest.profile.model import Profile
    from loadtest.results.folder import RunFolder
    from loadtest.users.conductor import Conductor
    from loadtest.users.recorder import Observer

WebFlag = Annotated[bool, typer.Option("--web", help="Serve Locust's web UI: start, watch and break from a page.")]
HostAt = Annotated[str, typer.Option("--web-host", help="Address the web UI listens on.")]
PortAt = Annotated[int, typer.Option("--web-port", min=0, max=65535, help="Its port; 0: any free one.")]
LoginFlag = Annotated[bool, typer.Option("--web-login", help="Ask for the password in LOADTEST_WEB_PASSWORD.")]
StartFlag = Annotated[bool, typer.Option("--autostart", help="With --web: start the first run at once.")]

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class WebOptions:
    """Where the web UI listens, whether it asks for a password, whether the first run starts at once."""

    host: str
    port: int
    login: bool
    autostart: bool


def serve(
    profile: str,
    settings: Sequence[str],
    target: str | None,
    options: Options,
    web: WebOptions,
    check_threshold: Callable[[str], str | None],
    say: Callable[[str], None],
) -> typer.Exit:
    """Serve the web UI until Ctrl-C; return the exit code of its last run, 0 when there was none.

    Raises:
        UsageError: the profile is wrong, the port is taken, there is no password.
    """
    from loadtest.launch.session import run_profile
    from loadtest.results.summary import exit_code
    from loadtest.web.form import Form
    from loadtest.web.front import Address, Front, known_versions
    from loadtest.web.login import password_from_environment

    form = Form(profile, settings, target, known_versions(), check_threshold)
    password = password_from_environment() if web.login else None
    if password is None and web.host not in LOOPBACK:
        say("warning: whoever reaches this web UI can start runs and break things; --web-login asks for a password")

    def conduct(
        loaded: Profile, observe: Callable[[RunFolder], Observer], attend: Callable[[Conductor], None]
    ) -> tuple[Mapping[str, Any], Path]:
        return run_profile(loaded, options, observe, attend)

    front = Front(form, conduct, options.out, Address(web.host, web.port, password), say)
    if web.autostart:
        front.order(form.profile)
    front.serve()
    return typer.Exit(int(exit_code(front.last)) if front.last is not None else 0)


def refuse_outputs(*given: object) -> None:
    """Refuse outputs that are written at the end of the one run of a command line.

    Raises:
        UsageError: one was asked for.
    """
    if any(each is not None for each in given):
        raise UsageError("--web conducts any number of runs: it goes without --junit, --markdown and their like")
