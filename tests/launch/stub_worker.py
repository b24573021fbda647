"""A stand-in for `loadtest.users.worker`, imported by the nursery under test through PYTHONPATH.

`master_host` selects what a worker does; each writes what it sees to its own log.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time

import locust  # noqa: F401 - the real worker does, and with it come gevent's patches and a hub

IMPORTED_BY = os.getpid()


def run_worker(*, master_host: str, master_port: int, role: str, profile_path: str, run_id: str) -> int:
    import gevent
    from gevent._hub_local import get_hub_if_exists

    facts = {
        "arguments": [master_host, master_port, role, profile_path, run_id],
        "forked": os.getpid() != IMPORTED_BY,
        "hub_before": get_hub_if_exists() is not None,
        "draw": random.random(),
        "blocked": sorted(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    }
    gevent.spawn(gevent.sleep, 0.01).join()
    facts["epoll"] = gevent.get_hub().loop.fileno()
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
    if master_host == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        gevent.sleep(60)
    if master_host == "stay":
        gevent.sleep(60)
    if master_host == "fail":
        raise RuntimeError("the herd is not at home")
    if master_host == "code":
        time.sleep(0)
        raise SystemExit(5)
    return 0
