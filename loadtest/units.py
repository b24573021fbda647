"""Turn what people write ("250ms", "2k/s", "64KiB") into numbers and back: the only place that knows unit words.

    "1m30s" --parse_duration--> 90.0 s --format_duration--> "1m30s"

A number without its unit is refused, except 0: a wrong guess of a unit is a wrong run. Every refusal is a UsageError
that names what was found and shows what is allowed. Parsing is exact for what `format_*` writes.
"""

from __future__ import annotations

import math
import re

from loadtest.errors import UsageError

DURATION_EXAMPLES = ("250ms", "20s", "1m30s", "2h")
RATE_EXAMPLES = ("100/s", "2k/s", "30/min")
SIZE_EXAMPLES = ("64B", "64KiB", "2MB")
SHARE_EXAMPLES = ("99.9%", "50%")
COUNT_EXAMPLES = ("5000", "5k", "1M")

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_MULTIPLES = {"": 1, "k": 10**3, "M": 10**6}
_PERIODS_S = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}

_NUMBER = r"(\d{1,15}(?:\.\d{1,12})?)"
_DURATION_PART = re.compile(rf"{_NUMBER}\s*(us|ms|min|s|m|h|d)", re.ASCII)
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern}\s*)+", re.ASCII)
_RATE = re.compile(rf"{_NUMBER}\s*([kM]?)\s*/\s*(s|min|m|h)", re.ASCII)
_SIZE = re.compile(rf"{_NUMBER}\s*([kKMG]i?B|B)", re.ASCII)
_SHARE = re.compile(rf"{_NUMBER}\s*%", re.ASCII)
_COUNT = re.compile(rf"{_NUMBER}\s*([kM]?)", re.ASCII)

DURATION_PATTERN = r"^\s*(\d+(\.\d+)?\s*(us|ms|min|s|m|h|d)\s*)+$|^0$"
RATE_PATTERN = r"^\s*\d+(\.\d+)?\s*[kM]?\s*/\s*(s|min|m|h)\s*$|^0$"
SIZE_PATTERN = r"^\s*\d+(\.\d+)?\s*([kKMG]i?B|B)\s*$|^0$"
SHARE_PATTERN = r"^\s*\d+(\.\d+)?\s*%\s*$|^0$"
COUNT_PATTERN = r"^\s*\d+(\.\d+)?\s*[kM]?\s*$"


def _refuse(found: object, what: str, examples: tuple[str, ...]) -> UsageError:
    shown = f'"{found}"' if isinstance(found, str) else str(found)
    listed = ", ".join(f'"{example}"' for example in examples)
    return UsageError(f"found {shown}, expected {what} such as {listed}")


def _is_zero(value: object) -> bool:
    return (isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0) or value == "0"


def parse_duration(value: object) -> float:
    """Return seconds for a duration such as "250ms", "20s", "1m30s", "2h" (parts add up; 0 needs no unit).

    Raises:
        UsageError: anything else, a bare number and a negative duration included.
    """
    if _is_zero(value):
        return 0.0
    text = value.strip() if isinstance(value, str) else ""
    if not text or _DURATION.fullmatch(text) is None:
        raise _refuse(value, "a duration with its unit (us, ms, s, m or min, h, d)", DURATION_EXAMPLES)
    # fsum: "1m30.1s" is the float nearest to 90.1, whatever the order of its parts.
    return math.fsum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def parse_rate(value: object) -> float:
    """Return events per second for a rate such as "100/s", "2k/s", "30/min" (0 needs no unit).

    Raises:
        UsageError: anything else, a bare number included.
    """
    if _is_zero(value):
        return 0.0
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise _refuse(value, "a rate with its period (/s, /min, /h)", RATE_EXAMPLES)
    number, multiple, period = match.groups()
    return float(number) * _MULTIPLES[multiple] / _PERIODS_S[period]


