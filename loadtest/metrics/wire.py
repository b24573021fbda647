"""Check numbers that came from another process: an integer in its range, or an error that names it."""

from __future__ import annotations


def integer(value: object, name: str, lowest: int, highest: int) -> int:
    """Return `value` if it is an integer in `lowest`..`highest`.

    Raises:
        ValueError: naming `name`, what was found and what is allowed. A bool or a float is not an integer.
    """
    if type(value) is not int:
        raise ValueError(f"{name} must be an integer, not {type(value).__name__}")
    if not lowest <= value <= highest:
        raise ValueError(f"{name} must be in {lowest}..{highest}, not {value}")
    return value
