"""`hpts export ...`: what an accountant or an auditor takes away, as CSV or JSON Lines.

It reads in short queries, so it may run against a standby and beside a busy server. A file is whole
or not there: it is written beside its place and moved when it is done.
"""

import argparse
import asyncio
import datetime
import os
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TypeAlias

from hpts.accounting.account_statement import AccountStatementQuery, open_account_statement
from hpts.accounting.chart import read_chart
from hpts.accounting.journal_table import open_journal
from hpts.accounting.loan_statement import LoanStatementQuery, open_loan_statement, read_loan
from hpts.accounting.report_tables import (
    account_table,
    chart_table,
    loan_statement_table,
    loan_table,
    trial_balance_table,
)
from hpts.accounting.restatement import restatement_table
from hpts.accounting.tables import FORMS, Lines, Table
from hpts.accounting.trial_balance import TrialBalanceQuery, read_trial_balance
from hpts.commands.arguments import (
    CommandError,
    Commands,
    add_command,
    add_group,
    add_tenant_argument,
    calendar_day,
    database_of,
    database_said,
    no_tenant,
)
from hpts.config import Settings
from hpts.domain.entries import Layer
from hpts.domain.instants import LATEST, Instant, end_of_day, parse_instant
from hpts.store.accounting_reads import AccountingReads, AccountKey
from hpts.store.known_reads import KnownReads, RestatementQuery
from hpts.store.pool import Pool
from hpts.store.tenancy import TenantUnknown, run_for_tenant
from hpts.store.wire import ConnectionLost, StatementFailed

PROGRESS_SECONDS = 2.0
BUFFER_BYTES = 1024 * 1024
Open: TypeAlias = Callable[[AccountingReads, bytes, argparse.Namespace], Awaitable[Table]]


def add_export_command(commands: Commands) -> None:
    """`hpts export` with what there is to export."""
    kinds = add_group(
        commands,
        "export",
        "Write books to a file: a trial balance, statements, the whole journal.",
        "It reads in short queries: a standby, or a database at work, will do.",
        metavar="WHAT",
    )
    _add_kind(kinds, "accounts", _open_chart, "The chart of accounts.")
    trial = _add_kind(kinds, "trial-balance", _open_trial_balance, "Every account's balance.")
    trial.add_argument(
        "--currency", type=_currency, metavar="CODE", help="only this one (default: all)"
    )
    _add_layer(trial)
    trial.add_argument(
        "--as-of", type=_day, metavar="DATE", help="at the end of a day (default: now)"
    )
    _add_instant(trial, "--known-at", "as it was known then (default: now)")
    account = _add_kind(
        kinds, "account-entries", _open_account, "The lines of an account with running balances."
    )
    _add_period(account)
    restated = _add_kind(
        kinds,
        "restatement",
        _open_restatement,
        "What an account was known to be about a day at two instants, and what changed it.",
    )
    for parser in (account, restated):
        _add_account(parser)
    restated.add_argument(
        "--as-of", required=True, type=_day, metavar="DATE", help="the day that it is about"
    )
    _add_instant(restated, "--known-from", "what was known then", is_required=True)
    _add_instant(restated, "--known-to", "beside what was known then (default: now)")
    loan = _add_kind(kinds, "loan", _open_loan, "What is known of a loan beside its balance.")
    statement = _add_kind(
        kinds,
        "loan-statement",
        _open_loan_statement,
        "What a loan owed, what changed it, and what it owes.",
    )
    for parser in (loan, statement):
        parser.add_argument("--loan", required=True, type=uuid.UUID, metavar="UUID", help="its id")
    _add_period(statement)
    _add_kind(kinds, "journal", _open_journal, "Every line, in the order of blocks, for auditors.")


def _add_kind(kinds: Commands, name: str, opened: Open, summary: str) -> argparse.ArgumentParser:
    kind = add_command(kinds, name, _export, summary)
    kind.set_defaults(opened=opened)
    add_tenant_argument(kind)
    kind.add_argument(
        "--format",
        choices=FORMS,
        default="csv",
        help="json is an object a line (default: %(default)s)",
    )
    kind.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="written whole or not at all (default: standard output)",
    )
    return kind


def _add_account(kind: argparse.ArgumentParser) -> None:
    kind.add_argument(
        "--account", required=True, type=_account_code, metavar="CODE", help="such as 1000"
    )
    kind.add_argument(
        "--currency", required=True, type=_currency, metavar="CODE", help="such as USD"
    )
    _add_layer(kind)


def _add_layer(kind: argparse.ArgumentParser) -> None:
    kind.add_argument(
        "--layer",
        choices=[layer.name for layer in Layer],
        default="SETTLED",
        help="degree of commitment (default: %(default)s)",
    )


def _add_period(kind: argparse.ArgumentParser) -> None:
    for name, meaning in (
        ("from", "first effective day (default: the first of all)"),
        ("to", "last effective day (default: the last of all)"),
    ):
        kind.add_argument(f"--{name}", dest=f"{name}_date", type=_day, metavar="DATE", help=meaning)


def _add_instant(
    kind: argparse.ArgumentParser, name: str, meaning: str, *, is_required: bool = False
) -> None:
    kind.add_argument(
        name,
        required=is_required,
        type=_instant,
        metavar="INSTANT",
        help=f"{meaning}; as 2026-10-31T23:59:59Z",
    )


