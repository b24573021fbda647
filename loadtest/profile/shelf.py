"""Where profiles are found: a path, ./profiles, and the profiles shipped with the project.

The shipped ones have one source, the top-level folder `profiles/`. A checkout reads it in place; an installed wheel
carries it as data files, and its own record says where they were put.
"""

from __future__ import annotations

import difflib
from importlib import metadata
from pathlib import Path

import loadtest
from loadtest.errors import UsageError

DISTRIBUTION = "gateway-loadtest"


def shipped_profiles() -> dict[str, Path]:
    """Return the profiles that come with the project, by name."""
    beside = Path(loadtest.__file__).resolve().parents[1]
    if (beside / "pyproject.toml").is_file() and (beside / "profiles").is_dir():
        paths = (beside / "profiles").glob("*.toml")
        return {path.stem: path for path in sorted(paths)}
    recorded = (file for installed in metadata.distributions(name=DISTRIBUTION) for file in installed.files or ())
    located = [Path(str(file.locate())).resolve() for file in recorded if file.parts[-2:-1] == ("profiles",)]
    return {path.stem: path for path in sorted(located) if path.suffix == ".toml" and path.is_file()}


def find_profile(path_or_name: str) -> Path:
    """Return the file of a path or a name; a name is looked up in ./profiles, then among those shipped.

    Raises:
        UsageError: there is none; names the ones there are, and what may have been meant.
    """
    path = Path(path_or_name)
    if path.is_file():
        return path
    local = {each.stem: each for each in sorted(Path("profiles").glob("*.toml"))}
    known = {**shipped_profiles(), **local}
    if path.parent == Path() and path.suffix in ("", ".toml") and path.stem in known:
        return known[path.stem]
    close = difflib.get_close_matches(path.stem, known, n=1)
    hint = f'did you mean "{close[0]}"? ' if close else ""
    names = ", ".join(known) or "none"
    raise UsageError(f'no profile "{path_or_name}"; {hint}give a path to a .toml file, or a name: {names}')
