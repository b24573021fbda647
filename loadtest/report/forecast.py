"""A prediction on the terminal, before anything runs: the storm, when everybody is back, and what capacity would do.

Profile with [scale] --model--> Prediction, Plans --> tables and a curve of block characters
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtest.model.planning import Plan
from loadtest.model.simulation import PERCENTS, Prediction
from loadtest.model.storm import Storm, closed_form_s
from loadtest.report import wording as w

CURVE_ROWS = 12
CURVE_COLUMNS = 40
_EIGHTHS = " " + "".join(map(chr, range(0x258F, 0x2588, -1)))


def print_forecast(
    console: Console, name: str, real: Storm, small: Storm, time: float, told: Prediction, plans: Sequence[Plan]
) -> None:
    """Print what the model says of one storm.

    Args:
        real, small: the system spoken for, and the one that would run.
        plans: capacities that would bring the clients back in given times.
    """
    console.print(Text(f"The storm of {w.plain(name, 80)}, as the model sees it", style="bold"))
    console.print(_systems(real, small, time))
    console.print(_times(told, time, real))
    for line in curve(told):
        console.print(Text(line))
    for plan in plans:
        console.print(
            Text(
                f"{plan.percent} % back within {w.seconds(plan.within_s)} needs"
                f" {w.count(plan.capacity_per_s)} connects/s (S = {plan.storm_number:.3g})"
            )
        )


def curve(told: Prediction) -> list[str]:
    """Return the share of clients that are back over time: a bar per line, evenly spaced to the end."""
    if not told.t_s:
        return []
    lines = []
    for row in range(1, CURVE_ROWS + 1):
        at_s = told.t_s[-1] * row / CURVE_ROWS
        share = next(share for t, share in zip(told.t_s, told.connected, strict=True) if t >= at_s * (1 - 1e-9))
        lines.append(f"{w.seconds(at_s):>13}  {_bar(share):<{CURVE_COLUMNS}} {100 * share:5.1f} %")
    return lines


def _bar(share: float) -> str:
    eighths = round(min(1.0, max(0.0, share)) * CURVE_COLUMNS * 8)
    return "\N{FULL BLOCK}" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _systems(real: Storm, small: Storm, time: float) -> Table:
    table = Table("", "real system", f"run, time / {time:g}", box=SIMPLE_HEAD, pad_edge=False)
    for row in zip(_WORDS, _figures(real), _figures(small), strict=True):
        table.add_row(*row)
    return table


_WORDS = (
    "clients",
    "give-up time T",
    "mean backoff B",
    "capacity c",
    "stages k",
    "steady traffic u",
    "storm number S",
    "attempts at the peak",
)


def _figures(storm: Storm) -> tuple[str, ...]:
    backoff_s = storm.mean_backoff_s
    return (
        w.count(storm.clients),
        w.milliseconds(storm.give_up_s * 1000),
        w.milliseconds(backoff_s * 1000),
        f"{storm.capacity_per_s:,.4g} connects/s",
        f"{storm.stages}",
        w.percent(storm.steady_share),
        f"{storm.number:.3g}",
        f"up to {storm.clients / (storm.give_up_s + backoff_s):,.0f}/s",
    )


def _times(told: Prediction, time: float, real: Storm) -> Table:
    table = Table("clients back", "real system", "run", box=SIMPLE_HEAD, pad_edge=False)
    for percent in PERCENTS:
        when_s = told.recovered_s[percent]
        here_s = None if when_s is None else when_s / time
        table.add_row(f"{percent} %", *(w.seconds(value, w.NOT_RECOVERED) for value in (when_s, here_s)))
    table.add_row("attempts per client", w.factor(told.attempts_per_client).removesuffix(" x"), "")
    table.add_row("mean outage", w.seconds(told.outage_s_mean), w.seconds(told.outage_s_mean / time))
    table.add_row("closed form, 99 %", w.seconds(closed_form_s(real)), "")
    return table