def _export(chosen: argparse.Namespace, settings: Settings) -> int:
    database_url = database_of(settings)
    with _output(chosen.output) as file:
        try:
            asyncio.run(_write(database_url, chosen, file))
        except TenantUnknown:
            raise no_tenant(chosen.tenant) from None
        except (ConnectionLost, StatementFailed) as error:
            raise CommandError(database_said(error)) from error
    return 0


async def _write(database_url: str, chosen: argparse.Namespace, file: IO[bytes]) -> None:
    pool = Pool.of_readers(database_url, 1, waiters_max=1)
    try:
        run = partial(run_for_tenant, pool, serves_suspended=True)
        reads = AccountingReads(run, KnownReads(run))
        table: Table = await chosen.opened(reads, chosen.tenant.bytes, chosen)
        form = FORMS[chosen.format](table.columns)
        file.write(form.head())
        count, told_at = 0, time.monotonic()
        async for portion in _ahead(table.portions):
            file.write(form.body(portion))
            count += sum(len(lines.fillings) for lines in portion)
            if time.monotonic() - told_at > PROGRESS_SECONDS:
                told_at = time.monotonic()
                print(f"hpts export: {count:,} rows", file=sys.stderr)
    finally:
        pool.close()


async def _ahead(portions: AsyncIterator[list[Lines]]) -> AsyncIterator[list[Lines]]:
    """The portions, each asked for while the one before is written."""
    following = asyncio.ensure_future(anext(portions, None))
    while (portion := await following) is not None:
        following = asyncio.ensure_future(anext(portions, None))
        await asyncio.sleep(0)  # so that its query is under way
        yield portion


@contextmanager
def _output(path: Path | None) -> Iterator[IO[bytes]]:
    """Where to write: a file that takes its place at the end, or standard output."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}.", delete=False, buffering=BUFFER_BYTES
    ) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


async def _open_chart(reads: AccountingReads, tenant_id: bytes, _: argparse.Namespace) -> Table:
    return chart_table(await read_chart(reads, tenant_id))


async def _open_trial_balance(
    reads: AccountingReads, tenant_id: bytes, chosen: argparse.Namespace
) -> Table:
    query = TrialBalanceQuery(chosen.currency, chosen.layer, chosen.as_of, chosen.known_at)
    today = datetime.datetime.now(datetime.UTC).date()
    day = today if query.known_at is None else min(today, query.known_at.day)
    found = await read_trial_balance(reads, tenant_id, query, today=day.isoformat())
    return trial_balance_table(found)


async def _open_account(
    reads: AccountingReads, tenant_id: bytes, chosen: argparse.Namespace
) -> Table:
    key = AccountKey(chosen.account, chosen.currency, chr(Layer[chosen.layer]))
    query = AccountStatementQuery(key, *_period(chosen))
    statement = await open_account_statement(reads, tenant_id, query)
    if statement is None:
        raise _no_account(chosen)
    return account_table(statement, query)


async def _open_restatement(
    reads: AccountingReads, tenant_id: bytes, chosen: argparse.Namespace
) -> Table:
    known_to = chosen.known_to or Instant(LATEST)
    if known_to.microseconds < chosen.known_from.microseconds:
        raise CommandError("--known-to must not be before --known-from")
    query = RestatementQuery(
        b"%04d" % chosen.account,
        chosen.currency.encode(),
        chr(Layer[chosen.layer]).encode(),
        chosen.as_of,
        chosen.known_from,
        known_to,
        end_of_day(chosen.as_of),
    )
    table = await restatement_table(reads.known, tenant_id, query)
    if table is None:
        raise _no_account(chosen)
    return table


def _no_account(chosen: argparse.Namespace) -> CommandError:
    return CommandError(f"the tenant's chart has no account {chosen.account:04d}")


async def _open_loan(reads: AccountingReads, tenant_id: bytes, chosen: argparse.Namespace) -> Table:
    loan = await read_loan(reads, tenant_id, str(chosen.loan))
    if loan is None:
        raise CommandError(f"the tenant has no loan {chosen.loan}")
    return loan_table(loan)


async def _open_loan_statement(
    reads: AccountingReads, tenant_id: bytes, chosen: argparse.Namespace
) -> Table:
    query = LoanStatementQuery(str(chosen.loan), *_period(chosen))
    statement = await open_loan_statement(reads, tenant_id, query)
    if statement is None:
        raise CommandError(f"the tenant has no loan {chosen.loan}")
    return loan_statement_table(statement, query)


async def _open_journal(reads: AccountingReads, tenant_id: bytes, _: argparse.Namespace) -> Table:
    return await open_journal(reads, tenant_id)


def _period(chosen: argparse.Namespace) -> tuple[str | None, str | None]:
    from_date, to_date = chosen.from_date, chosen.to_date
    if from_date and to_date and to_date < from_date:
        raise CommandError("--to must not be before --from")
    return from_date, to_date


def _instant(text: str) -> Instant:
    instant = parse_instant(text)
    if instant is None:
        raise argparse.ArgumentTypeError("must be an RFC 3339 instant (2026-10-31T23:59:59Z)")
    return instant


def _day(text: str) -> str:
    return calendar_day(text).isoformat()


def _currency(text: str) -> str:
    if len(text) == 3 and text.isascii() and text.isalpha() and text.isupper():
        return text
    raise argparse.ArgumentTypeError("must be three capital letters")


def _account_code(text: str) -> int:
    if len(text) == 4 and text.isascii() and text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError("must be four digits")
