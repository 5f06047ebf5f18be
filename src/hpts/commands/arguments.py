"""What the commands share: adding one to the parser, what stops it, which database is meant."""

import argparse
import uuid
from collections.abc import Callable
from typing import TypeAlias

from hpts.config import Settings

Command = Callable[[argparse.Namespace, Settings], int]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


class CommandError(Exception):
    """The command cannot be carried out; the message says what to do."""


def add_command(
    commands: Commands,
    name: str,
    run: Command,
    summary: str,
    more: str = "",
) -> argparse.ArgumentParser:
    """A command with its one line in the list of commands; `more` follows in its own help."""
    command = commands.add_parser(name, help=summary, description=f"{summary} {more}".strip())
    command.set_defaults(run=run)
    return command


def add_tenant_argument(command: argparse.ArgumentParser, *, is_required: bool = True) -> None:
    """--tenant UUID, for a command that concerns one tenant."""
    meaning = "the tenant's UUID" if is_required else "only this tenant"
    command.add_argument("--tenant", required=is_required, type=uuid.UUID, help=meaning)


def positive(text: str) -> int:
    """A whole number above zero, for `type=` of an argument."""
    if not text.isdecimal() or not 1 <= int(text) <= 10**9:
        raise argparse.ArgumentTypeError("must be a whole number above zero")
    return int(text)


def database_of(settings: Settings) -> str:
    """The database that the command works on. Raises CommandError where there is none."""
    from hpts import development  # noqa: PLC0415  (starts slowly, not needed by all)

    database_url = development.database_of(settings)
    if database_url is None:
        raise CommandError(
            "no database: set HPTS_DATABASE_URL, or start `hpts dev` "
            f"with the state directory {settings.state_dir}"
        )
    return database_url


def no_tenant(tenant_id: uuid.UUID) -> CommandError:
    """What to raise when there is no such tenant."""
    return CommandError(f"there is no tenant {tenant_id}; `hpts tenant list` shows them")
