from __future__ import annotations

import pytest

from loadtest.errors import UsageError
from loadtest.herd.addresses import SAFE_PER_PAIR, SourcePool, automatic, expand


@pytest.mark.parametrize(
    ("ranges", "found"),
    [
        (["127.0.1.1"], ("127.0.1.1",)),
        (["127.0.1.1-127.0.1.3"], ("127.0.1.1", "127.0.1.2", "127.0.1.3")),
        (["127.0.1.0/30"], ("127.0.1.1", "127.0.1.2")),
        (["fd00::1-fd00::2", "127.0.0.9"], ("fd00::1", "fd00::2", "127.0.0.9")),
    ],
)
def test_expand_reads_addresses_ranges_and_networks(ranges: list[str], found: tuple[str, ...]) -> None:
    assert expand(ranges) == found


@pytest.mark.parametrize("text", ["localhost", "127.0.1.9-127.0.1.1", "10.0.0.0/8", "127.0.0.1-fd00::1"])
def test_expand_refuses_what_is_no_address_and_names_it(text: str) -> None:
    with pytest.raises(UsageError, match=text.split("/", maxsplit=1)[0].split("-", maxsplit=1)[0]):
        expand([text])


def test_automatic_spreads_loopback_and_shares_no_address_between_workers() -> None:
    sets = [set(automatic("127.0.0.1", worker, SAFE_PER_PAIR + 1)) for worker in range(600)]
    assert all(len(found) == 2 for found in sets)
    assert len(set.union(*sets)) == 1200
    assert "127.0.0.1" not in set.union(*sets)


def test_automatic_leaves_other_destinations_to_the_kernel() -> None:
    assert automatic("192.0.2.1", 0, 100) == ()


def test_pool_goes_round() -> None:
    pool = SourcePool(["a", "b"])
    assert [pool.take() for _ in range(4)] == ["b", "a", "b", "a"]
    assert SourcePool([]).take() is None


def test_expand_bounds_the_whole_and_each_range() -> None:
    assert len(expand(["127.0.0.0-127.0.15.255"])) == 4096
    for ranges in (["127.0.0.0-127.0.16.0"], ["127.1.0.0/21", "127.2.0.0/21", "127.3.0.1"] * 2):
        with pytest.raises(UsageError):
            expand(ranges)


@pytest.mark.parametrize(
    ("text", "count"), [("127.0.1.4/32", 1), ("127.0.1.4/31", 2), ("127.0.1.5/30", 2), ("::1/128", 1), (" ::1 ", 1)]
)
def test_expand_of_small_networks(text: str, count: int) -> None:
    assert len(expand([text])) == count


@pytest.mark.parametrize(("connections", "count"), [(0, 1), (1, 1), (SAFE_PER_PAIR, 1), (SAFE_PER_PAIR + 1, 2)])
def test_automatic_takes_as_few_addresses_as_are_safe(connections: int, count: int) -> None:
    assert len(automatic("127.0.0.1", 3, connections)) == count
    assert automatic("127.0.0.1", 3, connections)[0] == "127.1.3.1"


def test_automatic_leaves_ipv6_loopback_to_the_kernel() -> None:
    assert automatic("::1", 0, 100_000) == ()
