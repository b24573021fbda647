"""A viewer whose hook blocks: it sleeps without gevent, as a database driver in C would. TRUTH_URL is the target's."""

import os
import time

from gevent import monkey

from loadtest.users.api import HerdUser, PublisherUser, attach

attach()
block = monkey.get_original("time", "sleep")
PROFILE = {
    "target": {"url": os.environ["TRUTH_URL"] + "/socket.io/"},
    "population": {"connections": 20, "herd_size": 20, "channels": [{"name": "c-{n}", "count": 1}]},
    "subscribe": {"event": "subscribe", "args": [{"channel": "{channel}"}], "ack_path": "0.ok", "ack_equals": True},
    "publish": {
        "event": "publish",
        "args": [{"channel": "{channel}", "text": "{marker}"}],
        "marker": "1.text",
        "rate": "5/s",
        "deadline": "2s",
    },
    "thresholds": ["fanout.latency.p99 < 60s"],
}


class Viewer(HerdUser):
    profile = PROFILE
    seen_at = 0.0

    def on_message(self, client, message):
        if time.monotonic() - self.seen_at > 0.5:
            block(0.4)
            self.seen_at = time.monotonic()


class Speaker(PublisherUser):
    profile = PROFILE
