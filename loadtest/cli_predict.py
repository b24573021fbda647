"""The command before a run: `loadtest predict`, the storm model asked about a profile.

Law: nothing is started and nothing is sent; what is printed is in the time of the real system unless it says otherwise.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(predict)


def predict(
    profile: Annotated[str, typer.Argument(help="Path or name of a profile with [scale].")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="dotted.key=value, over the profile.")] = None,
    within: Annotated[
        list[str] | None, typer.Option(help="Say what capacity brings 99 % back within this time; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the prediction as JSON.")] = False,
) -> None:
    """Say what a profile's storm will do, before it is run: the storm model, in the time of the real system.

    Exit codes: 0 predicted, 2 a bad profile, or one without [scale].
    """
    from dataclasses import asdict

    from loadtest.model.planning import capacity_for
    from loadtest.model.profiled import real_storm, scaled_figures
    from loadtest.model.scaling import shrink
    from loadtest.model.simulation import predict as follow
    from loadtest.profile.loader import load_profile
    from loadtest.report.forecast import print_forecast
    from loadtest.units import parse_duration

    loaded = load_profile(profile, settings or ())
    real = real_storm(loaded)
    plans = [capacity_for(real, parse_duration(text)) for text in within or ()]
    if as_json:
        figures = scaled_figures(loaded, ()) | {"plans": [asdict(plan) for plan in plans]}
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
        return
    small = shrink(real, loaded.population.connections, loaded.time_scale)
    print_forecast(Console(), loaded.name, real, small, loaded.time_scale, follow(real), plans)
