"""`loadtest run --web`: puts the web UI (`loadtest.web`) and the runs (`loadtest.launch`) together.

Law: the two rooms do not know each other; what one needs of the other is handed over here. Neither is loaded unless
--web is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from loadtest.web.form import Form
    from loadtest.web.front import Conduct, Keep

WebFlag = Annotated[
    bool,
    typer.Option(
        "--web",
        help="Serve Locust's web UI: start, watch and break from a page. Outputs such as --junit are written when each"
        " run ends, in place of those of the run before.",
    ),
]
HostAt = Annotated[str, typer.Option("--web-host", help="Address the web UI listens on.")]
PortAt = Annotated[int, typer.Option("--web-port", min=0, max=65535, help="Its port; 0: any free one.")]
LoginFlag = Annotated[bool, typer.Option("--web-login", help="Ask for the password in LOADTEST_WEB_PASSWORD.")]
StartFlag = Annotated[bool, typer.Option("--autostart", help="With --web: start the first run at once.")]

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class WebOptions:
    """Where runs go and the web UI listens, whether it asks for a password, whether the first run starts at once."""

    out: Path
    host: str
    port: int
    login: bool
    autostart: bool


def form_of(
    profile: str, settings: Sequence[str], target: str | None, check_threshold: Callable[[str], str | None]
) -> Form:
    """Return the start form: the profile of the command line first.

    Raises:
        UsageError: the profile is wrong.
    """
    from loadtest.launch.stack import known_versions
    from loadtest.web.form import Form

    return Form(profile, settings, target, known_versions(), check_threshold)


def serve(form: Form, web: WebOptions, conduct: Conduct, keep: Keep, say: Callable[[str], None]) -> typer.Exit:
    """Serve the web UI until Ctrl-C; return the exit code of its last run, 0 when there was none.

    Args:
        keep: writes what a pipeline picks up, when a run has ended.

    Raises:
        UsageError: the port is taken, there is no password.
    """
    from loadtest.results.summary import exit_code
    from loadtest.web.front import Address, Front
    from loadtest.web.login import password_from_environment

    password = password_from_environment() if web.login else None
    if password is None and web.host not in LOOPBACK:
        say("warning: whoever reaches this web UI can start runs and break things; --web-login asks for a password")
    front = Front(form, conduct, web.out, Address(web.host, web.port, password), say, keep)
    if web.autostart:
        front.order([form.profile])
    front.serve()
    return typer.Exit(int(exit_code(front.last)) if front.last is not None else 0)
