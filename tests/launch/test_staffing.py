"""Who works, here and elsewhere, and everything that stands in the way, at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.errors import UsageError
from loadtest.launch.address import Address
from loadtest.launch.machine import Machine
from loadtest.launch.staffing import Staff, check, demand_of, files_of_fullest, refuse, staff_for
from loadtest.profile.loader import parse_profile
from loadtest.profile.model import Profile

MACHINE = Machine(20_000, 20_000, 2_000_000, 2, 24 * 10**9, 28_232)


def profile(*, connections: int = 5_000, target: str = 'url = "ws://10.0.0.7:8001"', rate: str = "10/s") -> Profile:
    text = f"""
duration = "1s"
[target]
dialect = "websocket"
{target}
[population]
connections = {connections}
herd_size = 250
[[population.channels]]
name = "c"
[subscribe]
message = {{ op = "join", channel = "{{channel}}" }}
ack = false
[publish]
rate = "{rate}"
message = {{ op = "say", channel = "{{channel}}", text = "{{marker}}" }}
marker = "text"
"""
    return parse_profile(text, "test", Path())


@pytest.mark.parametrize(
    ("workers", "expected", "publishers", "staff"),
    [
        (None, 0, 0, Staff(2, 1)),
        (3, 0, 0, Staff(3, 1)),
        (100, 0, 0, Staff(20, 1)),  # no more than herds
        (None, 4, 0, Staff(0, 1, 4)),  # expected from elsewhere: none by itself
        (1, 4, 2, Staff(1, 0, 4, 2)),  # mixed; publishers from elsewhere replace ours
        (0, 4, 0, Staff(0, 1, 4)),
    ],
)
def test_who_does_the_work(workers: int | None, expected: int, publishers: int, staff: Staff) -> None:
    assert staff_for(profile(), MACHINE, workers, expected, publishers) == staff


def test_nothing_to_publish_needs_no_publisher() -> None:
    assert staff_for(profile(rate="0/s"), MACHINE, 1) == Staff(1, 0)


def test_nobody_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="--expect-workers"):
        staff_for(profile(), MACHINE, 0)


def test_this_machine_is_asked_for_its_share_only() -> None:
    assert demand_of(profile(), Staff(1, 1, 4)).connections == 1_000
    assert demand_of(profile(), Staff(0, 1, 4)).connections == 0
    assert demand_of(profile(), Staff(2, 1)).served == 0
    here = demand_of(profile(target='url = "ws://127.0.0.1:8001"'), Staff(1, 1, 1))
    assert (here.connections, here.served, here.sources) == (2_500, 5_000, 1)


def test_the_fullest_worker_has_a_herd_more_than_the_others() -> None:
    assert files_of_fullest(profile(), Staff(1, 1, 2)) == 1_945  # 7 of 20 herds


def test_workers_elsewhere_cannot_reach_our_loopback() -> None:
    local = profile(target='url = ["ws://127.0.0.1:8001", "ws://10.0.0.7:8001"]')
    (text,) = check(local, Staff(0, 1, 2), MACHINE, Address("0.0.0.0", 0))
    assert "ws://127.0.0.1:8001" in text
    assert "10.0.0.7" not in text
    assert check(local, Staff(0, 1, 2), MACHINE, Address("127.0.0.1", 0)) == []


def test_everything_is_refused_at_once() -> None:
    small = replace(MACHINE, nofile=300, nofile_hard=300, memory_bytes=10**6, files_free=10)
    wrong = check(profile(connections=20_000), Staff(2, 1), small, Address("192.0.2.1", 5557))
    assert [text.partition(":")[0] for text in wrong] == [
        "open files per process",
        "open files of the system",
        "local ports",
        "memory in bytes",
        "master port 192.0.2.1",
    ]
    with pytest.raises(UsageError) as refused:
        refuse(wrong)
    assert str(refused.value).count("\n  - ") == 5
    assert "--force" in str(refused.value)


def test_nothing_wrong_is_no_refusal() -> None:
    refuse([])
