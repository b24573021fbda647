from __future__ import annotations

from random import Random
from statistics import fmean

import pytest

from loadtest.errors import UsageError
from loadtest.pacing.reconnect import POLICIES, Chained, Distant, Quickened, attempt_once_open, next_wait_s, policy


class Drawn(Random):
    """A generator that always draws the same number."""

    def __init__(self, value: float) -> None:
        super().__init__(0)
        self._value = value

    def random(self) -> float:
        return self._value


def waits(name: str, drawn: float, count: int = 20, **parameters: float) -> list[float | None]:
    """Return the first waits of a policy when every draw is `drawn`."""
    chosen = policy(name, **parameters)
    return [chosen.wait_s(attempt, Drawn(drawn)) for attempt in range(count)]


# The first 20 waits for some draws, worked out by hand from each client's source.
TABLES: dict[str, dict[float, list[float | None]]] = {
    # The first decimal is the sign. 0.0: even, minus 0. 0.55: odd, plus 275 ms. 0.25: even, minus. 0.999: odd, plus.
    "socketio-js": {
        0.0: [1.0, 2.0, 4.0] + [5.0] * 17,
        0.55: [1.275, 2.55] + [5.0] * 18,
        0.25: [0.875, 1.75, 3.5] + [5.0] * 17,
        0.999: [1.499, 2.999] + [5.0] * 18,
        0.8999: [0.551, 1.101, 2.201, 4.401] + [5.0] * 16,
    },
    "python-socketio": {
        0.0: [0.5, 1.5, 3.5] + [4.5] * 17,
        0.5: [1.0, 2.0, 4.0] + [5.0] * 17,
        0.75: [1.25, 2.25, 4.25] + [5.25] * 17,
    },
    "centrifuge": {
        0.0: [0.2] * 20,
        0.5: [0.2, 0.3, 0.5, 0.9, 1.7, 3.3, 6.5, 12.9] + [20.0] * 12,
    },
    "phoenix": {0.5: [0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.5, 1.0, 2.0] + [5.0] * 11},
    "full-jitter": {
        0.0: [0.0] * 20,
        0.5: [0.5, 1.0, 2.0, 4.0, 8.0] + [15.0] * 15,
    },
    "equal-jitter": {
        0.0: [0.5, 1.0, 2.0, 4.0, 8.0] + [15.0] * 15,
        0.5: [0.75, 1.5, 3.0, 6.0, 12.0] + [22.5] * 15,
    },
    "decorrelated-jitter": {
        0.0: [1.0] * 20,
        # w' = 1 + (3 w - 1) / 2, from w = 1
        0.5: [2.0, 3.5, 5.75, 9.125, 14.1875, 21.78125] + [30.0] * 14,
    },
    "fixed": {0.5: [1.0] * 20},
    # Without a hint, as full-jitter.
    "retry-after": {
        0.0: [0.0] * 20,
        0.5: [0.5, 1.0, 2.0, 4.0, 8.0] + [15.0] * 15,
    },
    # Connects that all fail before the transport opens: as socketio-js.
    "backoff-reset": {0.55: [1.275, 2.55] + [5.0] * 18},
    "none": {0.5: [None] * 20},
}


@pytest.mark.parametrize(("name", "drawn"), [(name, drawn) for name, table in TABLES.items() for drawn in table])
def test_first_twenty_waits_are_those_of_the_client(name: str, drawn: float) -> None:
    assert waits(name, drawn) == pytest.approx(TABLES[name][drawn], abs=1e-12)


def test_every_policy_has_a_table() -> None:
    assert TABLES.keys() == POLICIES.keys()


def test_socketio_js_waits_whole_milliseconds_of_one_draw() -> None:
    rng = Random(5)
    drawn = [policy("socketio-js").wait_s(0, rng) for _ in range(2000)]
    assert all(wait is not None and 0.5 <= wait < 1.5 and round(wait * 1000, 6).is_integer() for wait in drawn)
    assert fmean(wait for wait in drawn if wait is not None) == pytest.approx(1.05, abs=0.05)


def test_socketio_js_crowd_knocks_together_from_the_fifth_attempt_on() -> None:
    rng = Random(5)
    assert {policy("socketio-js").wait_s(4, rng) for _ in range(2000)} == {5.0}
    assert len({policy("socketio-js").wait_s(3, rng) for _ in range(2000)}) > 10


def test_socketio_js_takes_its_parameters() -> None:
    assert waits("socketio-js", 0.9, 3, base_s=0.0015, jitter=0.0) == [0.001, 0.003, 0.006]
    assert waits("socketio-js", 0.9, 5, base_s=0.1, cap_s=0.5, jitter=0.0) == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_python_socketio_never_waits_less_than_nothing() -> None:
    assert waits("python-socketio", 0.0, 3, base_s=0.1) == [0.0, 0.0, 0.0]


