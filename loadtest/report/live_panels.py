"""The parts of the live view: each a pure function from figures and a width to lines of text.

States differ by glyph as well as by colour, so that the view reads on a terminal without colours too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.text import Text

from loadtest.report import wording as w

PHASE_NAMES = {"ramp": "ramp", "warmup": "warm-up", "hold": "hold", "drain": "drain"}

STATES = (
    ("subscribed", "subscribed", "\N{FULL BLOCK}", "cyan"),
    ("subscribing", "subscribing", "\N{DARK SHADE}", "bright_cyan"),
    ("opening", "opening", "\N{MEDIUM SHADE}", "magenta"),
    ("connecting", "connecting", "\N{LIGHT SHADE}", "yellow"),
    ("waiting", "waiting", "\N{MIDDLE DOT}", "red"),
    ("idle", "idle", " ", "dim"),
)
_SPARKS = "▁▂▃▄▅▆▇█"
_LABEL = 11


def spark(values: Iterable[float | None], width: int) -> str:
    """Return the last `width` values as one character each, scaled from 0 to their highest; a gap is a space."""
    shown = list(values)[-width:] if width > 0 else []
    top = max((value for value in shown if value is not None), default=0.0)
    if top <= 0:
        return "".join(" " if value is None else _SPARKS[0] for value in shown)
    steps = len(_SPARKS) - 1
    return "".join(" " if value is None else _SPARKS[max(0, min(steps, round(value / top * steps)))] for value in shown)


def _row(label: str, *parts: str | tuple[str, str]) -> Text:
    return Text.assemble((f"{label:<{_LABEL}}", "bold"), *parts)


def header(title: str, target: str, line: Mapping[str, Any], width: int) -> list[Text]:
    """Return the title line: what runs, against what, since when."""
    time_s, workers = w.number(line, "t_s"), w.number(line, "workers")
    right = w.elapsed(time_s) if time_s is not None else "starting"
    if workers is not None:
        right += f"  {w.count(workers)} {'worker' if workers == 1 else 'workers'}"
    left = Text.assemble((title, "bold"), ("  " + target if target else "", "dim"))
    left.truncate(max(10, width - len(right) - 2), overflow="ellipsis", pad=True)
    return [Text.assemble(left, "  ", (right, "dim"))]


def phases(
    line: Mapping[str, Any], began_s: Mapping[str, float], planned_s: Mapping[str, float], width: int
) -> list[Text]:
    """Return the progress of the current phase: a bar where its length is planned, its time else."""
    phase = w.text(line, "phase")
    name = PHASE_NAMES.get(phase, w.plain(phase, 10)) if phase else "waiting"
    gone_s = max(0.0, (w.number(line, "t_s") or 0.0) - began_s.get(phase, 0.0))
    total_s = planned_s.get(phase)
    if not phase or not total_s:
        return [_row(name, w.elapsed(gone_s) if phase else "for the first figures"), Text("")]
    right = f" {w.elapsed(gone_s)} of {w.elapsed(total_s)}"
    room = max(10, width - _LABEL - len(right))
    full = round(room * min(1.0, gone_s / total_s))
    return [_row(name, ("━" * full, "cyan"), ("┄" * (room - full), "dim"), right), Text("")]


def connections(line: Mapping[str, Any], width: int) -> list[Text]:
    """Return the population: how many are subscribed, a bar by state, and the states in numbers."""
    counts = {key: w.number(line, "connections", key) or 0 for key, *_ in STATES}
    target = max(w.number(line, "target") or 0, sum(counts.values()), 1)
    bar, legend = Text(" " * _LABEL), Text(" " * _LABEL)
    room, drawn, seen = width - _LABEL, 0, 0.0
    for key, name, glyph, style in STATES:
        seen += counts[key]
        upto = round(room * seen / target)
        bar.append(glyph * (upto - drawn), style=style)
        drawn = upto
        if key != "subscribed" and counts[key]:
            legend.append(f"{glyph if glyph != ' ' else ''} {name} {w.count(counts[key])}  ".lstrip(), style=style)
    subscribed = f"{w.count(counts['subscribed'])} of {w.count(target)} subscribed"
    share = w.percent(counts["subscribed"] / target)
    return [_row("Clients", (subscribed, "cyan"), f"  {share}"), bar, legend]


def rates(
    line: Mapping[str, Any], attempts: Sequence[float | None], failures: Mapping[str, float], width: int
) -> list[Text]:
    """Return connects: attempts and successes per second, their latency, and the most frequent failures."""
    told = (
        f"{w.count(w.number(line, 'attempts') or 0):>6}/s tried {w.count(w.number(line, 'connected') or 0):>6}/s made  "
        f"p99 {_ms(line, 'connect_ms', 'p99')}  "
    )
    drops = w.number(line, "drops") or 0
    worst = sorted(failures.items(), key=lambda pair: (-pair[1], pair[0]))
    failed = "none" if not worst else ", ".join(f"{reason} {w.count(n)}" for reason, n in worst[:4])
    lost = (f"{w.count(drops)} dropped in this second; ", "red") if drops else ""
    return [
        _row("Connects", told, (spark(attempts, width - _LABEL - len(told)), "yellow")),
        _row("Failures", lost, (failed, "red" if worst else "dim")),
    ]


def _ms(line: Mapping[str, Any], *keys: str) -> str:
    value = w.number(line, *keys)
    return f"{'-' if value is None else w.milliseconds(value):>8}"


def fanout(line: Mapping[str, Any], p50: Sequence[float | None], p99: Sequence[float | None], width: int) -> list[Text]:
    """Return fan-out: p50 and p99 of this second with their history, and messages per second."""
    published, delivered = w.number(line, "fanout", "published") or 0, w.number(line, "fanout", "delivered") or 0
    first = f"p50 {_ms(line, 'fanout', 'p50_ms')}  "
    second = f"p99 {_ms(line, 'fanout', 'p99_ms')}  "
    room = width - _LABEL - len(first)
    slowest = _ms(line, "fanout", "max_ms").strip()
    told = f"{w.count(published)}/s published, {w.count(delivered)}/s delivered, slowest {slowest}"
    return [
        _row("Fan-out", first, (spark(p50, room), "green")),
        _row("", second, (spark(p99, room), "blue")),
        _row("", (told, "dim")),
    ]


def delivery(totals: Mapping[str, float]) -> list[Text]:
    """Return the account of deliveries whose deadline has passed, since the start."""
    if not totals["expected"]:
        return [_row("Delivery", ("nothing was due yet", "dim"))]
    share = w.percent(min(1.0, totals["delivered"] / totals["expected"]))
    wrong = [f"{w.count(totals[key])} {key}" for key in ("lost", "duplicated", "reordered")]
    style = "red" if totals["lost"] or totals["duplicated"] else "green"
    return [_row("Delivery", (share, style), f" of {w.count(totals['expected'])} due; {', '.join(wrong)}")]


def generator(line: Mapping[str, Any]) -> list[Text]:
    """Return the generator's own health in this second."""
    cpu = w.number(line, "generator", "cpu_max_percent")
    late, lag, queue = (
        _ms(line, "generator", f"{key}_p99_ms").strip() for key in ("lateness", "loop_lag", "receive_queue")
    )
    told = (
        f"late {late}  lag {lag}  queue {queue}  "
        f"CPU {'-' if cpu is None else f'{cpu:.0f} %'}  memory {w.size(w.number(line, 'generator', 'rss_bytes'))}"
    )
    return [_row("Generator", (told, "red" if (cpu or 0) > 80 else "dim"))]


