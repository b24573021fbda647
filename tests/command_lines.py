"""Command lines as they stand in documents and scripts, read by the parser of the command itself; nothing is run."""

from __future__ import annotations

import re
import shlex
from typing import Any

import typer
import typer.main

Refused: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
"""What a command raises at words that it does not take; typer brings a click of its own."""
_ENDS = {"|", "||", "&&", ";", "then", "fi", "fi;", "&"}


def shell_commands(script: str, program: str) -> list[list[str]]:
    """Return the words of each call of `program` in a shell script, variables as they would be when they are set."""
    script = re.sub(r"\$\{\w+:\+([^}]*)\}", r"\1", script.replace("\\\n", " "))
    script = re.sub(r"\$\{\w+(:[-?][^}]*)?\}|\$\(.*?\)|\$\w+", "1", script)
    found = []
    for line in script.splitlines():
        words = shlex.split(line, comments=True)
        while program in words:
            words = words[words.index(program) + 1 :]
            end = next((at for at, word in enumerate(words) if word in _ENDS or word.endswith(";")), len(words))
            last = [words[end].rstrip(";")] if end < len(words) and words[end] not in _ENDS else []
            found.append(words[:end] + last)
            words = words[end:]
    return found


def parse(app: typer.Typer, words: list[str]) -> dict[str, Any]:
    """Return what the command would be given.

    Raises:
        Refused: it does not take these words.
    """
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    return dict(command.make_context(command.name, rest).params)
