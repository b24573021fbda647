"""Turn figures into words: the only place of the reports where a number is rounded or a gap is named.

Two laws. A share is never rounded up to 100 % or down to 0 %: 99.9996 % is not "100 %". A figure that is missing is
said ("not measured", "not recovered"), never drawn as zero. Text of strangers (profiles, targets, reasons, log lines)
passes `plain` before it reaches a terminal: control characters and direction overrides are made visible.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from loadtest.errors import UsageError
from loadtest.metrics.thresholds import parse

NOT_MEASURED = "not measured"
NOT_RECOVERED = "not recovered"
RECOVERY_STEPS = ("50", "90", "99", "99.9", "100")
"""Percentages of run.json's `t_conn_s` and `t_sub_s`, as its keys are written."""


def dig(source: object, *keys: str) -> Any:
    """Return `source[key0][key1]...`, or None as soon as a level is missing or is not an object."""
    for key in keys:
        if not isinstance(source, Mapping):
            return None
        source = source.get(key)
    return source


def number(source: object, *keys: str) -> float | None:
    """Return the finite number found by `dig`, or None for anything else (absent, null, NaN, text, true)."""
    value = dig(source, *keys)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def total(source: object, *keys: str) -> float:
    """Return the sum of the numbers of the object found by `dig`; 0 when there is none."""
    value = dig(source, *keys)
    return sum(number(value, key) or 0 for key in value) if isinstance(value, Mapping) else 0


def text(source: object, *keys: str) -> str:
    """Return the text found by `dig`, a number as text, or "" for anything else."""
    value = dig(source, *keys)
    if isinstance(value, str):
        return value
    return "" if value is None or isinstance(value, Mapping | list) else str(value)


def items(source: object, *keys: str) -> list[Any]:
    """Return the list found by `dig`, or an empty one."""
    value = dig(source, *keys)
    return value if isinstance(value, list) else []


def count(value: float | None) -> str:
    """Write a whole number with thousands separated: 5,000."""
    return NOT_MEASURED if value is None else f"{round(value):,}"


def _significant(value: float) -> str:
    """Write three significant digits without a trailing ".0" of false precision."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    written = f"{value:.{min(digits, 4)}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def milliseconds(value_ms: float | None) -> str:
    """Write a latency given in ms, in the unit a reader would choose: 12.3 ms, 1.25 s."""
    if value_ms is None:
        return NOT_MEASURED
    return seconds(value_ms / 1000) if abs(value_ms) >= 1000 else f"{_significant(value_ms)} ms"


def seconds(value_s: float | None, missing: str = NOT_MEASURED) -> str:
    """Write a time given in s: 0.42 s, 61.2 s, 3 min 20 s, 7 h 05 min; None is written as `missing`."""
    if value_s is None:
        return missing
    if abs(value_s) < 100:
        return f"{_significant(value_s)} s"
    whole = round(value_s)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(value_s / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def recovered(source: object, *keys: str) -> str:
    """Write a recovery time in s: null is "not recovered", a missing key is "not measured"."""
    holder = dig(source, *keys[:-1])
    known = isinstance(holder, Mapping) and keys[-1] in holder
    return seconds(number(holder, keys[-1]), NOT_RECOVERED if known else NOT_MEASURED)


def elapsed(value_s: float) -> str:
    """Write a running time with a fixed number of digits, for a display that must not jump: 0:27, 1:02:05."""
    minutes, secs = divmod(int(value_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{secs:02d}" if hours else f"{minutes}:{secs:02d}"


def percent(share: float | None) -> str:
    """Write a share (0 .. 1) as a percentage that is "100 %" or "0 %" only when it is exactly that."""
    if share is None:
        return NOT_MEASURED
    if share in (0, 1):
        return f"{share * 100:.0f} %"
    # What is missing to 0 or 100 keeps two significant digits: 99.987 %, not 99.99 %.
    gap = min(abs(share), abs(1 - share)) * 100
    digits = max(1, 1 - math.floor(math.log10(gap)))
    if digits > 8:
        return "over 99.999999 %" if share > 0.5 else "under 0.000001 %"
    return f"{f'{share * 100:.{digits}f}'.rstrip('0').rstrip('.')} %"


def factor(value: float | None) -> str:
    """Write a ratio: 1.25 x."""
    return NOT_MEASURED if value is None else f"{_significant(value)} x"


def size(value_bytes: float | None) -> str:
    """Write bytes in decimal units: 3.4 MB."""
    if value_bytes is None:
        return NOT_MEASURED
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value_bytes >= scale:
            return f"{_significant(value_bytes / scale)} {unit}"
    return f"{value_bytes:.0f} B"


def moment(iso: str) -> str:
    """Write an ISO-8601 time of UTC without its "T" and fractions; text that is none is returned as it is."""
    try:
        at = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    shown = at.strftime("%Y-%m-%d %H:%M:%S")
    return shown if at.tzinfo is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def plain(words: object, limit: int = 400) -> str:
    """Return `words` as one line that cannot steer a terminal, at most `limit` characters long."""
    line = " ".join(str(words).split())
    shown = "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") else c for c in line
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


_UNITS: Mapping[str, Callable[[float], str]] = {
    "ms": milliseconds,
    "s": seconds,
    "ratio": percent,
    "percent": lambda value: percent(value / 100),
    "count": count,
}


def in_unit(value: float, unit: str, metric: str) -> str:
    """Write a metric's figure, given in the unit it has in run.json; an infinite recovery time is "not recovered"."""
    if math.isinf(value):
        return NOT_RECOVERED
    return factor(value) if metric.endswith(("amplification", "p99_ratio")) else _UNITS[unit](value)


def threshold_value(expr: str, value: float | None, verdict: str) -> str:
    """Write the measured side of a threshold, in the unit that its metric has in run.json."""
    try:
        metric = parse(expr).metric
    except UsageError:
        # A run of another version may gate on a metric that this one does not know: its number still tells something.
        return "no data" if value is None else _significant(value)
    if value is None:
        return NOT_RECOVERED if metric.never and verdict == "FAIL" else "no data"
    return in_unit(value, metric.unit, metric.name)
