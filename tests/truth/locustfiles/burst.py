"""2,000 connections of one unhurried worker, all told everything; it notes when.

TRUTH_URL is the calibrated target's. TRUTH_RECEIPTS is written: one RECORD per delivery, the time as soon as the worker
has read it, on CLOCK_MONOTONIC; with the target's time of sending that is an account of the receive queue that shares
nothing with the harness's own. Every message takes the worker TRUTH_US longer, so that a burst has to wait for it.
"""

import os
import struct
import time
from pathlib import Path

from loadtest.users.api import HerdUser, PublisherUser, attach

attach()

CONNECTIONS = 2_000
RECORD = struct.Struct("<IIq")
"""seq, client, receipt in ns."""
SLOW_NS = int(os.environ["TRUTH_US"]) * 1_000
PROFILE = {
    "target": {"url": os.environ["TRUTH_URL"] + "/socket.io/"},
    "population": {
        "connections": CONNECTIONS,
        "herd_size": CONNECTIONS,
        "channels": [{"name": "everybody", "count": 1, "clients_per_channel": CONNECTIONS}],
    },
    "subscribe": {
        "event": "subscribe",
        "args": [{"channel": "{channel}", "client": "{index:int}"}],
        "ack_path": "0.ok",
        "ack_equals": True,
    },
    "publish": {
        "event": "publish",
        "args": [{"channel": "{channel}", "text": "{marker}"}],
        "marker": "1.text",
        "rate": "2/s",
        "deadline": "1s",
        "connections": 1,
    },
    "ramp": {"rate": "2k/s"},
}


class Viewer(HerdUser):
    profile = PROFILE
    receipts = Path(os.environ["TRUTH_RECEIPTS"]).open("wb", buffering=1 << 20)  # noqa: SIM115 - until the end

    def happened(self, what, slot, detail):
        now_ns = time.monotonic_ns()
        if what == "on_message":
            self.receipts.write(RECORD.pack(detail.marker.seq, self.client(slot).index, now_ns))
            while time.monotonic_ns() < now_ns + SLOW_NS:
                pass

    def on_stop(self):
        super().on_stop()
        self.receipts.flush()

    def on_message(self, client, message):
        """Have the herd tell of messages."""


class Speaker(PublisherUser):
    profile = PROFILE
