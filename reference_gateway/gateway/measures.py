"""What a node counts about itself, and the Prometheus text that tells it. Labels come from small fixed sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence


class Measures:
    """Plain integers, incremented where things happen; read by GET /metrics."""

    __slots__ = (
        "accepted",
        "broadcasts",
        "broker_faults",
        "bytes_in",
        "bytes_out",
        "closes",
        "messages_in",
        "messages_out",
        "messages_replayed",
        "polling_opened",
        "recoveries",
        "rejected",
        "sessions_opened",
        "slow_consumers",
        "upgrades",
        "upstream_calls",
        "upstream_failures",
    )

    def __init__(self) -> None:
        self.accepted = 0  # TCP connections
        self.sessions_opened = 0  # Engine.IO handshakes granted, WebSocket or polling
        self.polling_opened = 0  # of these: polling
        self.upgrades = 0  # sessions that went from polling to a WebSocket
        self.rejected: Counter[str] = Counter()  # by reason: HTTP requests refused
        self.closes: Counter[int] = Counter()  # by close code we sent
        self.messages_in = 0
        self.messages_out = 0
        self.messages_replayed = 0  # sent again to clients that came back
        self.recoveries: Counter[str] = Counter()  # by outcome: clients that offered a session of theirs
        self.bytes_in = 0  # WebSocket frames, headers included; the handshake is not counted
        self.bytes_out = 0
        self.broadcasts = 0
        self.slow_consumers = 0
        self.broker_faults = 0  # messages of the broker that are not what the schema says
        self.upstream_calls = 0
        self.upstream_failures: Counter[str] = Counter()


def together(parts: Sequence[Measures]) -> Measures:
    """Return what several have counted, in all."""
    if len(parts) == 1:
        return parts[0]
    whole = Measures()
    for name in Measures.__slots__:
        setattr(whole, name, sum((getattr(part, name) for part in parts), getattr(whole, name)))
    return whole


def prometheus(measures: Measures, gauges: Mapping[str, float], labels: Mapping[str, str]) -> bytes:
    """Write counters and gauges in the Prometheus text format, version 0.0.4.

    Args:
        gauges: name (without prefix) to current value.
        labels: on every line; values are names we chose ourselves (node, version).
    """
    base = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    lines: list[str] = []
    for name, gauge in gauges.items():
        lines += [f"# TYPE rg_{name} gauge", f"rg_{name}{{{base}}} {gauge}"]
    for name in Measures.__slots__:
        value = getattr(measures, name)
        lines.append(f"# TYPE rg_{name}_total counter")
        if isinstance(value, Counter):
            label = "code" if name == "closes" else "reason"
            lines += [f'rg_{name}_total{{{base},{label}="{key}"}} {count}' for key, count in sorted(value.items())]
        else:
            lines.append(f"rg_{name}_total{{{base}}} {value}")
    return ("\n".join(lines) + "\n").encode()


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
