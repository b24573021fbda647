"""Locust without its monkey patching (see tests/users/conftest.py), and a run that a page can watch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from ..users.conftest import chat, environment  # first: it keeps Locust from patching the standard library

from loadtest.faults.fault import Control  # isort: skip
from loadtest.results.folder import RunFolder  # isort: skip
from loadtest.users.master_bridge import MasterBridge  # isort: skip
from loadtest.users.recorder import Recorder  # isort: skip
from loadtest.users.striker import Striker  # isort: skip
from loadtest.web.watch import Watch  # isort: skip

__all__ = ["environment"]

DROP = '[[faults]]\nkind = "drop"\nname = "half"\nshare = "50%"\nafter_steady = "1s"\n'


@pytest.fixture
def watch(environment, tmp_path: Path) -> Iterator[Watch]:
    """Return a watch of a run that has begun; its workers do not answer."""
    profile = chat(DROP)
    seen = Watch(environment.stats)
    with RunFolder.create(tmp_path / "runs", "chat") as folder:
        recorder = Recorder(MasterBridge(environment), profile, folder, seen, [], {})
        striker = Striker(recorder, {}, Control("http://127.0.0.1:9", "secret-of-the-stack"))
        recorder.begin()
        seen.attend(recorder, striker)
        yield seen
        gevent.killall(list(striker._greenlets.values()))
