"""Write and read `histograms.hlog`: HdrHistogram's own log format, so that its tools open it.

    #[StartTime: 1768644672.000 (seconds since epoch), 2026-01-17T10:11:12+00:00]
    "StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"
    Tag=fanout.latency,12.000,10.000,31.457,HISTFAAAA...

Times are seconds since StartTime, values inside are ns, Interval_Max is in ms. One line per tag and interval.

hdrh's writer gives the version and the legend; the other two lines are ours, because its own start time raises, it has
no tags and it cuts Interval_Max to whole milliseconds. Its reader reads all of it.

Source: github.com/HdrHistogram/HdrHistogram, HistogramLogWriter and HistogramLogReader (format 1.2/1.3).
"""

from __future__ import annotations

import binascii
import io
import re
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from hdrh.codec import HdrCookieException, HdrLengthException
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogWriter

from loadtest.clock import NS_PER_MS
from loadtest.metrics.histogram import Histogram

_TAG = re.compile(r"[^\s,]{1,128}")
_LINE = re.compile(r"Tag=([^,]*),([\d.]+),([\d.]+),([\d.]+),(HIST\S+)\s*")

_BROKEN = (
    *(ValueError, TypeError, IndexError, RuntimeError),
    *(binascii.Error, zlib.error, HdrCookieException, HdrLengthException),
)
"""What hdrh raises for a payload that is no histogram, as its docstrings and its code say."""


def header(started_at: datetime) -> bytes:
    """Return the first lines of a log whose times are relative to `started_at` (aware)."""
    text = io.StringIO()
    writer = HistogramLogWriter(text)
    writer.output_comment("[Logged by loadtest; values in ns, Interval_Max in ms]")
    writer.output_log_format_version()
    seconds = started_at.timestamp()
    writer.output_comment(f"[StartTime: {seconds:.3f} (seconds since epoch), {started_at.isoformat()}]")
    writer.output_legend()
    return text.getvalue().encode()


def interval_line(tag: str, start_s: float, length_s: float, histogram: Histogram) -> bytes:
    """Return the line of one interval.

    Raises:
        ValueError: the tag is empty, too long, or has a comma or white space in it.
    """
    if not _TAG.fullmatch(tag):
        raise ValueError(f"a tag has 1 to 128 characters, no comma and no space: {tag!r}")
    payload = histogram.to_hdr().encode().decode("ascii")
    max_ms = max(histogram.max_ns, 0) / NS_PER_MS
    return f"Tag={tag},{max(start_s, 0.0):.3f},{length_s:.3f},{max_ms:.3f},{payload}\n".encode()


def read_totals(path: Path) -> tuple[dict[str, Histogram], int]:
    """Return the sum of all intervals by tag, and how many lines could not be read.

    Min and max are those of the format: within 0.1 %, and 512 ns below a millisecond.
    """
    totals: dict[str, Histogram] = {}
    bad = 0
    for line in _lines(path):
        match = _LINE.fullmatch(line)
        try:
            hdr = HdrHistogram.decode(match[5].encode("ascii")) if match else None
        except _BROKEN:
            hdr = None
        if match is None or hdr is None:
            bad += 1
            continue
        total = totals.setdefault(match[1], Histogram())
        for item in hdr.get_recorded_iterator():
            total.record(item.value_iterated_to, item.count_added_in_this_iter_step)
    return totals, bad


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="ascii", errors="replace") as file:
        for line in file:
            if not line.startswith(("#", '"')) and line.strip():
                yield line
