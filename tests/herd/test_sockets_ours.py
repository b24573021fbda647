"""Which addresses connections can leave from."""

from __future__ import annotations

import pytest

from loadtest.herd.sockets import is_ours


@pytest.mark.parametrize(
    ("address", "ours"), [("127.0.0.1", True), ("127.200.3.4", True), ("192.0.2.7", False), ("2001:db8::7", False)]
)
def test_addresses_of_this_machine_are_ours(address: str, ours: bool) -> None:
    assert is_ours(address) is ours
