"""Names of sessions: each given out once, however many are drawn at a time."""

from __future__ import annotations

from reference_gateway.gateway.names import Names


def test_names_are_url_safe_and_differ() -> None:
    one, other = Names(), Names()
    drawn = [names.take() for _ in range(500) for names in (one, other)]
    assert len(set(drawn)) == 1000
    assert all(len(name) == 20 and name.replace("-", "a").replace("_", "a").isalnum() for name in drawn)
