"""The `hpts` command: reads arguments and settings, calls one function, says what went wrong.

Exit status 0 for success, 1 for a failure or a finding, 2 for arguments that cannot be used.
"""

import argparse
import sys
from collections.abc import Sequence

import psycopg

from hpts import __version__
from hpts.commands.arguments import Command, CommandError, database_said
from hpts.commands.audit import add_audit_commands
from hpts.commands.bank import add_bank_commands
from hpts.commands.books import add_books_commands
from hpts.commands.demo import add_demo_command
from hpts.commands.exporting import add_export_command
from hpts.commands.reconcile import add_reconcile_command
from hpts.commands.relay import add_relay_command
from hpts.commands.serving import add_serving_commands
from hpts.commands.tenants import add_tenant_commands
from hpts.commands.tokens import add_token_command
from hpts.commands.top import add_top_command
from hpts.config import ConfigError, load_settings
from hpts.embedded import EmbeddedError
from hpts.store.migrate import MigrationError


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    chosen = _parser().parse_args(arguments)
    run: Command = chosen.run
    try:
        return run(chosen, load_settings())
    except (CommandError, ConfigError, EmbeddedError, MigrationError) as error:
        print(f"hpts {chosen.command}: {error}", file=sys.stderr)
    except psycopg.Error as error:
        print(f"hpts {chosen.command}: {database_said(error)}", file=sys.stderr)
    except OSError as error:
        print(f"hpts {chosen.command}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hpts",
        description="An append-only, double-entry, multi-tenant lending ledger behind a REST API.",
        epilog="Start with `hpts dev`. Settings are HPTS_ variables of the environment; "
        "`hpts config` lists them all.",
    )
    parser.add_argument("--version", action="version", version=f"hpts {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_serving_commands(commands)
    add_relay_command(commands)
    add_tenant_commands(commands)
    add_audit_commands(commands)
    add_token_command(commands)
    add_books_commands(commands)
    add_reconcile_command(commands)
    add_bank_commands(commands)
    add_export_command(commands)
    add_demo_command(commands)
    add_top_command(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
