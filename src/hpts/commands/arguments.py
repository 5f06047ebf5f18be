"""What the commands share: adding one to the parser, what stops it, which database is meant, and
what the database said."""

import argparse
import datetime
import re
import uuid
from collections.abc import Callable
from typing import TypeAlias

from hpts.config import Settings

Command = Callable[[argparse.Namespace, Settings], int]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


ROLE_REFUSED = re.compile(
    r'permission denied to (?:set|grant) role "(\w+)"|must have admin option on role "(\w+)"'
)


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


def add_group(
    commands: Commands, name: str, summary: str, more: str = "", *, metavar: str = "ACTION"
) -> Commands:
    """A command that only has others below it, to which they are added."""
    group = commands.add_parser(name, help=summary, description=f"{summary} {more}".strip())
    return group.add_subparsers(dest=f"{name}_action", required=True, metavar=metavar)


def add_tenant_argument(command: argparse.ArgumentParser, *, is_required: bool = True) -> None:
    """--tenant UUID, for a command that concerns one tenant."""
    meaning = "as `hpts tenant list` shows it" if is_required else "only this one (default: all)"
    command.add_argument(
        "--tenant", required=is_required, type=uuid.UUID, metavar="UUID", help=meaning
    )


def database_said(error: Exception) -> str:
    """An error of the database for a person; where the login is the wrong one, with what to do."""
    said = f"the database said: {error}"
    refused = ROLE_REFUSED.search(said)
    if refused is None:
        return said
    role = refused[1] or refused[2]
    return (
        f"{said}\nHPTS_DATABASE_URL has a login that may not become {role}: take the one that may,"
        f" or GRANT {role} TO it as a superuser (docs/OPERATIONS.md, Set up)."
    )


def positive(text: str) -> int:
    """A whole number above zero, for `type=` of an argument."""
    if not text.isdecimal() or not 1 <= int(text) <= 10**9:
        raise argparse.ArgumentTypeError("must be a whole number above zero")
    return int(text)


def calendar_day(text: str) -> datetime.date:
    """A date, for `type=` of an argument."""
    try:
        return datetime.datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise argparse.ArgumentTypeError("must be a date (YYYY-MM-DD)") from None


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
