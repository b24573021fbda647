"""`loadtest run PROFILE --web`: Locust's page in front, and behind it one run of `loadtest run` after the other.

    browser --Start--> swarm --Profiles--> serve (main greenlet) --> conduct each --> Watch --> pages
                         '<---- it runs, or one sentence why not ----'
    browser --Stop--> Conductor.interrupt: the run ends as by Ctrl-C, what was measured is kept

Laws: one run at a time. Nothing is measured in this room: a run from the page is a run from the command line. Its stack
and workers have ended before the next begins. Ctrl-C ends the run under way, then the server.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import gevent
from flask import Response, jsonify, request
from gevent.event import AsyncResult
from gevent.queue import Queue
from locust.env import Environment
from locust.runners import STATE_INIT, STATE_RUNNING, STATE_SPAWNING, STATE_STOPPED, Runner
from locust.web import WebUI

from loadtest.errors import LoadtestError, UsageError
from loadtest.profile.model import Profile
from loadtest.profile.redaction import safe_text
from loadtest.results.folder import RunFolder
from loadtest.users.conductor import Conductor
from loadtest.users.recorder import Observer
from loadtest.users.reporting import report_path
from loadtest.web.form import Form
from loadtest.web.locust_page import dress, runs_folder
from loadtest.web.login import add_login
from loadtest.web.pages import Pages
from loadtest.web.shelf import Shelf
from loadtest.web.storm import Storm
from loadtest.web.watch import OVER, READY, Watch, shown_target
from loadtest.web.wording import FORM, SHOWN

logger = logging.getLogger(__name__)

START_TIMEOUT_S = 90.0
LISTEN_S = 5.0

Conduct = Callable[
    [Profile, Callable[[RunFolder], Observer], Callable[[Conductor], None]], tuple[Mapping[str, Any], Path]
]
"""Run a profile, as `launch.session.run_profile` with its options given."""

Keep = Callable[[Mapping[str, Any], Path], None]
"""Write what is picked up of a run that has ended: run.json and the run folder are handed over."""

Said = Callable[[str], None]


@dataclass(frozen=True)
class Address:
    """Where the web UI listens. `password`: of its login; None: no login."""

    host: str
    port: int
    password: str | None = None


class _Board(Runner):
    """What Locust's page takes for its runner: it runs nobody, and tells how our run stands."""

    def __init__(self, environment: Environment, watch: Watch) -> None:
        self._watch = watch
        super().__init__(environment)

    @property
    def state(self) -> str:
        """The state in Locust's words."""
        watch = self._watch
        if watch.state in (READY, OVER):
            return str(STATE_INIT if watch.state == READY else STATE_STOPPED)
        return str(STATE_SPAWNING if watch.line.get("phase", "ramp") == "ramp" else STATE_RUNNING)

    @state.setter
    def state(self, _: str) -> None:
        """Locust's own words about it do not matter."""

    @property
    def user_count(self) -> int:
        """Connections in session."""
        return int((self._watch.line.get("connections") or {}).get("subscribed", 0))

    def start(self, user_count: int, spawn_rate: float, wait: bool = False, user_classes: Any = None) -> None:
        """Start nobody: `Front.swarm` answers the form."""

    def send_message(self, msg_type: str, data: Any = None, client_id: str | None = None) -> None:
        """Send nothing: there is nobody."""


