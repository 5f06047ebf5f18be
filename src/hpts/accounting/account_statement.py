"""The statement of an account: its lines by effective day and then in posting order, each with the
balance after it.

Balances run on the account's normal side. Where a page or a portion ends, what was reached carries
the balance on, so that every page adds up to the one before, whatever is posted meanwhile: entries
posted after the statement began do not count.
"""

import datetime
from collections.abc import AsyncIterator, Iterable
from itertools import groupby
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from hpts.accounting.portions import (
    ENTRY_ID,
    FIRST_DAY,
    FIRST_ENTRY,
    LAST_DAY,
    PRINTED_DIRECTIONS,
    WHOLE_ENTRY,
    in_steps,
    shown_details,
    within_lines,
)
from hpts.accounting.tables import Filling, Lines, Open, Pattern, filled
from hpts.domain.accounts import Account
from hpts.domain.entries import format_timestamp
from hpts.domain.limits import ENTRIES_SEARCHED_MAX, EXPORT_ENTRIES_AT_ONCE
from hpts.store.accounting_reads import AccountingReads, AccountKey
from hpts.store.reads import EntryRow


class AccountStatementQuery(NamedTuple):
    """Which lines: of an account in a currency and a layer, effective from a day to a day."""

    key: AccountKey
    from_date: str | None
    to_date: str | None


class AccountStatementLine(msgspec.Struct, frozen=True):
    journal_entry_id: str
    sequence: int
    event_type: str
    effective_at: str
    posted_at: str
    direction: str
    amount_minor: str
    balance_minor: str
    loan_id: str | UnsetType = UNSET
    borrower_id: str | UnsetType = UNSET
    reverses_entry_id: str | UnsetType = UNSET
    external_ref: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    requested_effective_at: str | UnsetType = UNSET


class Reached(msgspec.Struct, frozen=True, array_like=True):
    """How far a statement was read: everything before an entry, of the entry itself the lines up to
    a sequence; the balance there; the newest entry that counts."""

    effective_at: str
    journal_entry_id: str
    sequence: int
    balance_minor: int
    newest_entry_id: str


class Portion(NamedTuple):
    """The next lines (with the columns of AccountStatementLine), what was reached with them, how
    many entries have been searched through."""

    lines: list[Lines]
    reached: Reached
    entries: int


class StatementPage(NamedTuple):
    """Lines with the balances before and after them; `reached` is None on the last page."""

    opening_minor: int
    lines: list[AccountStatementLine]
    closing_minor: int
    reached: Reached | None