def test_jitter_stays_within_its_bounds() -> None:
    rng = Random(1)
    for attempt in range(12):
        top = min(30.0, 2.0**attempt)
        full = [policy("full-jitter").wait_s(attempt, rng) or 0.0 for _ in range(500)]
        equal = [policy("equal-jitter").wait_s(attempt, rng) or 0.0 for _ in range(500)]
        chain = [policy("decorrelated-jitter").wait_s(attempt, rng) or 0.0 for _ in range(100)]
        assert 0 <= min(full) < top * 0.05
        assert top * 0.95 < max(full) <= top
        assert top / 2 <= min(equal) <= max(equal) <= top
        assert 1.0 <= min(chain) <= max(chain) <= min(30.0, 3.0 ** (attempt + 1))


def test_decorrelated_jitter_follows_the_last_wait_when_it_is_known() -> None:
    chosen = policy("decorrelated-jitter")
    assert isinstance(chosen, Chained)
    assert chosen.wait_after_s(None, Drawn(0.5)) == 2.0
    assert chosen.wait_after_s(8.0, Drawn(0.5)) == 12.5
    assert not isinstance(policy("fixed"), Chained)


def test_thousands_of_attempts_do_not_overflow() -> None:
    rng = Random(1)
    for name in POLICIES:
        wait_s = policy(name).wait_s(1_000_000, rng)
        assert wait_s is None or 0 <= wait_s <= 30


def test_same_seed_gives_the_same_waits() -> None:
    one, same, other = ([policy("full-jitter").wait_s(a, rng) for a in range(5)] for rng in map(Random, (1, 1, 2)))
    assert one == same
    assert one != other


def test_unknown_policy_and_parameter_are_named_with_what_there_is() -> None:
    with pytest.raises(UsageError, match=r'no reconnect policy "polite"; there are socketio-js, full-jitter'):
        policy("polite")
    with pytest.raises(UsageError, match=r'"fixed" has no jitter; it takes delay_s'):
        policy("fixed", jitter=0.5)
    with pytest.raises(UsageError, match="it takes nothing"):
        policy("none", base_s=1)


def test_only_retry_after_obeys_the_server() -> None:
    rng = Random(1)
    for name in POLICIES:
        obeyed = next_wait_s(policy(name), 3, 17.5, rng) == 17.5
        assert obeyed is (name == "retry-after"), name
    assert next_wait_s(policy("retry-after"), 0, 0.0, rng) == 0.0
    assert next_wait_s(policy("retry-after"), 0, 1e12, rng) == 86_400.0
    assert next_wait_s(policy("retry-after"), 2, None, Drawn(0.5)) == 2.0


def test_only_backoff_reset_takes_an_open_transport_for_a_success() -> None:
    for name in POLICIES:
        assert attempt_once_open(policy(name), 6) == (0 if name == "backoff-reset" else 6)


def test_quickened_policy_waits_its_share_and_obeys_hints_as_they_are() -> None:
    rng = Random(1)
    assert [Quickened(policy("phoenix"), 60.0).wait_s(a, rng) for a in (0, 20)] == pytest.approx([0.01 / 60, 5 / 60])
    assert Quickened(policy("none"), 60.0).wait_s(0, rng) is None
    assert next_wait_s(Quickened(policy("retry-after"), 60.0), 0, 2.0, rng) == 2.0
    assert attempt_once_open(Quickened(policy("backoff-reset"), 60.0), 4) == 0


def test_distant_policy_is_later_by_up_to_twice_its_latency_and_obeys_hints_to_the_moment() -> None:
    far = Quickened(Distant(policy("fixed", delay_s=5.0), 0.5), 10.0)
    waits = [far.wait_s(9, Random(seed)) or 0.0 for seed in range(400)]
    assert 0.5 <= min(waits) < 0.505
    assert 0.595 < max(waits) <= 0.6
    assert fmean(waits) == pytest.approx(0.55, rel=0.01)
    assert Distant(policy("none"), 0.5).wait_s(0, Random(1)) is None
    assert next_wait_s(Quickened(Distant(policy("retry-after"), 0.5), 10.0), 0, 2.0, Random(1)) == 2.0
    assert attempt_once_open(Distant(policy("backoff-reset"), 0.5), 4) == 0


@pytest.mark.parametrize("drawn", [0.0, 0.5, 0.75])
def test_python_socketio_waits_are_those_of_the_installed_client(drawn: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own reconnect loop runs here, its waits and draws replaced."""
    import socketio
    from socketio import exceptions

    client = socketio.Client()
    waited: list[float] = []

    def wait(delay_s: float) -> bool:
        waited.append(delay_s)
        return len(waited) == 20

    def connect(*_: object, **__: object) -> None:
        raise exceptions.ConnectionError("down")

    abort = client.eio.create_event()
    monkeypatch.setattr(abort, "wait", wait)
    monkeypatch.setattr(client.eio, "create_event", lambda: abort)
    monkeypatch.setattr(client, "connect", connect)
    monkeypatch.setattr("random.random", lambda: drawn)
    client._handle_reconnect()
    assert waited == pytest.approx(waits("python-socketio", drawn))
