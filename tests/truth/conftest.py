"""Nothing started by a test of this room outlives it; scenarios that several tests look at run once."""

from __future__ import annotations

from tests.e2e.conftest import no_leftovers

__all__ = ["no_leftovers"]
