"""`hpts bank ...`: bank accounts, their statements, and how they stand against the ledger."""

import argparse
import asyncio
import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hpts.commands.arguments import (
    CommandError,
    Commands,
    add_command,
    add_group,
    add_tenant_argument,
    calendar_day,
)
from hpts.commands.bank_items import add_item_commands, listed, refusals, sessions_of, this_operator
from hpts.config import Settings
from hpts.domain.bank_accounts import BankAccount, make_bank_account
from hpts.domain.bank_statements import StatementInvalid
from hpts.domain.limits import STATEMENT_FILE_BYTES_MAX, STATEMENT_FILES_MAX

if TYPE_CHECKING:
    from hpts.store.bank_imports import StatementFile

FORMATS = ("camt053", "mt940", "bai2", "ofx", "csv")


def add_bank_commands(commands: Commands) -> None:
    actions = add_group(
        commands,
        "bank",
        "Reconcile bank accounts with the ledger's cash.",
        "Add an account, import its statements, then ask for the status; docs/OPERATIONS.md walks "
        "through it.",
    )
    _add_account_commands(add_group(actions, "account", "Add and list bank accounts."))
    imported = add_command(
        actions,
        "import",
        _import,
        "Import statement files.",
        "All of them or, when one is bad, none. What was imported before is recognized and changes "
        "nothing.",
    )
    add_tenant_argument(imported)
    imported.add_argument(
        "--format", choices=FORMATS, help="of all files (default: told by how each begins)"
    )
    imported.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a statement as the bank gave it"
    )
    status = add_command(
        actions,
        "status",
        _status,
        "Show how every bank account stands.",
        "Exit status 1 when one has a break.",
    )
    add_tenant_argument(status)
    status.add_argument(
        "--as-of", type=calendar_day, metavar="DATE", help="a past day (default: today)"
    )
    add_item_commands(actions)


def _add_account_commands(actions: Commands) -> None:
    added = add_command(
        actions,
        "add",
        _account_add,
        "Add a bank account.",
        "Its statements are compared with one ledger account in one currency, which no other bank "
        "account may have.",
    )
    add_tenant_argument(added)
    added.add_argument("--ref", required=True, help="what the API and the commands call it")
    added.add_argument(
        "--account-code", required=True, metavar="CODE", help="the ledger account, such as 1000"
    )
    added.add_argument("--currency", required=True, help="its code of ISO 4217, such as USD")
    added.add_argument(
        "--identifier",
        action="append",
        default=[],
        metavar="TEXT",
        help="how files name it: an IBAN, an account number; may be repeated (default: REF)",
    )
    add_tenant_argument(add_command(actions, "list", _account_list, "List the bank accounts."))


def _account_add(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.bank_accounts import add_bank_account  # noqa: PLC0415

    async def add() -> None:
        async with sessions_of(settings).open(chosen.tenant.bytes) as session:
            await add_bank_account(session, account, this_operator())

    with refusals(chosen.tenant):
        account = make_bank_account(
            chosen.ref, chosen.account_code, chosen.currency, chosen.identifier
        )
        asyncio.run(add())
    return 0


def _account_list(chosen: argparse.Namespace, settings: Settings) -> int:
    async def read() -> list[BankAccount]:
        async with sessions_of(settings).open(chosen.tenant.bytes) as session:
            return await session.bank_accounts()

    with refusals(chosen.tenant):
        accounts = asyncio.run(read())
    for one in accounts:
        names = ", ".join(one.identifiers)
        print(f"{one.account_code:04d}  {one.currency}  {one.bank_account_ref}  {names}")
    return 0


def _import(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.bank_imports import Imported, import_statements  # noqa: PLC0415

    def show(one: Imported) -> None:
        what = "imported" if one.is_new else "known already, nothing changed:"
        days = f"{one.statement.from_date} to {one.statement.to_date}"
        print(f"{one.bank_account_ref}  {days}  {what} {one.line_count} lines", end="")
        print(f", {one.repeated_line_count} of them repeated" if one.repeated_line_count else "")
        if one.gap_minor:
            print(
                f"  the opening balance is {one.gap_minor} minor units off the last statement's "
                "closing balance: a statement is missing, or one was changed"
            )

    sessions = sessions_of(settings)
    with refusals(chosen.tenant):
        files = _read_files(chosen.files, chosen.format)
        done, match_count = asyncio.run(
            import_statements(sessions, chosen.tenant.bytes, files, this_operator())
        )
    for one in done:
        show(one)
    print(f"{match_count} matches")
    return 0


def _read_files(paths: list[Path], file_format: str | None) -> list["StatementFile"]:
    """All files, read. Raises CommandError that lists everything that is wrong with any of them."""
    from hpts.bank_files.reader import read_file  # noqa: PLC0415
    from hpts.store.bank_imports import file_of  # noqa: PLC0415

    if len(paths) > STATEMENT_FILES_MAX:
        raise CommandError(f"import at most {STATEMENT_FILES_MAX} files at once")
    found, problems = [], []
    for path in paths:
        with path.open("rb") as file:  # a pipe or a device does not say how long it is
            content = file.read(STATEMENT_FILE_BYTES_MAX + 1)
        if len(content) > STATEMENT_FILE_BYTES_MAX:
            raise CommandError(f"{path} is over {STATEMENT_FILE_BYTES_MAX} bytes: split it")
        try:
            found.append(file_of(path.name, content, read_file(content, file_format)))
        except StatementInvalid as error:
            problems.append(listed(error, str(path)))
    if problems:
        raise CommandError("nothing was imported:\n" + "\n".join(problems))
    return found


def _status(chosen: argparse.Namespace, settings: Settings) -> int:
    from hpts.store.bank_status import BREAK, bank_statuses  # noqa: PLC0415

    day = chosen.as_of or datetime.datetime.now(datetime.UTC).date()
    with refusals(chosen.tenant):
        found = asyncio.run(
            bank_statuses(
                sessions_of(settings), chosen.tenant.bytes, day, settings.bank_pending_days
            )
        )
    for one in found:
        print(f"{one.bank_account_ref}  {one.status}  difference {one.difference_minor}")
        if one.open_count:
            print(
                f"  {one.open_count} unmatched, the oldest of {one.oldest}: the bank's move "
                f"{one.open_at_bank_minor}, the ledger's {one.open_in_ledger_minor} minor units"
            )
        if one.gap_minor:
            print(f"  {one.gap_minor} minor units are missing between statements")
    return 1 if any(one.status == BREAK for one in found) else 0
