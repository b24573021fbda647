"""The same population held in one of four ways, which TRUTH_CLIENTS names; TRUTH_URL is the calibrated target's."""

import os

from loadtest.users.api import HerdUser, PublisherUser, SocketIOClientUser, WebSocketClientUser, attach

attach()

CONNECTIONS = 50
BOOTSTRAP = os.environ["TRUTH_URL"].replace("ws:", "http:") + "/bootstrap?client={client}"
SOCKETIO = {
    "target": {"bootstrap": {"url": BOOTSTRAP, "path": "gateway.url"}},
    "subscribe": {"event": "subscribe", "args": [{"channel": "{channel}"}], "ack_path": "0.ok", "ack_equals": True},
    "publish": {"event": "publish", "args": [{"channel": "{channel}", "text": "{marker}"}], "marker": "1.text"},
}
WEBSOCKET = {
    "target": {"url": os.environ["TRUTH_URL"] + "/plain", "dialect": "websocket"},
    "subscribe": {
        "message": {"type": "subscribe", "channel": "{channel}"},
        "ack_path": "type",
        "ack_equals": "subscribed",
    },
    "publish": {"message": {"type": "publish", "channel": "{channel}", "text": "{marker}"}, "marker": "text"},
}
WAYS = {
    "socketio-herd": (HerdUser, SOCKETIO, CONNECTIONS),
    "socketio-library": (SocketIOClientUser, SOCKETIO, 1),
    "websocket-herd": (HerdUser, WEBSOCKET, CONNECTIONS),
    "websocket-library": (WebSocketClientUser, WEBSOCKET, 1),
}
kind, content, size = WAYS[os.environ["TRUTH_CLIENTS"]]
PROFILE = content | {
    "population": {
        "connections": CONNECTIONS,
        "herd_size": size,
        "channels": [{"name": "c-{n}", "count": 5}],
        "source_addresses": ["127.0.77.1-127.0.77.2"],
    },
    "publish": content["publish"] | {"rate": "50/s", "deadline": "1s"},
    "ramp": {"rate": "40/s"},
    "reconnect": {"policy": "fixed", "delay": "300ms"},
}


class Viewer(kind):
    profile = PROFILE


class Speaker(PublisherUser):
    profile = PROFILE
