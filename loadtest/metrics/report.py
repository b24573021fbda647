"""One worker's report of one interval, read with suspicion: it came over a network.

Law: `WorkerReport.read` either returns a whole report or raises ValueError naming what is wrong, before anything of it
has been counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from loadtest.clock import NS_PER_S
from loadtest.metrics.others import BystanderPart
from loadtest.metrics.packed import EMPTY, Packed
from loadtest.metrics.queue_total import QueuePart
from loadtest.metrics.recovery import RecoveryCurve
from loadtest.metrics.tally import Tally
from loadtest.metrics.traces import Traces
from loadtest.metrics.wire import integer

_MOST = 1 << 53
_MOST_KEYS = 256
_MOST_SECONDS = 4_000
HERD_HISTOGRAMS = ("connect", "subscribe", "ack", "connect_lateness")


class SecondPart(NamedTuple):
    """What became of the messages scheduled in one second, in one herd."""

    second: int
    expected: int
    delivered: int
    lost: int
    latencies: Packed


@dataclass(slots=True)
class Second:
    """What became of the messages scheduled in one second, over all workers."""

    expected: int = 0
    delivered: int = 0
    lost: int = 0
    latencies: Tally = field(default_factory=Tally)

    def add(self, other: Second | SecondPart) -> None:
        """Merge."""
        self.expected += other.expected
        self.delivered += other.delivered
        self.lost += other.lost
        self.latencies.add(other.latencies)


@dataclass(slots=True)
class WorkerReport:
    """One interval of one worker, its herds summed."""

    worker: int
    seq: int
    t_ns: int
    final: bool
    connections: Counter[str]
    counts: Counter[str]
    failures: Counter[str]
    drops: Counter[str]
    histograms: dict[str, Packed]
    ledger: Counter[str]
    fanout: Packed
    uncorrected: Packed
    seconds: list[SecondPart]
    traces: list[Traces]
    published: int
    unsent: int
    publish_failures: Counter[str]
    lateness: Packed
    outages: dict[str, list[object]]
    others: list[tuple[str, BystanderPart]]
    lag: Packed
    receive_queue: QueuePart
    cpu_percent: float
    rss_bytes: int
    gc_max_ms: float
    errors: int
    first_drop_ns: int

    @classmethod
    def read(cls, wire: object) -> WorkerReport:
        """Read what `WorkerBridge.report` sent.

        Raises:
            ValueError: naming the key and what is wrong with it.
        """
        data = _mapping(wire, "report")
        publishing = _mapping(data.get("publishing"), "publishing")
        generator = _mapping(data.get("generator"), "generator")
        report = cls(
            worker=integer(data.get("worker"), "worker", 0, 100_000),
            seq=integer(data.get("seq"), "seq", 1, _MOST),
            t_ns=integer(data.get("t_ns"), "t_ns", 0, 1 << 63),
            final=_flag(data.get("final"), "final"),
            connections=Counter(),
            counts=Counter(),
            failures=Counter(),
            drops=Counter(),
            histograms=dict.fromkeys(HERD_HISTOGRAMS, EMPTY),
            ledger=Counter(),
            fanout=EMPTY,
            uncorrected=EMPTY,
            seconds=[],
            traces=[],
            published=integer(publishing.get("published"), "published", 0, _MOST),
            unsent=integer(publishing.get("unsent"), "unsent", 0, _MOST),
            publish_failures=_counts(publishing.get("failures"), "publishing failures"),
            lateness=_histogram(publishing.get("lateness"), "lateness"),
            outages=_outages(data.get("outages")),
            others=[_others(told) for told in _list(data.get("others"), "others", 64)],
            lag=_histogram(generator.get("lag"), "lag"),
            receive_queue=QueuePart.read(generator.get("receive_queue")),
            cpu_percent=_number(generator.get("cpu_percent"), "cpu_percent"),
            rss_bytes=integer(generator.get("rss_bytes"), "rss_bytes", 0, 1 << 50),
            gc_max_ms=_number(generator.get("gc_max_ms"), "gc_max_ms"),
            errors=integer(generator.get("errors"), "errors", 0, _MOST),
            first_drop_ns=0,
        )
        for herd in _list(data.get("herds"), "herds", 64):
            report._read_herd(_mapping(herd, "herd"))
        return report

    def _read_herd(self, herd: Mapping[str, Any]) -> None:
        account = _mapping(herd.get("account"), "account")
        histograms = {name: _histogram(account.get(name), name) for name in HERD_HISTOGRAMS}
        if "ledger" not in herd:
            raise ValueError("a herd must have a ledger, or None for publishers")
        if herd["ledger"] is None:
            self.histograms["ack"] = self.histograms["ack"].plus(histograms["ack"])
            return  # publishers: their connections are not the population's
        self.connections.update(_counts(herd.get("connections"), "connections"))
        self.counts.update(_counts(account.get("counts"), "counts"))
        self.failures.update(_counts(account.get("failures"), "failures"))
        self.drops.update(_counts(account.get("drops"), "drops"))
        for name, histogram in histograms.items():
            self.histograms[name] = self.histograms[name].plus(histogram)
        first_drop_ns = integer(account.get("first_drop_ns"), "first_drop_ns", 0, 1 << 63)
        if first_drop_ns:
            self.first_drop_ns = min(self.first_drop_ns or first_drop_ns, first_drop_ns)
        self._read_ledger(_mapping(herd["ledger"], "ledger"))

    def _read_ledger(self, ledger: Mapping[str, Any]) -> None:
        self.ledger.update(_counts(ledger.get("counts"), "ledger counts"))
        self.fanout = self.fanout.plus(_histogram(ledger.get("fanout"), "fanout"))
        self.uncorrected = self.uncorrected.plus(_histogram(ledger.get("uncorrected"), "uncorrected"))
        seconds = _items(ledger.get("seconds"), "seconds")
        if len(seconds) > _MOST_SECONDS:
            raise ValueError(f"seconds: at most {_MOST_SECONDS} in one report, not {len(seconds)}")
        for key, value in seconds:
            numbers = _list(value, "second", 4)
            if len(numbers) != 4:
                raise ValueError("a second has 4 entries: expected, delivered, lost, latencies")
            expected, delivered, lost = (integer(number, "second", 0, _MOST) for number in numbers[:3])
            second = integer(key, "second", 0, self.t_ns // NS_PER_S + 1)
            latencies = _histogram(numbers[3], "latencies of a second")
            self.seconds.append(SecondPart(second, expected, delivered, lost, latencies))
        self.traces.append(Traces.read(ledger.get("traces")))


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} must be an object, not {type(value).__name__}")
    return value


def _histogram(value: object, name: str) -> Packed:
    try:
        return Packed.read(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _outages(value: object) -> dict[str, list[object]]:
    """Check the curves of every event by merging them into one that is thrown away."""
    outages = {str(key): _list(curves, "outages", 64) for key, curves in _items(value, "outages")}
    for curves in outages.values():
        for curve in curves:
            try:
                RecoveryCurve(0).merge_wire(curve)
            except ValueError as error:
                raise ValueError(f"outages: {error}") from error
    return outages


def _others(value: object) -> tuple[str, BystanderPart]:
    told = _list(value, "others of an event", 2)
    if len(told) != 2:
        raise ValueError("the others of an event have 2 entries: its id, what is told of them")
    return str(told[0]), BystanderPart.read(told[1])


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, not {type(value).__name__}")
    return value


def _items(value: object, name: str) -> list[tuple[Any, Any]]:
    return list(_mapping(value, name).items())


def _list(value: object, name: str, most: int) -> list[Any]:
    if not isinstance(value, list | tuple) or len(value) > most:
        raise ValueError(f"{name} must be a list of at most {most} entries")
    return list(value)


def _counts(value: object, name: str) -> Counter[str]:
    items = _items(value, name)
    if len(items) > _MOST_KEYS:
        raise ValueError(f"{name} must have at most {_MOST_KEYS} keys, not {len(items)}")
    return Counter({str(key): integer(count, f"{name} {key}", 0, _MOST) for key, count in items})


def _number(value: object, name: str) -> float:
    if type(value) not in (int, float) or not 0 <= value < 1e12:  # type: ignore[operator]
        raise ValueError(f"{name} must be a number >= 0")
    return float(value)  # type: ignore[arg-type]
