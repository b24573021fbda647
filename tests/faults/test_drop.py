"""Drop asks the herds, no more."""

from __future__ import annotations

import pytest

from loadtest.faults.drop import DropFault
from loadtest.profile.faults import DropFault as Settings


@pytest.mark.parametrize(("share", "how"), [("100%", "close"), ("12.5%", "reset")])
def test_apply_asks_the_herds_for_the_share(context, share: str, how: str) -> None:
    fault = DropFault(Settings.model_validate({"kind": "drop", "share": share, "how": how}))
    assert fault.check(context) == []
    fault.apply(context)
    fault.undo(context)
    assert context.drops == [(float(share[:-1]) / 100, how)]
    assert len(context.lines) == 1