class Front:
    """Serve the web UI and conduct what it orders.

    Args:
        out: the folder of runs. say: tells the person at the terminal.
    """

    def __init__(self, form: Form, conduct: Conduct, out: Path, address: Address, say: Said, keep: Keep) -> None:
        self._form = form
        self._conduct = conduct
        self._say = say
        self._keep = keep
        self._orders: Queue = Queue()
        self._conductor: Conductor | None = None
        self._answer: AsyncResult = AsyncResult()
        self._ending = self._under_way = self._stopped = False
        self.last: Mapping[str, Any] | None = None
        environment = Environment(host=form.target)
        self.watch = Watch(environment.stats)
        web_ui = environment.create_web_ui(
            address.host, address.port, web_login=address.password is not None, delayed_start=True
        )
        environment.runner = cast(Any, _Board(environment, self.watch))
        self._environment, self._web_ui = environment, cast(Any, web_ui)  # Locust's methods are untyped
        Pages(self.watch, Storm(self.watch), Shelf(runs_folder(out))).add_to(web_ui)
        self._add_orders(web_ui)
        dress(web_ui, self.watch, (SHOWN, FORM), self._arguments)
        if address.password is not None:
            add_login(web_ui, address.password)

    # --- to Locust's page --------------------------------------------------------------------------------------------

    def _arguments(self) -> None:
        """Give Locust's page its arguments: those that its own parser would have, and our fields."""
        state = self._environment.runner.state if self._environment.runner else ""
        first = self._form.defaults()[0]
        self._web_ui.template_args |= {
            "locustfile": self._form.first.name,
            "state": state,
            "is_distributed": False,
            "user_count": 0,
            "version": _locust_version(),
            "host": self._form.target,
            "override_host_warning": False,
            "missing_host_warning": False,
            "num_users": first["user_count"],
            "spawn_rate": first["spawn_rate"],
            "run_time": first["run_time"],
            "worker_count": 0,
            "hide_common_options": False,
            "shape_use_common_options": False,
            "stats_history_enabled": False,
            "tasks": "{}",
            "extra_options": self._form.options(),
            "show_userclass_picker": False,
            "available_user_classes": None,
            "available_shape_classes": ["Default"],
            "available_user_tasks": None,
            "users": None,
            "percentiles_to_statistics": [0.95, 0.99],
            "is_host_required": False,
            "profile": None,
            "loadtest_form": self._form.defaults(),
        }

    def _add_orders(self, web_ui: WebUI) -> None:
        app = web_ui.app
        assert app is not None

        def swarm() -> Response:
            try:
                self.start(self._form.series(request.form))
            except LoadtestError as error:
                return jsonify({"success": False, "message": safe_text(str(error)), "host": ""})
            return jsonify({"success": True, "message": "Started", "host": self._environment.host})

        def stop() -> Response:
            told = self.stop("Stopped from the web page.")
            return jsonify({"success": told, "message": "Stopping" if told else "No run is under way"})

        guarded = cast(Any, web_ui).auth_required_if_enabled
        app.view_functions["locust.swarm"] = guarded(swarm)
        app.view_functions["locust.stop"] = guarded(stop)

    # --- runs --------------------------------------------------------------------------------------------------------

    def start(self, series: Sequence[Profile]) -> None:
        """Have runs begin, one after the other; return once the first does.

        Raises:
            UsageError: one is under way already, or it could not begin, with the reason.
        """
        self.order(series)
        problem = self._answer.get(timeout=START_TIMEOUT_S)
        if problem is not None:
            raise UsageError(problem)

    def order(self, series: Sequence[Profile]) -> None:
        """Have runs begin, one after the other, as soon as `serve` comes to them.

        Raises:
            UsageError: one is under way already.
        """
        if self._under_way or self._ending:
            raise UsageError("a run is under way already; stop it first")
        self._under_way, self._stopped = True, False
        self._answer = AsyncResult()
        self._announce(series, 1)
        self._orders.put(series)

    def stop(self, why: str) -> bool:
        """End the run under way and those to follow; what was measured is kept. Return whether there is one."""
        self._stopped = True
        if self._conductor is None:
            return False
        self._conductor.interrupt(why)
        return True

    def serve(self) -> None:
        """Listen, and conduct one run after the other until a signal ends it.

        Raises:
            UsageError: the port is taken.
        """
        watched = [gevent.signal_handler(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)]
        try:
            self._listen()
            self._say(f"web UI: {self.url}  (the live page alone: {self.url}/loadtest/live)")
            while (series := self._orders.get()) is not None:
                self._run_all(series)
                if self._ending:
                    break
        finally:
            if self._web_ui.server is not None:
                self._web_ui.stop()
            for each in watched:
                each.cancel()

    def _listen(self) -> None:
        web_ui = self._web_ui
        web_ui.start()
        with gevent.Timeout(LISTEN_S, False):
            while not web_ui.greenlet.dead and not (web_ui.server is not None and web_ui.server.started):
                gevent.sleep(0.01)
        if web_ui.greenlet.dead or web_ui.server is None:
            raise UsageError(f"--web-port: nothing can listen on {web_ui.host}:{web_ui.port}; name another")

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page, once `serve` listens."""
        host = self._web_ui.host
        shown = "127.0.0.1" if host in ("", "*", "0.0.0.0") else host
        return f"http://{shown}:{self._web_ui.server.server_port}"

    def _announce(self, series: Sequence[Profile], number: int) -> None:
        profile, place = series[number - 1], f", run {number} of {len(series)}" if len(series) > 1 else ""
        self.watch.begin(profile.name, f"{shown_target(profile)}{place}")

    def _run_all(self, series: Sequence[Profile]) -> None:
        for number, profile in enumerate(series, 1):
            if number > 1:
                self._announce(series, number)
            if not self._run(profile) or self._stopped or self._ending:
                break
        self._under_way = False

    def _run(self, profile: Profile) -> bool:
        """Run one profile; return whether there is a result."""
        watch = self.watch
        try:
            run, folder = self._conduct(profile, lambda _: watch, self._attend)
        except (LoadtestError, OSError) as error:
            problem = safe_text(str(error))
            watch.fail(problem)
            self._answer.set(problem)
            self._say(f"{profile.name}: {problem}")
            return False
        finally:
            self._conductor = None
        self.last = run
        try:
            report_path(folder)
        except LoadtestError as error:
            self._say(f"no report: {error}")
        try:
            self._keep(run, folder)
        except LoadtestError as error:
            self._say(str(error))
        watch.leave(run)
        self._answer.set(None)  # a run that was interrupted before it began
        self._say(f"{profile.name}: {run['verdict']}  {' '.join(run['reasons'])}  {folder}".rstrip())
        return True

    def _attend(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self.watch.attend(conductor.record, conductor.striker)
        self._answer.set(None)

    def _on_signal(self) -> None:
        """End the server; the run under way hears the signal itself."""
        self._ending = True
        self._orders.put(None)


def _locust_version() -> str:
    from locust import __version__ as version  # noqa: PLC0415 - its name would hide ours

    return str(version)
