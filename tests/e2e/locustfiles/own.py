"""Viewers in twenty chat rooms, who now and then say something themselves, and one steady speaker."""

import logging

from locust import between, task

from loadtest.users.api import HerdUser, PublisherUser, attach

attach()

CHAT = {
    "target": {"url": "ws://127.0.0.1:3000/socket.io/"},
    "population": {"herd_size": 50, "channels": [{"name": "room {n}", "count": 20}]},
    "subscribe": {"event": "enter-room", "args": ["{channel}"]},
    "publish": {"event": "shout", "args": [{"to": "{channel}", "body": "{marker}"}], "rate": "20/s"},
    "thresholds": ["fanout.completeness == 100%"],
}


class Viewer(HerdUser):
    """Holds fifty connections; every hook is told which of them it is about."""

    profile = CHAT  # or the path of a profile: "chat.toml"
    wait_time = between(0.5, 1.5)
    heard = 0

    def on_connect(self, client):
        client.emit("shout", {"to": "room 0", "body": f"viewer {client.index} is here"})

    def on_message(self, client, message):
        self.heard += 1  # message.event == "heard", message.args[0]["body"]

    @task
    def speak(self):
        self.pick().emit("shout", {"to": "room 1", "body": "hello"}, ack=7)

    def on_ack(self, client, answer):
        assert answer.id == 7
        assert answer.args == (None, "shouted")

    def on_stop(self):
        logging.info("heard %d messages", self.heard)
        super().on_stop()


class Speaker(PublisherUser):
    profile = CHAT
