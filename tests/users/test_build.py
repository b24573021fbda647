"""From a profile to the parts of a herd."""

from __future__ import annotations

import random
import ssl
from pathlib import Path

import pytest

from loadtest.errors import UsageError
from loadtest.profile.loader import parse_profile
from loadtest.protocol.socketio_dialect import SocketIODialect
from loadtest.protocol.websocket_dialect import WebSocketDialect
from loadtest.users.build import PUBLISHER_RETRY_S, Plan, make_dialect, make_herd, make_ledger, tls_context
from loadtest.users.engine import new_poller
from tests.users.conftest import chat

PLAIN = """
duration = "5s"
[target]
dialect = "websocket"
url = "ws://127.0.0.1:9/"
[population]
connections = 20
[subscribe]
message = { op = "join", topic = "{channel}" }
ack_path = "op"
ack_equals = "joined"
[publish]
message = { op = "say", text = "{marker}" }
rate = "400/s"
[[population.channels]]
name = "t"
[reconnect]
policy = "fixed"
delay = "500ms"
"""


def plain():
    return parse_profile(PLAIN, "a test", Path())


def test_each_dialect_is_made_from_its_own_keys() -> None:
    socketio, websocket = make_dialect(chat()), make_dialect(plain())
    assert isinstance(socketio, SocketIODialect)
    assert b"enter-room" in unmasked(socketio.subscribe({"channel": "room 1"}, 0))
    assert isinstance(websocket, WebSocketDialect)
    assert b'"join"' in unmasked(websocket.subscribe({"channel": "t"}, 0))
    assert websocket.acked_subscribe


def unmasked(frame: bytes) -> bytes:
    """Return the payload of one short client frame."""
    key, payload = frame[2:6], frame[6:]
    return bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def test_a_plain_target_needs_no_tls() -> None:
    assert tls_context(chat()) is None


def test_a_tls_target_is_verified_unless_the_profile_says_otherwise() -> None:
    verified = tls_context(chat(url="wss://127.0.0.1:9/"))
    assert verified is not None
    assert (verified.verify_mode, verified.check_hostname) == (ssl.CERT_REQUIRED, True)
    insecure = tls_context(chat("[target.tls]\ninsecure = true\n", url="wss://127.0.0.1:9/"))
    assert insecure is not None
    assert insecure.verify_mode == ssl.CERT_NONE


def test_certificates_that_cannot_be_loaded_are_named(tmp_path) -> None:
    nonsense = tmp_path / "own-ca.pem"
    nonsense.write_text("no certificate")
    profile = chat(f'[target.tls]\nca = "{nonsense}"\n', url="wss://127.0.0.1:9/")
    with pytest.raises(UsageError, match=r"target\.tls: the certificate files \(.*own-ca\.pem\) cannot be loaded"):
        tls_context(profile)


def test_the_population_reconnects_by_its_policy_and_publishers_fast() -> None:
    plan = Plan(plain(), "0123abcd")
    herds = [make_herd(plan, new_poller(), listening=listening) for listening in (True, False)]
    waits_s = [herd._policy.wait_s(1, random.Random(1)) for herd in herds]
    for herd in herds:
        herd.poller.close()
    assert waits_s == [0.5, PUBLISHER_RETRY_S]
    assert herds[0].ledger is not None
    assert herds[1].ledger is None


def test_the_time_to_k_percent_is_sampled_above_two_hundred_publishes_a_second() -> None:
    assert make_ledger(chat())._trace_every == 1
    assert make_ledger(plain())._trace_every == 2


def test_scaled_storm_quickens_the_population_and_not_its_publishers() -> None:
    scaled = parse_profile(PLAIN + "[scale]\nclients = 2000\ncapacity = '10/s'\ntime = 50\n", "a test", Path())
    plan = Plan(scaled, "0badcafe")
    population, publishers = (make_herd(plan, new_poller(), listening=listening) for listening in (True, False))
    assert 0.01 < (population._policy.wait_s(0, random.Random(1)) or 0.0) <= 0.03  # and up to twice the latency
    assert (population.tick_s, publishers.tick_s) == (0.002, 0.01)
    assert population._settings.connect_ns == 400_000_000
    assert publishers._settings.connect_ns == 10_000_000_000
    for herd in (population, publishers):
        herd.poller.close()