class AccountStatement:
    """One account's statement, to be read in pages or to its end. See `open_account_statement`."""

    def __init__(
        self,
        reads: AccountingReads,
        tenant_id: bytes,
        query: AccountStatementQuery,
        account: Account,
        start: Reached,
    ) -> None:
        self._reads = reads
        self._tenant_id = tenant_id
        self._query = query
        self.account = account
        self.start = start
        """Where it begins, with the opening balance."""

    async def read_page(self, page_size: int, start: Reached) -> StatementPage:
        """At most `page_size` lines after `start`; fewer, though more follow, where the account is
        seldom posted to: then the page ends after ENTRIES_SEARCHED_MAX entries."""
        lines: list[AccountStatementLine] = []
        reached: Reached | None = start
        searched = 0
        async for portion in self.portions(start, page_size + 2):
            lines += _shown(portion.lines)
            reached = portion.reached
            searched += portion.entries
            if len(lines) > page_size or searched >= ENTRIES_SEARCHED_MAX:
                break
        else:
            reached = None
        shown = lines[:page_size]
        closing = int(shown[-1].balance_minor) if shown else start.balance_minor
        if len(lines) > page_size:
            reached = _reached_at(shown[-1], start.newest_entry_id)
        return StatementPage(start.balance_minor, shown, closing, reached)

    async def portions(self, start: Reached, entries_at_once: int) -> AsyncIterator[Portion]:
        """Every line after `start`, `entries_at_once` entries (at least 2) in the first query and
        more in each that is needed after it, where few of them have a line of the account."""
        reached = start
        count = entries_at_once
        while True:
            found = await self._reads.account_entries(
                self._tenant_id,
                self._query.key,
                from_date=reached.effective_at,
                to_date=self._query.to_date or LAST_DAY,
                from_entry_id=reached.journal_entry_id,
                newest_entry_id=reached.newest_entry_id,
                count=count,
            )
            if found is None:
                return
            day, entries = found
            is_whole_day = len(entries) < count
            count = max(entries_at_once, min(2 * count, EXPORT_ENTRIES_AT_ONCE))
            for run in within_lines(_unread(entries, reached)):
                async for portion in self._read_lines(run, reached):
                    reached = portion.reached
                    yield portion
            if is_whole_day:
                if day == LAST_DAY:
                    return
                reached = msgspec.structs.replace(
                    reached, effective_at=_day_after(day), journal_entry_id=FIRST_ENTRY, sequence=0
                )

    async def _read_lines(
        self, entries: list[EntryRow], reached: Reached
    ) -> AsyncIterator[Portion]:
        by_id = {entry.journal_entry_id.encode(): entry for entry in entries}
        found = await self._reads.account_lines(
            self._tenant_id, self._query.key, [entry.journal_entry_id for entry in entries]
        )
        last_entry, last_sequence = reached.journal_entry_id.encode(), reached.sequence
        rows = [row for row in found if row[0] != last_entry or int(row[1] or 0) > last_sequence]
        balance = reached.balance_minor
        for some in in_steps(rows):
            lines: list[Lines] = []
            for entry_id, of_entry in groupby(some, ENTRY_ID):
                entry = by_id[entry_id or b""]
                balance, fillings = self._fill(of_entry, balance)
                lines.append(Lines(_pattern(entry), fillings))
            yield Portion(
                lines,
                Reached(
                    entry.effective_at,
                    entry.journal_entry_id,
                    int(some[-1][1] or 0),
                    balance,
                    reached.newest_entry_id,
                ),
                0,
            )
        last = entries[-1]
        reached = Reached(
            last.effective_at, last.journal_entry_id, WHOLE_ENTRY, balance, reached.newest_entry_id
        )
        yield Portion([], reached, len(entries))

    def _fill(self, rows: Iterable[Filling], balance: int) -> tuple[int, list[Filling]]:
        """The balance after the rows of read_lines, and what they put into the open cells."""
        normal = self.account.normal_balance.encode()
        fillings: list[Filling] = []
        for _, sequence, _, direction, minor, _, _, loan_id, borrower_id in rows:
            balance += int(minor or 0) if direction == normal else -int(minor or 0)
            printed = PRINTED_DIRECTIONS[direction or b""]
            fillings.append((sequence, printed, minor, b"%d" % balance, loan_id, borrower_id))
        return balance, fillings


async def open_account_statement(
    reads: AccountingReads, tenant_id: bytes, query: AccountStatementQuery
) -> AccountStatement | None:
    """The account's statement with its opening balance; None when there is no such account."""
    opening = await reads.open_account(tenant_id, query.key, query.from_date)
    if opening is None:
        return None
    net = opening.debits_less_credits_minor
    start = Reached(
        query.from_date or FIRST_DAY,
        FIRST_ENTRY,
        0,
        net if opening.account.normal_balance == "D" else -net,
        opening.newest_entry_id or FIRST_ENTRY,
    )
    return AccountStatement(reads, tenant_id, query, opening.account, start)


def _unread(entries: list[EntryRow], reached: Reached) -> list[EntryRow]:
    """Without the one that was reached, where nothing of it is left."""
    is_read = (
        bool(entries)
        and entries[0].journal_entry_id == reached.journal_entry_id
        and reached.sequence == WHOLE_ENTRY
    )
    return entries[1:] if is_read else entries


def _reached_at(line: AccountStatementLine, newest_entry_id: str) -> Reached:
    return Reached(
        line.effective_at,
        line.journal_entry_id,
        line.sequence,
        int(line.balance_minor),
        newest_entry_id,
    )


def _day_after(day: str) -> str:
    return (datetime.date.fromisoformat(day) + datetime.timedelta(1)).isoformat()


def _pattern(entry: EntryRow) -> Pattern:
    """What an entry's lines have in common, in the order of AccountStatementLine."""
    details = shown_details(entry.details)
    return (
        entry.journal_entry_id,
        Open.NUMBER,
        entry.event_type,
        entry.effective_at,
        format_timestamp(entry.posted_at),
        Open.TEXT,  # direction
        Open.TEXT,  # amount
        Open.TEXT,  # balance
        Open.TEXT,  # loan
        Open.TEXT,  # borrower
        entry.reverses_entry_id or UNSET,
        details.external_ref,
        details.description,
        details.requested_effective_at,
    )


def _shown(lines: list[Lines]) -> list[AccountStatementLine]:
    names = AccountStatementLine.__struct_fields__
    return [
        msgspec.convert(
            {name: cell for name, cell in zip(names, row, strict=True) if cell is not UNSET},
            AccountStatementLine,
        )
        for pattern, fillings in lines
        for row in [filled(pattern, filling) for filling in fillings]
    ]
