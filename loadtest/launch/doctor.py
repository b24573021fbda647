"""`loadtest doctor`: how many connections this machine can hold, what is the narrowest limit, and how to lift it.

    Machine --findings for n, n + 1, ...--> capacity (by bisection) --examine--> Diagnosis --> table, plain text, JSON

Law: the doctor knows no limit of its own. It asks `preflight.findings`, which also decides what `loadtest run` refuses,
for the largest n that is not refused; so the two can never disagree.

Two kinds of runs are judged: "client only" (the target is on another machine, one address to connect to) and "both
ends" (the reference stack on this machine too, with as many workers and gateway nodes as it takes). Either with relays
between clients and gateways, or without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from loadtest.errors import UsageError
from loadtest.herd import quick
from loadtest.herd.addresses import automatic
from loadtest.launch.address import LOOPBACK, is_loopback
from loadtest.launch.machine import Machine
from loadtest.launch.preflight import Demand, Finding, amount, findings
from loadtest.launch.sizing import nodes_for, relays_for, workers_for

SCHEMA = "loadtest.doctor/1"
MOST = 10_000_000
"""More connections than a profile may ask for."""
GOAL = 1_000_000
"""What the lines to type are for when nobody says -n."""
HERD_SIZE = 250
SLOW_PATH = (
    "hot path: interpreted, at more CPU per message and connect. With a C compiler (cc) and the headers of Python here,"
    f" install again, and leave {quick.VARIABLE} unset"
)
CLIENT_ONLY, BOTH_ENDS = "client only", "both ends"

Plan = Callable[[int], Demand]
"""What a run of n connections asks of this machine."""


def client_only(machine: Machine, sources: int = 1) -> Plan:
    """Return the demand of clients alone, which leave from `sources` addresses to one address of the target."""

    def plan(connections: int) -> Demand:
        herd_size = min(HERD_SIZE, connections)
        workers = workers_for(connections, machine.nofile, machine.cores, herd_size, machine.tables)
        return Demand(connections, workers, herd_size, sources)

    return plan


def both_ends(machine: Machine) -> Plan:
    """Return the demand of clients and reference stack on one machine."""

    def plan(connections: int) -> Demand:
        herd_size = min(HERD_SIZE, connections)
        workers = workers_for(connections, machine.nofile, machine.cores, herd_size, machine.tables)
        nodes, tables = nodes_for(connections, machine.nofile, machine.cores, machine.tables)
        sources = _loopback_sources(connections, workers)
        return Demand(connections, workers, herd_size, sources, nodes, served=connections, nodes=nodes, tables=tables)

    return plan


def relayed(machine: Machine, plan: Plan) -> Plan:
    """Return the demand of a run whose profile has a [relay], which takes as many processes as its files do."""
    return lambda connections: replace(plan(connections), relays=relays_for(connections, machine.nofile))


def remote(target: str) -> bool:
    """Whether the gateway of a ws:// or wss:// URL is on another machine: not on this one's loopback.

    Raises:
        UsageError: not such a URL.
    """
    parts = urlsplit(target)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise UsageError(f'--target: "{target}" is not a ws:// or wss:// URL')
    return not is_loopback(parts.hostname)


def _loopback_sources(connections: int, workers: int) -> int:
    return workers * len(automatic(LOOPBACK, 0, ceil(connections / workers)))


def capacity(machine: Machine, plan: Plan, limit: str | None = None) -> int:
    """Return the largest number of connections that nothing (or that one limit alone) forbids, up to ten million."""

    def fits(connections: int) -> bool:
        found = findings(machine, plan(connections))
        return all(each.ok or each.advice or (limit is not None and each.limit != limit) for each in found)

    low, high = 0, MOST
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


@dataclass(frozen=True)
class Case:
    """One kind of run on this machine.

    Attributes:
        holds: connections. narrowest: the limits that forbid one more; none when ten million fit.
        by_limit: connections that each limit would allow if it were the only one.
        found: the findings for the number of connections asked for (or the goal).
    """

    kind: str
    holds: int
    narrowest: tuple[str, ...]
    by_limit: dict[str, int]
    found: tuple[Finding, ...]

    @property
    def fits(self) -> bool:
        """Whether what was asked for fits."""
        return all(each.ok or each.advice for each in self.found)


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor found. `asked` None: nobody asked for a number, the lines are for a million."""

    machine: Machine
    asked: int | None
    judged: str
    cases: tuple[Case, ...]

    @property
    def goal(self) -> int:
        """Return the number of connections that the findings are for."""
        return self.asked or GOAL

    @property
    def case(self) -> Case:
        """Return the kind of run that decides whether what was asked for fits."""
        return next(case for case in self.cases if case.kind == self.judged)

    @property
    def fits(self) -> bool:
        """Whether what was asked for fits; always, when nobody asked."""
        return self.asked is None or self.case.fits

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values; numbers in connections and bytes."""
        cases = {
            case.kind.replace(" ", "_"): {
                "holds": case.holds,
                "narrowest": list(case.narrowest),
                "by_limit": case.by_limit,
                "fits": case.fits,
                "findings": [asdict(each) for each in case.found],
            }
            for case in self.cases
        }
        return {
            "schema": SCHEMA,
            "asked": self.asked,
            "goal": self.goal,
            "judged": self.judged.replace(" ", "_"),
            "hot_path": quick.best().name,
            "fits": self.fits,
            "machine": asdict(self.machine),
            "cases": cases,
        }


def examine(
    machine: Machine, asked: int | None = None, *, remote_target: bool = False, sources: int = 1, relay: bool = False
) -> Diagnosis:
    """Examine a machine.

    Args:
        asked: connections that it should hold.
        remote_target: the target is elsewhere; False judges a run with both ends here.
        sources: addresses of this machine that can be connected from.
        relay: clients go through relays on this machine.
    """
    plans = {CLIENT_ONLY: client_only(machine, sources), BOTH_ENDS: both_ends(machine)}
    if relay:
        plans = {kind: relayed(machine, plan) for kind, plan in plans.items()}
    cases = []
    for kind, plan in plans.items():
        found = findings(machine, plan(asked or GOAL))
        by_limit = {each.limit: capacity(machine, plan, each.limit) for each in found if not each.advice}
        holds = capacity(machine, plan)
        one_more = () if holds >= MOST else findings(machine, plan(holds + 1))
        narrowest = tuple(each.limit for each in one_more if not each.ok and not each.advice)
        cases.append(Case(kind, holds, narrowest, by_limit, tuple(found)))
    return Diagnosis(machine, asked, CLIENT_ONLY if remote_target else BOTH_ENDS, tuple(cases))


# --- in words -----------------------------------------------------------------------------------------------------


def summary(diagnosis: Diagnosis) -> list[str]:
    """Return what matters most, a sentence for each kind of run."""
    sentences = []
    for case in diagnosis.cases:
        holds = f"{'more than ' if case.holds >= MOST else ''}{case.holds:,} connections"
        narrow = f"; the narrowest limit: {', '.join(case.narrowest)}" if case.narrowest else ""
        sentences.append(f"{case.kind}: {holds}{narrow}")
    return sentences


def verdict(diagnosis: Diagnosis) -> str:
    """Return whether what was asked for fits, as a sentence; "" when nobody asked."""
    if diagnosis.asked is None:
        return ""
    does = "fit" if diagnosis.fits else "do not fit"
    return f"{diagnosis.asked:,} connections {does} this machine ({diagnosis.judged})."


def remedies(found: Sequence[Finding], *, advice: bool) -> list[tuple[str, list[str]]]:
    """Return (limit with its figures, what to do about it line by line) for every finding that is not ok."""
    told = []
    for each in found:
        if not each.ok and each.advice is advice:
            title = f"{each.limit}: {amount(each.need)} needed, {amount(each.have)} there"
            told.append((title, [*each.lines, *(f"# or: {choice}" for choice in each.choices)]))
    return told


def table(diagnosis: Diagnosis) -> Table:
    """Return every limit: what there is, what the goal needs, and how many connections it allows by itself."""
    goal = f"{diagnosis.goal:,}"
    shown = Table(title_justify="left", header_style="bold")
    shown.add_column("limit")
    shown.add_column("there is", justify="right")
    for case in diagnosis.cases:
        shown.add_column(f"{goal}, {case.kind}", justify="right")
        shown.add_column("allows", justify="right")
    by_limit: dict[str, list[str]] = {}
    for number, case in enumerate(diagnosis.cases):
        for each in case.found:
            row = by_limit.setdefault(each.limit, [each.limit, amount(each.have), *[""] * (2 * len(diagnosis.cases))])
            if each.limit == "local ports":
                row[1] = f"{diagnosis.machine.ports:,} a pair"
            word = "ok" if each.ok else "slow" if each.advice else "NO"
            row[2 + 2 * number] = f"{amount(each.need)} {word}"
            row[3 + 2 * number] = _allows(case.by_limit.get(each.limit))
    for row in by_limit.values():
        shown.add_row(*row)
    return shown


def _allows(connections: int | None) -> str:
    return "" if connections is None else "any" if connections >= MOST else f"{connections:,}"


def show(diagnosis: Diagnosis, console: Console) -> None:
    """Print the diagnosis: a table on a terminal, plain lines elsewhere; what to type is never wrapped or coloured."""

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    if console.is_terminal:
        console.print(table(diagnosis))
    else:
        _show_plain(diagnosis, say)
    for sentence in summary(diagnosis):
        say(sentence, "bold")
    if quick.best() is quick.INTERPRETED:
        say(SLOW_PATH)
    if verdict(diagnosis):
        say(verdict(diagnosis), "green" if diagnosis.fits else "bold red")
    for case in diagnosis.cases:
        for advice, words in ((False, "what stands in the way of"), (True, "what would make it slow at")):
            told = remedies(case.found, advice=advice)
            if told:
                say(f"\n{case.kind}, {words} {diagnosis.goal:,} connections:")
            for title, lines in told:
                say(f"  {title}")
                for line in lines:
                    say(f"      {line}")


def _show_plain(diagnosis: Diagnosis, say: Callable[[str], None]) -> None:
    for case in diagnosis.cases:
        for each in case.found:
            word = "ok" if each.ok else "slow" if each.advice else "no"
            allows = _allows(case.by_limit.get(each.limit)) or "-"
            say(f"{case.kind}\t{each.limit}\t{amount(each.have)}\t{amount(each.need)}\t{allows}\t{word}")
