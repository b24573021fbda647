"""The environment of a node: defaults, bounds, and errors that name the variable."""

from __future__ import annotations

import resource

import pytest

from reference_gateway.errors import SettingError
from reference_gateway.gateway.settings import read_settings

NEEDED = {"RG_PORT": "8001", "RG_API_URL": "http://127.0.0.1:9000/"}


def test_defaults_fill_all_but_what_is_needed() -> None:
    settings = read_settings(NEEDED)
    assert (settings.host, settings.port, settings.api_url) == ("127.0.0.1", 8001, "http://127.0.0.1:9000")
    assert (settings.ping_interval_s, settings.ping_timeout_s, settings.drain_s) == (25, 20, 0)
    assert settings.max_connections == max(64, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 10_000_000) - 256)


def test_every_variable_is_read() -> None:
    settings = read_settings({**NEEDED, "RG_QUEUE_BYTES": "4096", "RG_DRAIN_SECONDS": "2.5", "RG_REUSE_PORT": "1"})
    assert (settings.queue_bytes, settings.drain_s, settings.reuse_port) == (4096, 2.5, True)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"RG_PORT": ""}, "RG_PORT"),
        ({"RG_PORT": "70000"}, "RG_PORT"),
        ({"RG_API_URL": ""}, "RG_API_URL"),
        ({"RG_PING_INTERVAL_S": "fast"}, "RG_PING_INTERVAL_S"),
        ({"RG_PING_INTERVAL_S": "0"}, "RG_PING_INTERVAL_S"),
        ({"RG_MAX_MESSAGE_BYTES": "1"}, "RG_MAX_MESSAGE_BYTES"),
        ({"RG_DRAIN_SECONDS": "nan"}, "RG_DRAIN_SECONDS"),
        ({"RG_MAX_CONNECTIONS": "9999999"}, "RG_MAX_CONNECTIONS"),  # beyond the limit of open files
    ],
)
def test_bad_setting_is_named(change: dict[str, str], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        read_settings({**NEEDED, **change})
