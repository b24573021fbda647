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

import numpy as np
from hdrh.codec import HdrCookieException, HdrLengthException
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogWriter

from loadtest.clock import NS_PER_MS
from loadtest.metrics.histogram import HALF, index_of
from loadtest.metrics.packed import HIGHEST_NS, Counts, Packed
from loadtest.metrics.tally import Tally

LOWEST_NS = 1_000
MOST_NS = 3_600 * 1_000_000_000
DIGITS = 3
"""What the log's histograms are made for: 1 us .. 1 h, three significant digits."""

_FINE = 9
"""log2 of 512: below 2^20 ns = 1.05 ms its buckets are 512 ns wide, what a lowest value of 1 us means there."""

_SAME_FROM = (_FINE + 1) * HALF
"""From this bucket of ours on, theirs are the same: 2^20 ns."""

_LAST = index_of(MOST_NS >> _FINE)

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


def interval_line(tag: str, start_s: float, length_s: float, tally: Tally) -> bytes:
    """Return the line of one interval.

    Cost: 0.1 to 0.4 ms for 2 to 2,500 buckets (measured, one of two busy cores).

    Raises:
        ValueError: the tag is empty, too long, or has a comma or white space in it.
    """
    if not _TAG.fullmatch(tag):
        raise ValueError(f"a tag has 1 to 128 characters, no comma and no space: {tag!r}")
    payload = to_hdr(tally).encode().decode("ascii")
    max_ms = max(tally.max_ns, 0) / NS_PER_MS
    return f"Tag={tag},{max(start_s, 0.0):.3f},{length_s:.3f},{max_ms:.3f},{payload}\n".encode()


def to_hdr(tally: Tally) -> HdrHistogram:
    """Return `tally` as an HdrHistogram of ns; values longer than an hour enter as one."""
    hdr = HdrHistogram(LOWEST_NS, MOST_NS, DIGITS)
    hit = tally.nonzero()
    if len(hit):
        values_ns = np.clip(HIGHEST_NS[hit], tally.min_ns, tally.max_ns)
        theirs = np.minimum(np.where(hit >= _SAME_FROM, hit - _FINE * HALF, values_ns >> _FINE), _LAST)
        np.add.at(_counts(hdr), theirs, tally.counts[hit])
        hdr.set_internal_tacking_values(int(theirs[0]), int(theirs[-1]), tally.count)
    return hdr


def from_hdr(hdr: HdrHistogram) -> Packed:
    """Return the counts of an HdrHistogram made by `to_hdr`.

    Raises:
        ValueError: it was made with other settings.
    """
    made = (hdr.lowest_trackable_value, hdr.highest_trackable_value, hdr.significant_figures)
    if made != (LOWEST_NS, MOST_NS, DIGITS):
        raise ValueError(f"a histogram of {made} is not of this log")
    counts = _counts(hdr)
    theirs = np.flatnonzero(counts)
    fine = theirs[theirs < HALF]
    ours = np.concatenate(
        (
            np.fromiter((index_of((at + 1 << _FINE) - 1) for at in fine.tolist()), np.int64, len(fine)),
            theirs[len(fine) :] + _FINE * HALF,
        )
    )
    highest_ns = HIGHEST_NS[ours].tolist() or [0]
    return Packed(ours, counts[theirs].astype(np.int64), highest_ns[0], highest_ns[-1], 0)


def _counts(hdr: HdrHistogram) -> Counts:
    """Return the counts of `hdr` as an array that is its own memory."""
    return np.frombuffer(hdr.counts, np.uint64)


def read_totals(path: Path) -> tuple[dict[str, Tally], int]:
    """Return the sum of all intervals by tag, and how many lines could not be read.

    Min and max are those of the format: within 0.1 %, and 512 ns below a millisecond.
    """
    totals: dict[str, Tally] = {}
    bad = 0
    for line in _lines(path):
        match = _LINE.fullmatch(line)
        try:
            part = from_hdr(HdrHistogram.decode(match[5].encode("ascii"))) if match else None
        except _BROKEN:
            part = None
        if match is None or part is None:
            bad += 1
            continue
        totals.setdefault(match[1], Tally()).add(part)
    return totals, bad


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="ascii", errors="replace") as file:
        for line in file:
            if not line.startswith(("#", '"')) and line.strip():
                yield line
