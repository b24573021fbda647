"""How many processes a run takes: workers, gateway nodes, relays, and descriptor tables in them.

    connections, limit of open files, cores --> workers_for, nodes_for, relays_for --> staffing, doctor

Law: pure arithmetic. No process holds more than its tables may open; where one table each would crowd the cores, a few
processes have several, for every process costs the core's caches at each switch.
"""

from __future__ import annotations

from math import ceil

from loadtest.herd.addresses import SAFE_PER_PAIR
from loadtest.herd.sharing import MANY
from loadtest.herd.sockets import usable_files

WORTH_A_WORKER = 500
"""Connections below which one more process costs more than it brings."""
PROCESSES_PER_CORE = 2
"""Workers, and nodes, where one table each would be more than four a core: every process costs its caches."""
UNEVEN = 1.2
"""How much more than its share one of several relays gets at most: the kernel deals connections by a hash."""
UNEVEN_TABLES = 1.03
"""The same of several descriptor tables of one gateway node: three standard deviations of 10,000."""
NODE_FILES = 256
"""Open files that a gateway node of the reference stack keeps for itself before it calls itself full."""

DEFAULT_PORTS = 28_232
"""Ephemeral ports of a kernel as delivered (32768-60999)."""
MOST_PER_PAIR = 20_000
"""Connections of one (source, destination) pair, however many ports there are: connect() gets slow beyond."""


def per_pair(ports: int) -> int:
    """Return how many connections one (source, destination) pair may carry, given its ephemeral ports."""
    return min(MOST_PER_PAIR, ports * SAFE_PER_PAIR // DEFAULT_PORTS)


def connections_of_largest(connections: int, workers: int, herd_size: int) -> int:
    """Return the connections of the fullest worker: whole herds are dealt, so one may hold a herd more."""
    return min(connections, ceil(ceil(connections / herd_size) / max(1, workers)) * herd_size)


def tables_for(connections: int, nofile: int, herd_size: int = 1) -> int:
    """Return how many descriptor tables hold `connections`: whole herds."""
    return ceil(ceil(connections / herd_size) / max(1, usable_files(nofile) // herd_size))


def workers_for(connections: int, nofile: int, cores: int, herd_size: int = 1, tables: int = 1) -> int:
    """Return how many herd workers a run gets by itself.

    Enough that none exceeds its files, and one per core where that leaves each at least 500 connections; never more
    than there are herds. Where that would crowd the cores, as few as carry the load, with several descriptor tables
    each. A herd larger than a table may hold cannot be helped here: `findings` refuses it.

    Args:
        tables: how many descriptor tables a worker can have.
    """
    herds = ceil(connections / herd_size)
    for_files = tables_for(connections, nofile, herd_size)
    if for_files > MANY * cores:
        for_files = max(min(for_files, PROCESSES_PER_CORE * cores), ceil(for_files / tables))
    for_cores = min(cores, max(1, connections // WORTH_A_WORKER))
    return max(1, min(herds, max(for_files, for_cores)))


def node_files_needed(served: int, nodes: int, tables: int) -> int:
    """Return how many files a descriptor table of a gateway node has to open; chance deals clients to tables."""
    return ceil(_uneven(tables > 1) * served / (nodes * tables)) + NODE_FILES


def node_tables_for(served: int, nofile: int, *, several: bool) -> int:
    """Return how many descriptor tables of gateway nodes hold `served` connections; whether a node has `several`."""
    return max(1, ceil(_uneven(several) * served / max(1, nofile - NODE_FILES)))


def _uneven(several: bool) -> float:
    return UNEVEN_TABLES if several else 1.0


def nodes_for(served: int, nofile: int, cores: int, tables: int = 1) -> tuple[int, int]:
    """Return how many gateway nodes hold `served` connections, and in how many descriptor tables each.

    One table each, as `workers_for`, or where that would crowd the cores as many tables as it takes.

    Args:
        tables: how many a node can have.
    """
    nodes = node_tables_for(served, nofile, several=False)
    if tables == 1 or nodes <= MANY * cores:
        return nodes, 1
    needed = node_tables_for(served, nofile, several=True)
    nodes = max(PROCESSES_PER_CORE * cores, ceil(needed / tables))
    return nodes, ceil(needed / nodes)


def relays_for(connections: int, nofile: int) -> int:
    """Return how many relays carry `connections`: each takes two files, and chance deals them not quite evenly."""
    return max(1, ceil(2 * UNEVEN * connections / usable_files(nofile)))
