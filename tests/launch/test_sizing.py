"""How many processes a run takes, and how many descriptor tables in each."""

from __future__ import annotations

from math import ceil

import pytest

from loadtest.herd.sockets import usable_files
from loadtest.launch.sizing import connections_of_largest, node_files_needed, nodes_for, tables_for, workers_for


@pytest.mark.parametrize(
    ("connections", "nofile", "cores", "herd_size", "workers"),
    [
        (1, 20_000, 2, 250, 1),
        (200, 20_000, 2, 250, 1),
        (999, 20_000, 2, 250, 1),
        (1_000, 20_000, 2, 250, 2),
        (5_000, 20_000, 2, 250, 2),
        (5_000, 20_000, 64, 250, 10),  # 500 connections each are worth a process
        (5_000, 20_000, 64, 5_000, 1),  # one herd cannot be split
        (100_000, 20_000, 2, 250, 6),  # 18,000 usable, 72 herds each
        (1_000_000, 20_000, 2, 250, 56),
        (1_000_000, 1_024, 2, 1_000, 1_000),  # 921 usable, less than a herd: findings refuse
        (1_000, 64, 2, 1, 25),
    ],
)
def test_workers_for(connections: int, nofile: int, cores: int, herd_size: int, workers: int) -> None:
    assert workers_for(connections, nofile, cores, herd_size) == workers


@pytest.mark.parametrize("connections", [1, 17, 1_000, 17_999, 18_001, 99_999, 1_000_000])
@pytest.mark.parametrize("herd_size", [1, 7, 250, 900])
@pytest.mark.parametrize("nofile", [1_024, 4_096, 20_000, 1_048_576])
def test_workers_for_leaves_a_tenth_of_the_files_spare(connections: int, herd_size: int, nofile: int) -> None:
    workers = workers_for(connections, nofile, 2, herd_size)
    assert connections_of_largest(connections, workers, herd_size) <= usable_files(nofile)
    assert workers <= ceil(connections / herd_size)


@pytest.mark.parametrize(
    ("connections", "cores", "workers"),
    [
        (100_000, 2, 6),  # as many as it takes, while the cores are not crowded
        (144_000, 2, 8),
        (144_001, 2, 4),  # nine would be
        (1_000_000, 2, 4),
        (1_000_000, 16, 56),
        (2_000_000, 1, 2),
        (9_000_000, 1, 8),  # 500 tables, 64 each at most
    ],
)
def test_few_workers_with_many_tables_where_many_would_crowd_the_cores(
    connections: int, cores: int, workers: int
) -> None:
    assert workers_for(connections, 20_000, cores, 250, tables=64) == workers
    largest = connections_of_largest(connections, workers, 250)
    assert tables_for(largest, 20_000, 250) <= 64


@pytest.mark.parametrize(
    ("served", "cores", "tables", "nodes"),
    [
        (10, 2, 64, (1, 1)),
        (157_952, 2, 64, (8, 1)),
        (157_953, 2, 64, (4, 3)),  # chance deals clients to tables: a thirtieth to spare
        (1_000_000, 2, 64, (4, 14)),
        (1_000_000, 2, 1, (51, 1)),
        (1_000_000, 8, 64, (16, 4)),
        (9_000_000, 1, 64, (8, 59)),
    ],
)
def test_few_nodes_with_many_tables_too(served: int, cores: int, tables: int, nodes: tuple[int, int]) -> None:
    assert nodes_for(served, 20_000, cores, tables) == nodes
    assert node_files_needed(served, *nodes) <= 20_000
