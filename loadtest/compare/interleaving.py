"""In which order the versions of a benchmark run: there and back again, so that drift falls on all of them alike.

two versions     A B   B A   A B   B A ...      (ABBA)
three            A B C   C B A   A B C ...
"""

from __future__ import annotations

from collections.abc import Sequence


def there_and_back(versions: Sequence[str], runs: int) -> list[tuple[str, int]]:
    """Return (version, number of the run from 1) for `runs` of each, in the order to run them."""
    order = []
    for number in range(1, runs + 1):
        sweep = versions if number % 2 else list(reversed(versions))
        order += [(version, number) for version in sweep]
    return order
