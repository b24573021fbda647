"""wss:// against a real TLS server: whom the harness trusts, whom it refuses, and how it shows who it is."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from loadtest.results.schema import validate

pytestmark = pytest.mark.e2e

SERVER = Path(__file__).parent / "targets" / "websocket_server.py"

PROFILE = """
name = "secure"
duration = "1500ms"
thresholds = ["delivery.throughout.loss == 0", "connections.failures.rate == 0%"]

[target]
dialect = "websocket"
url = "{url}"
[target.tls]
{tls}

[population]
connections = 40

[[population.channels]]
name = "topic"

[subscribe]
message = {{ op = "join", topic = "{{channel}}" }}
ack_path = "op"
ack_equals = "joined"

[publish]
message = {{ op = "say", topic = "{{channel}}", body = "{{marker}}" }}
marker = "body"
rate = "20/s"
deadline = "1s"

[ramp]
rate = "100/s"
timeout = "2s"

[phases]
warmup = "200ms"
"""


@pytest.fixture
def secure_target(start_target, tmp_path: Path) -> Callable:
    """Return `start(client_certificates=False)`: a wss server; its authority is ca.pem beside the profile."""

    def start(*, client_certificates: bool = False):
        ca = trustme.CA()
        ca.cert_pem.write_to_path(tmp_path / "ca.pem")
        ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
        ca.issue_cert("client@example.org").private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
        trustme.CA().cert_pem.write_to_path(tmp_path / "stranger.pem")
        certificate = str(tmp_path / "server.pem")
        argv = [sys.executable, str(SERVER), "--tls", certificate, certificate]
        if client_certificates:
            argv += ["--client-ca", str(tmp_path / "ca.pem")]
        return start_target("secure_server", argv, scheme="wss")

    return start


def test_own_authority_with_a_client_certificate_and_insecure_which_takes_any(loadtest_run, secure_target) -> None:
    """Files are found beside the profile."""
    target = secure_target(client_certificates=True)
    client = 'cert = "client.pem"\nkey = "client.pem"'
    runs = [
        loadtest_run(PROFILE.format(url=target.url, tls=f"{tls}\n{client}"), name=name)
        for name, tls in {"verified": 'ca = "ca.pem"', "insecure": "insecure = true"}.items()
    ]
    for run in runs:
        assert run.wait(30) == 0, run.said
        result = run.result
        assert validate(result) == []
        assert result["target"]["url"] == target.url
        assert result["fanout"]["delivered"] == result["fanout"]["expected"] > 0
        assert result["connections"]["failures"] == {}
        assert result["connections"]["at_end"] == 40


@pytest.mark.parametrize("tls", ['ca = "stranger.pem"', ""])
def test_an_unknown_authority_is_refused_before_the_run(loadtest_run, secure_target, tls: str) -> None:
    target = secure_target()
    began = time.monotonic()
    run = loadtest_run(PROFILE.format(url=target.url, tls=tls))
    assert run.wait(30) == 4, run.said
    assert time.monotonic() - began < 10
    assert f"{target.url} cannot be reached: its certificate is not accepted" in run.said
    assert "[target.tls]" in run.said
    assert run.folders == []


class Doorman(socketserver.BaseRequestHandler):
    """Wants a client's certificate, says so by an alert, and lets nobody in (asyncio's servers say nothing)."""

    context: ssl.SSLContext

    def handle(self) -> None:
        with self.context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False) as secure:
            secure.settimeout(1)
            with contextlib.suppress(OSError):
                secure.do_handshake()
            with contextlib.suppress(OSError):
                while socket.socket.recv(secure, 4096):
                    pass  # reads to the end, so that no reset overtakes the alert


@pytest.fixture
def doorman(tmp_path: Path) -> Iterator[str]:
    """Return the URL of a server that turns away clients without a certificate; its authority is ca.pem."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    handler = type("Doorman", (Doorman,), {"context": context})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"wss://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_clients_without_a_certificate_are_turned_away_and_counted(loadtest_run, doorman) -> None:
    """In TLS 1.3 the server says so only after its side of the handshake, so the first look succeeds."""
    run = loadtest_run(PROFILE.format(url=doorman, tls='ca = "ca.pem"'))
    assert run.wait(30) == 4, run.said
    failures = run.result["connections"]["failures"]
    assert sum(failures.values()) >= 40
    assert max(failures, key=failures.__getitem__) == "tls_tlsv13_alert_certificate_required"
    assert doorman in run.result["reasons"][0]
    assert "certificate_required" in run.result["reasons"][0]


def test_a_plain_server_behind_wss_is_named(loadtest_run, websocket_target) -> None:
    url = websocket_target.url.replace("ws:", "wss:")
    run = loadtest_run(PROFILE.format(url=url, tls=""))
    assert run.wait(30) == 4, run.said
    assert f"{url} cannot be reached: the TLS handshake failed" in run.said
    assert "plain ws://" in run.said
