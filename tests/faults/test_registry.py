"""The kind of a fault is one word everywhere."""

from __future__ import annotations

import importlib
import typing
from typing import get_args

import loadtest.profile.faults as profile
from loadtest.faults.registry import FAULTS, build_faults


def kinds_of_profile() -> dict[str, type]:
    models = get_args(get_args(profile.Fault)[0])
    return {get_args(typing.get_type_hints(model)["kind"])[0]: model for model in models}


def test_registry_knows_every_kind_of_the_profile_and_no_other() -> None:
    assert set(FAULTS) == set(kinds_of_profile())


def test_each_kind_lives_in_the_file_of_its_name() -> None:
    for kind, build in FAULTS.items():
        assert getattr(importlib.import_module(f"loadtest.faults.{kind.replace('-', '_')}"), build.__name__) is build


def test_build_keeps_names_and_order() -> None:
    first = profile.DropFault.model_validate({"kind": "drop", "name": "z"})
    second = profile.CommandFault.model_validate({"kind": "command", "command": "true"})
    faults = build_faults([first, second])
    assert [(name, type(fault).__name__) for name, fault in faults.items()] == [
        ("z", "DropFault"),
        ("command", "CommandFault"),
    ]
