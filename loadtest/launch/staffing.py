"""Who does the work of a run: workers that we start, workers that join from elsewhere, and whether they can.

    profile, flags, Machine --staff_for--> Staff --demand_of--> preflight.findings --> refused, with everything at once

Law: whatever stands in the way is said before anything is started, all of it together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from urllib.parse import urlsplit

from loadtest.errors import UsageError
from loadtest.herd.addresses import automatic, expand
from loadtest.herd.sockets import SPARE_SHARE
from loadtest.launch import preflight, sizing
from loadtest.launch.address import LOOPBACK, Address, is_loopback
from loadtest.launch.machine import Machine
from loadtest.profile.model import Profile


@dataclass(frozen=True)
class Staff:
    """Worker processes of a run. `workers` hold connections, `publishers` publish; `expected_*` join from elsewhere.

    tables: descriptor tables of each worker that we start, each with herds of its own.
    """

    workers: int
    publishers: int = 0
    expected_workers: int = 0
    expected_publishers: int = 0
    tables: int = 1

    @property
    def herds(self) -> int:
        """Return how many herds share this machine: one in each table."""
        return self.workers * self.tables

    @property
    def all_workers(self) -> int:
        """Return how many hold connections, here and elsewhere."""
        return self.workers + self.expected_workers

    @property
    def all_publishers(self) -> int:
        """Return how many publish, here and elsewhere."""
        return self.publishers + self.expected_publishers

    @property
    def expects(self) -> bool:
        """Whether anybody joins from elsewhere."""
        return bool(self.expected_workers or self.expected_publishers)


def staff_for(
    profile: Profile, machine: Machine, workers: int | None, expected_workers: int = 0, expected_publishers: int = 0
) -> Staff:
    """Return who does the work.

    Args:
        workers: herd workers to start here; None: as many as it takes, none when some are expected from elsewhere.

    Raises:
        UsageError: nobody would hold a connection.
    """
    if workers == 0 and not expected_workers:
        raise UsageError("--workers 0: nobody holds the connections; say --expect-workers N too")
    population = profile.population
    herd_size = min(population.herd_size, population.connections)
    if workers is None:
        needed = sizing.workers_for(
            population.connections, machine.nofile, machine.cores, herd_size, tables=machine.tables
        )
        workers = 0 if expected_workers else needed
    workers = min(workers, profile.herds)
    largest = sizing.connections_of_largest(population.connections, workers + expected_workers, herd_size)
    tables = sizing.tables_for(largest, machine.nofile, herd_size)
    own_publisher = profile.publishes and not expected_publishers
    return Staff(workers, int(own_publisher), expected_workers, expected_publishers, tables)


def demand_of(profile: Profile, staff: Staff) -> preflight.Demand:
    """Return what the run asks of this machine: herds are dealt evenly over all workers, wherever they are."""
    population, target = profile.population, profile.target
    herd_size = min(population.herd_size, population.connections)
    herds_here = ceil(profile.herds * staff.workers / staff.all_workers)
    connections = min(population.connections, herds_here * herd_size)
    on_loopback = target.stack is not None or all(is_loopback(_host(url)) for url in _addresses(profile))
    sources = len(expand(population.source_addresses))
    if not sources:
        largest = sizing.connections_of_largest(connections, staff.workers, herd_size)
        sources = staff.workers * len(automatic(LOOPBACK, 0, largest)) if on_loopback else 1
    return preflight.Demand(
        connections=connections,
        workers=staff.workers,
        herd_size=herd_size,
        sources=sources,
        destinations=target.nodes if target.stack else max(1, len(target.urls)),
        served=population.connections if on_loopback else 0,
        nodes=target.nodes if target.stack else 0,
        tables=target.tables,
    )


def files_of_fullest(profile: Profile, staff: Staff) -> int:
    """Return how many files the fullest worker has to be able to open, here or elsewhere."""
    population = profile.population
    herd_size = min(population.herd_size, population.connections)
    largest = sizing.connections_of_largest(population.connections, staff.all_workers, herd_size)
    return ceil(largest / (1 - SPARE_SHARE))


def files_of_herd(profile: Profile) -> int:
    """Return how many files one herd takes, which no two descriptor tables share."""
    return ceil(min(profile.population.herd_size, profile.population.connections) / (1 - SPARE_SHARE))


def relay_processes(profile: Profile, machine: Machine) -> int:
    """Return how many relays carry the population: as the profile says, or as many as its files take."""
    if profile.relay is None:
        return 0
    return profile.relay.processes or sizing.relays_for(profile.population.connections, machine.nofile)


def check(profile: Profile, staff: Staff, machine: Machine, bind: Address | None) -> list[str]:
    """Return everything that stands in the way of the run, as sentences; [] when nothing does.

    Args:
        bind: where the master is to listen; None: a free port of the loopback.
    """
    demand = replace(demand_of(profile, staff), relays=relay_processes(profile, machine))
    found = preflight.findings(machine, demand)
    if bind is not None:
        found.append(preflight.port_free(bind.host, bind.port))
    wrong = preflight.refusals(found)
    if staff.expects and bind is not None and not bind.is_loopback:
        if profile.target.stack is not None:
            wrong.append(
                'target.stack = "reference" listens on 127.0.0.1, which workers on other machines cannot reach;'
                " start reference-gateway up --host ADDRESS by itself and give --target"
            )
        if profile.relay is not None:
            wrong.append("the [relay] listens on 127.0.0.1, which workers on other machines cannot reach; leave it out")
        local = [url for url in _addresses(profile) if is_loopback(_host(url))]
        if local and profile.target.stack is None:
            wrong.append(f"the target {', '.join(local)}: workers on other machines cannot reach our loopback")
    return wrong


def refuse(wrong: Sequence[str]) -> None:
    """Refuse the run if anything stands in its way.

    Raises:
        UsageError: naming everything.
    """
    if wrong:
        raise UsageError(
            "this machine cannot hold the run (--force tries all the same):\n"
            + "\n".join(f"  - {text}" for text in wrong)
        )


def _addresses(profile: Profile) -> tuple[str, ...]:
    """Return where the clients connect, or who tells them, as far as the profile says."""
    bootstrap = profile.target.bootstrap
    return profile.target.urls or ((bootstrap.url,) if bootstrap is not None and bootstrap.url else ())


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
