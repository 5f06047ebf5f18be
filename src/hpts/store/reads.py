"""The queries behind the GET operations: one round trip each, rows in PostgreSQL's text format.

Reads take no locks and see only committed postings. Whoever calls turns rows into replies.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple, Protocol, TypeVar

from hpts.domain.accounts import Account, Chart, chart_of
from hpts.domain.entries import day_of
from hpts.domain.instants import Instant
from hpts.store.loan_reads import LoanReads, LoanRow
from hpts.store.periods import PeriodRow
from hpts.store.pool import Pool
from hpts.store.tenancy import RunForTenant, run_for_tenant
from hpts.store.text_format import (
    array_text,
    identifier_text,
    text_of,
    text_or_none,
    text_step,
)
from hpts.store.wire import Rows, Step

NEWEST = b"ffffffff-ffff-ffff-ffff-ffffffffffff"


class EntryRow(NamedTuple):
    """A journal entry without its lines; text as PostgreSQL prints it."""

    journal_entry_id: str
    event_type: str
    effective_at: str
    posted_at: int
    correlation_id: str
    reverses_entry_id: str | None
    actor: str
    details: bytes
    line_count: int


class LineRow(NamedTuple):
    """A journal line; text as PostgreSQL prints it, direction and layer by their letters."""

    journal_entry_id: str
    sequence: int
    account_code: int
    direction: str
    amount_minor: str
    currency: str
    layer: str
    loan_id: str | None
    borrower_id: str | None


class HasLines(Protocol):
    """An entry, of which at least the number of lines is known."""

    @property
    def line_count(self) -> int: ...


Entry = TypeVar("Entry", bound=HasLines)


class AccountRow(NamedTuple):
    """An account and everything that was debited and credited, in minor units."""

    name: str
    normal_balance: str
    debit_minor: int
    credit_minor: int


class Reads:
    """The queries of one database, over a pool of wires. All raise TenantUnknown, ConnectionLost,
    StatementFailed and PoolBusy."""

    def __init__(self, pool: Pool, run: RunForTenant) -> None:
        """`run` may read from a standby; what the chain does not cover comes from `pool`."""
        self._pool = pool
        self._run = run
        self._loans = LoanReads(run)

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    async def chart(self, tenant_id: bytes) -> Chart:
        """The tenant's account codes by role."""
        (accounts,) = await run_for_tenant(
            self._pool, tenant_id, text_step("read_accounts", tenant_id)
        )
        return chart_of(account_of(row) for row in accounts)

    async def check_tenant(self, tenant_id: bytes) -> None:
        """Raises TenantUnknown unless the tenant is active at this moment."""
        await run_for_tenant(self._pool, tenant_id)

    async def requires_mtls(self, tenant_id: bytes) -> bool | None:
        """Whether the tenant must come over mutual TLS; None when there is no such tenant."""
        async with self._pool.lease() as wire:
            _, marks = await wire.run(
                [text_step("enter_tenant", tenant_id), text_step("read_tenant_mark", tenant_id)]
            )
        return marks[0][0] == b"t" if marks else None

    async def loan_now(self, tenant_id: bytes, loan_id: bytes) -> LoanRow | None:
        """What the loan owes now, or None when there is no such loan."""
        return await self._loans.read(tenant_id, loan_id)

    async def loan_as_of(
        self,
        tenant_id: bytes,
        loan_id: bytes,
        as_of_date: str | None,
        known_at: Instant | None = None,
    ) -> tuple[LoanRow | None, dict[int, int], int | None]:
        """The loan now, what it owed by account code on a past day (on any without one) as far as
        it was known at an instant, and the newest posting counted."""
        loans, sums = await self._run(
            tenant_id,
            text_step("read_loan_balance", tenant_id, identifier_text(loan_id)),
            text_step(
                "sum_loan_lines",
                tenant_id,
                identifier_text(loan_id),
                (as_of_date or "infinity").encode(),
                NEWEST if known_at is None else identifier_text(known_at.before_entry_id),
            ),
        )
        newest = max((int(row[2]) for row in sums if row[2] is not None), default=None)
        return _loan(loans), {int(row[0] or b""): int(row[1] or b"") for row in sums}, newest

    async def account(
        self,
        tenant_id: bytes,
        account_code: bytes,
        currency: bytes,
        layer: bytes,
        as_of: bytes | None,
    ) -> AccountRow | None:
        """An account's totals now, or as of a day; None when the chart has no such account."""
        key = (account_code, currency, layer)
        accounts, sums = await self._run(
            tenant_id,
            text_step("read_account", tenant_id, account_code),
            text_step("sum_account_now", tenant_id, *key)
            if as_of is None
            else text_step("sum_account_as_of", tenant_id, *key, as_of),
        )
        if not accounts:
            return None
        name, normal_balance = accounts[0]
        return AccountRow(
            text_of(name), text_of(normal_balance), int(sums[0][0] or 0), int(sums[0][1] or 0)
        )

    async def entry(
        self, tenant_id: bytes, entry_id: bytes
    ) -> tuple[EntryRow, list[LineRow]] | None:
        """One entry with its lines, or None."""
        text = identifier_text(entry_id)
        entries, lines = await self._run(
            tenant_id,
            text_step("read_entry", tenant_id, text),
            text_step("read_lines", tenant_id, b"{" + text + b"}"),
        )
        if not entries:
            return None
        return entry_of(entries[0]), [line_of(row) for row in lines]

    async def loan_entries(
        self,
        tenant_id: bytes,
        loan_id: bytes,
        *,
        before: bytes | None,
        count: int,
        from_date: bytes | None,
        to_date: bytes | None,
        event_type: bytes | None,
    ) -> list[EntryRow] | None:
        """At most `count` entries of the loan, newest first; None when there is no such loan."""
        loans, entries = await self._run(
            tenant_id,
            text_step("read_loan_balance", tenant_id, identifier_text(loan_id)),
            text_step(
                "read_loan_entries",
                tenant_id,
                identifier_text(loan_id),
                identifier_text(before) if before else NEWEST,
                b"%d" % count,
                from_date,
                to_date,
                event_type,
            ),
        )
        return [entry_of(row) for row in entries] if loans else None

    async def lines(self, tenant_id: bytes, entry_ids: list[str]) -> list[LineRow]:
        """The lines of the entries, entry by entry in their order."""
        (lines,) = await self._run(
            tenant_id, text_step("read_lines", tenant_id, array_text(entry_ids))
        )
        return [line_of(row) for row in lines]

    async def period_records(self, tenant_id: bytes, *, before: int, count: int) -> list[PeriodRow]:
        """At most `count` closings and reopenings before a number, newest first."""
        (records,) = await run_for_tenant(
            self._pool,
            tenant_id,
            text_step("read_period_records", tenant_id, b"%d" % before, b"%d" % count),
        )
        return [_period(row) for row in records]

    async def schema_version(self) -> tuple[int, bool]:
        """The newest migration applied, 0 for none, and whether the server is read-only."""
        async with self._pool.lease() as wire:
            ((row,),) = await wire.run([Step("read_schema_version", (), True)])
        return int(row[0] or 0), row[1] == b"t"


