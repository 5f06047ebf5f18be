"""`--help` teaches: every command says what it does, every argument what it means."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpts import cli

README = Path(__file__).parents[2] / "README.md"


def parsers(
    parser: argparse.ArgumentParser | None = None,
) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Every command below a parser, with its line in the list that it stands in."""
    for action in (parser or cli._parser())._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {one.dest: one.help or "" for one in action._choices_actions}
            for name, command in action.choices.items():
                yield command, summaries.get(name, "")
                yield from parsers(command)


COMMANDS = dict(parsers())


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.prog)
def test_a_command_says_what_it_does_in_the_list_and_by_itself(
    command: argparse.ArgumentParser,
) -> None:
    summary = COMMANDS[command]
    assert re.fullmatch(r"[A-Z].*\.", summary)
    assert (command.description or "").startswith(summary)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.prog)
def test_every_argument_says_what_it_means_and_what_it_is_without(
    command: argparse.ArgumentParser,
) -> None:
    for argument in command._actions:
        if not isinstance(argument, argparse._SubParsersAction):
            assert argument.help, argument.dest
            is_told = "default" in argument.help or argument.nargs == 0  # a flag is off
            assert argument.default in (None, [], argparse.SUPPRESS) or is_told, argument.dest


def test_every_command_stands_in_the_readme() -> None:
    text = README.read_text()
    assert [one.prog for one in COMMANDS if not named(text, one.prog)] == []


def named(text: str, program: str) -> bool:
    """By its whole name, or by its last word where its group's commands are listed."""
    group, _, last = program.rpartition(" ")
    rows = [row for row in text.splitlines() if group in row]
    return any(re.search(rf"[` ]{last}[` ]", row) for row in rows)