def events(line: Mapping[str, Any], width: int, most: int) -> list[Text]:
    """Return the last events: how many are back, drawn, and for how long."""
    shown = w.items(line, "events")[-max(1, most - 1) :]
    if not shown:
        return []
    lines = [Text("")]
    for event in shown:
        population = max(1.0, w.number(event, "population") or 0)
        share = min(1.0, (w.number(event, "subscribed") or 0) / population)
        since_s = max(0.0, (w.number(line, "t_s") or 0.0) - (w.number(event, "at_s") or 0.0))
        name = w.plain(w.text(event, "name") or "event", _LABEL - 1)
        told = f" {w.percent(share)} back, {w.seconds(since_s)} since {w.count(w.number(event, 'dropped'))} dropped"
        room = max(6, width - _LABEL - len(told))
        full = int(room * share)
        lines.append(_row(name, ("█" * full, "cyan"), ("░" * (room - full), "red"), told))
    return lines


def log_lines(log: Iterable[tuple[float, str]], room: int) -> list[Text]:
    """Return the last log lines that fit into `room` lines, their blank first line included."""
    shown = list(log)[-max(0, room - 1) :] if room > 1 else []
    return [Text("")] * bool(shown) + [Text.assemble((f"{time_s:>8.1f}   ", "dim"), told) for time_s, told in shown]


def beside(left: Sequence[Text], right: Sequence[Text], left_width: int) -> list[Text]:
    """Return two columns as lines, the left one padded to `left_width`."""
    lines = []
    for row in range(max(len(left), len(right))):
        first = left[row].copy() if row < len(left) else Text("")
        first.truncate(left_width, overflow="ellipsis", pad=True)
        lines.append(Text.assemble(first, "   ", right[row] if row < len(right) else ""))
    return lines