def parse_size(value: object) -> int:
    """Return bytes for a size such as "64B", "64KiB" (1024), "2MB" (1000); 0 needs no unit.

    Raises:
        UsageError: anything else, a bare number and a fraction of a byte included.
    """
    if _is_zero(value):
        return 0
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    factor = _BYTES.get(match.group(2)) if match else None
    if match is None or factor is None or not (size := float(match.group(1)) * factor).is_integer():
        raise _refuse(value, "a size in whole bytes with its unit (B, kB, MB, GB, KiB, MiB, GiB)", SIZE_EXAMPLES)
    return int(size)


def parse_share(value: object) -> float:
    """Return a fraction in 0..1 for a share such as "99.9%" (0 needs no unit).

    Raises:
        UsageError: anything else, a bare fraction and more than 100 % included.
    """
    if _is_zero(value):
        return 0.0
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or float(match.group(1)) > 100:
        raise _refuse(value, "a share from 0% to 100%", SHARE_EXAMPLES)
    return float(f"{match.group(1)}e-2")  # the float nearest to the decimal; dividing by 100 misses it


def parse_percent(value: object) -> float:
    """Return a fraction for a percentage that may exceed 100 %, such as a tolerance of "250%" (0 needs no unit).

    Raises:
        UsageError: anything else, a bare fraction included.
    """
    if _is_zero(value):
        return 0.0
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise _refuse(value, "a percentage", SHARE_EXAMPLES)
    return float(f"{match.group(1)}e-2")  # the float nearest to the decimal; dividing by 100 misses it


def parse_count(value: object) -> int:
    """Return a whole number for 5000, "5000", "5k" or "1.5M".

    Raises:
        UsageError: anything else, a fraction of one included.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _COUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or not (count := float(match.group(1)) * _MULTIPLES[match.group(2)]).is_integer():
        raise _refuse(value, "a whole number, 0 or more,", COUNT_EXAMPLES)
    return int(count)


def _plain(number: float) -> str:
    """Write a number without exponent and without a trailing ".0", short and exact."""
    text = repr(round(number, 9))
    if "e" in text:
        text = f"{number:.9f}".rstrip("0").rstrip(".")
    return text.removesuffix(".0")


def format_duration(seconds: float) -> str:
    """Write seconds the way `parse_duration` reads them: "0s", "250us", "1.5ms", "20s", "1m30s", "2h"; exact to 1 ns.

    None of the units is rounded up: 59.9996 s is "59.9996s", never "60s". Negative and infinite have no such form.

    Raises:
        UsageError: a negative, infinite or NaN number of seconds.
    """
    if not (math.isfinite(seconds) and seconds >= 0):
        raise _refuse(seconds, "a duration from 0 upwards", DURATION_EXAMPLES)
    if seconds == 0:
        return "0s"
    if seconds < 1e-3:
        return f"{_plain(seconds * 1e6)}us"
    if seconds < 1:
        return f"{_plain(seconds * 1e3)}ms"
    if seconds < 60 or not float(seconds).is_integer():
        return f"{_plain(seconds)}s"
    hours, rest = divmod(int(seconds), 3600)
    minutes, left = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (left, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count)


def format_rate(per_s: float) -> str:
    """Write a rate the way `parse_rate` reads it: "2k/s", "100/s", "30/min" below one a second; "0" for none."""
    if per_s == 0:
        return "0"
    if per_s < 1:
        for factor, period in ((60, "min"), (3600, "h")):
            if (number := round(per_s * factor, 9)) >= 1:
                return f"{_plain(number)}/{period}"
    for factor, multiple in ((10**6, "M"), (10**3, "k")):
        if per_s >= factor and (per_s / factor * 1000).is_integer():
            return f"{_plain(per_s / factor)}{multiple}/s"
    return f"{_plain(per_s)}/s"


def format_size(size_bytes: int) -> str:
    """Write a size the way `parse_size` reads it, in the largest unit that divides it: "64B", "64KiB", "2MB"."""
    for unit in ("GiB", "GB", "MiB", "MB", "KiB", "kB"):
        if size_bytes and size_bytes % _BYTES[unit] == 0:
            return f"{size_bytes // _BYTES[unit]}{unit}"
    return f"{size_bytes}B"


def format_share(fraction: float) -> str:
    """Write a fraction the way `parse_share` and `parse_percent` read it: "99.9%"."""
    return f"{_plain(fraction * 100)}%"