def _loan(rows: Rows) -> LoanRow | None:
    if not rows:
        return None
    currency, *numbers = rows[0]
    return LoanRow(text_of(currency), *(int(number or 0) for number in numbers))


def account_of(row: Sequence[bytes | None]) -> Account:
    """A row of read_accounts."""
    code, *others = row
    return Account(int(code or 0), *map(text_of, others))


def entry_of(row: tuple[bytes | None, ...]) -> EntryRow:
    """A row with the columns of read_loan_entries."""
    (
        entry_id,
        event_type,
        effective_at,
        posted_at,
        correlation_id,
        reverses,
        actor,
        details,
        count,
    ) = row
    return EntryRow(
        text_of(entry_id),
        text_of(event_type),
        text_of(effective_at),
        int(posted_at or 0),
        text_of(correlation_id),
        text_or_none(reverses),
        text_of(actor),
        details or b"{}",
        int(count or 0),
    )


def _period(row: tuple[bytes | None, ...]) -> PeriodRow:
    number, kind, closed_through, reason, actor, recorded_at, block_number = row
    return PeriodRow(
        int(number or 0),
        text_of(kind),
        None if closed_through is None else day_of(date.fromisoformat(closed_through.decode())),
        text_of(reason),
        text_of(actor),
        int(recorded_at or 0),
        int(block_number or 0),
    )


def line_of(row: tuple[bytes | None, ...]) -> LineRow:
    """A row of read_lines."""
    entry_id, sequence, account, direction, amount, currency, layer, loan_id, borrower_id = row
    return LineRow(
        text_of(entry_id),
        int(sequence or 0),
        int(account or 0),
        text_of(direction),
        text_of(amount),
        text_of(currency),
        text_of(layer),
        text_or_none(loan_id),
        text_or_none(borrower_id),
    )


def lines_by_entry(entry_ids: Iterable[str], lines: Iterable[LineRow]) -> dict[str, list[LineRow]]:
    """The lines of each of the entries, in their order."""
    found: dict[str, list[LineRow]] = {entry_id: [] for entry_id in entry_ids}
    for line in lines:
        found[line.journal_entry_id].append(line)
    return found


def first_within_lines(entries: Sequence[Entry], lines_max: int) -> Sequence[Entry]:
    """The first entries that together have at most so many lines, but at least one."""
    lines = 0
    for at, entry in enumerate(entries):
        lines += entry.line_count
        if at and lines > lines_max:
            return entries[:at]
    return entries
