"""The queries behind trial balances, statements and exports, rows in PostgreSQL's text format.

Each answer is of one moment, for it is one statement's. Reads take no locks and see only committed
postings. Whoever calls turns rows into replies.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hpts.domain.accounts import Account
from hpts.domain.instants import Instant
from hpts.store.known_reads import KnownReads, known_steps
from hpts.store.reads import NEWEST, EntryRow, account_of, entry_of
from hpts.store.tenancy import RunForTenant
from hpts.store.text_format import array_text, encoded, text_of, text_or_none, text_step
from hpts.store.wire import Rows


class AccountSum(NamedTuple):
    """Everything debited and credited to an account in a currency, in minor units."""

    account_code: int
    currency: str
    debit_minor: int
    credit_minor: int


class AccountKey(NamedTuple):
    """What a statement of account is of; `layer` is a letter."""

    account_code: int
    currency: str
    layer: str

    @property
    def parameters(self) -> tuple[bytes, bytes, bytes]:
        return b"%d" % self.account_code, self.currency.encode(), self.layer.encode()


class Opening(NamedTuple):
    """Where a statement of account begins: debits less credits before its first day, and the newest
    entry there is, which bounds the statement while postings arrive."""

    account: Account
    debits_less_credits_minor: int
    newest_entry_id: str | None


class LoanTerms(NamedTuple):
    """What a loan's statement needs of it; the newest entry bounds it while postings arrive."""

    borrower_id: str
    currency: str
    newest_entry_id: str


class LoanFacts(NamedTuple):
    """A loan as its row and its first entry tell it; instants count as in Batch."""

    loan_id: str
    borrower_id: str
    currency: str
    opened_at: int
    opened_effective_at: str
    disbursed_minor: int
    last_activity_at: int


class LoanChange(NamedTuple):
    """What one entry changed of a loan, in minor units: components as owed, suspense as held. The
    first row of a statement is the sum of all that stands before it, and of no entry."""

    journal_entry_id: str | None
    event_type: str
    effective_at: str
    posted_at: int
    reverses_entry_id: str | None
    details: bytes
    principal_minor: int
    interest_minor: int
    fees_minor: int
    suspense_minor: int


class AccountingReads:
    """The queries of one database; `run` may read from a standby. All raise TenantUnknown,
    ConnectionLost, StatementFailed and PoolBusy."""

    def __init__(self, run: RunForTenant, known: KnownReads) -> None:
        self._run = run
        self.known = known
        """The queries about what was known when."""

    async def accounts(self, tenant_id: bytes) -> list[Account]:
        """The tenant's chart, in the order of codes."""
        (accounts,) = await self._run(tenant_id, text_step("read_accounts", tenant_id))
        return [account_of(row) for row in accounts]

    async def trial_balance(
        self,
        tenant_id: bytes,
        *,
        layer: str,
        currency: str | None,
        as_of_date: str | None,
        known_at: Instant | None = None,
    ) -> tuple[list[Account], list[AccountSum]]:
        """The chart, and the sums of the accounts that were ever posted to in `layer` (a letter),
        by currency: all of them or one; all that is posted, or what is effective by a day; as far
        as it was known at an instant."""
        which = (layer.encode(), encoded(currency))
        chart = text_step("read_accounts", tenant_id)
        if known_at is not None:
            steps = known_steps(
                tenant_id,
                known_at,
                layer=which[0],
                currency=which[1],
                account_code=None,
                as_of_date=as_of_date,
            )
            accounts, sums, backlog = await self._run(tenant_id, chart, *steps)
            self.known.note_backlog(tenant_id, backlog)
        elif as_of_date is None:
            accounts, sums = await self._run(
                tenant_id, chart, text_step("sum_trial_balance", tenant_id, *which)
            )
        else:
            day = as_of_date.encode()
            accounts, sums = await self._run(
                tenant_id, chart, text_step("sum_trial_balance_as_of", tenant_id, *which, day)
            )
        return [account_of(row) for row in accounts], [
            AccountSum(int(code or 0), text_of(currency), int(debit or 0), int(credit or 0))
            for code, currency, debit, credit in sums
        ]

    async def open_account(
        self, tenant_id: bytes, key: AccountKey, from_date: str | None
    ) -> Opening | None:
        """Where the account's statement from a day on begins; None when there is no such account.
        Without a day it begins with nothing."""
        (rows,) = await self._run(
            tenant_id,
            text_step(
                "open_account_statement", tenant_id, *key.parameters, encoded(from_date), NEWEST
            ),
        )
        if not rows:
            return None
        *account, debits_less_credits, newest = rows[0]
        return Opening(account_of(account), int(debits_less_credits or 0), text_or_none(newest))

    async def account_entries(
        self,
        tenant_id: bytes,
        key: AccountKey,
        *,
        from_date: str,
        to_date: str,
        from_entry_id: str,
        newest_entry_id: str,
        count: int,
    ) -> tuple[str, list[EntryRow]] | None:
        """(day, at most `count` of its entries in posting order) of the first day in the range on
        which the account was posted to; on `from_date` itself from `from_entry_id` on. Entries that
        do not touch the account are among them. None when there is no such day."""
        (rows,) = await self._run(
            tenant_id,
            text_step(
                "read_account_entries",
                tenant_id,
                *key.parameters,
                from_date.encode(),
                to_date.encode(),
                from_entry_id.encode(),
                newest_entry_id.encode(),
                b"%d" % count,
            ),
        )
        if not rows:
            return None
        return text_of(rows[0][2]), [entry_of(row) for row in rows if row[0] is not None]

    async def account_lines(self, tenant_id: bytes, key: AccountKey, entry_ids: list[str]) -> Rows:
        """The account's lines in the entries, entry by entry in their order, as `lines` has it."""
        (lines,) = await self._run(
            tenant_id,
            text_step("read_account_lines", tenant_id, array_text(entry_ids), *key.parameters),
        )
        return lines

    async def loan(self, tenant_id: bytes, loan_id: str) -> LoanFacts | None:
        """The loan, or None when there is no such loan."""
        (rows,) = await self._run(tenant_id, text_step("read_loan", tenant_id, loan_id.encode()))
        if not rows:
            return None
        found, borrower, currency, opened_at, first_day, disbursed, last_activity = rows[0]
        return LoanFacts(
            text_of(found),
            text_of(borrower),
            text_of(currency),
            int(opened_at or 0),
            text_of(first_day),
            int(disbursed or 0),
            int(last_activity or 0),
        )

    async def loan_terms(self, tenant_id: bytes, loan_id: str) -> LoanTerms | None:
        """Where the loan's statement begins, or None when there is no such loan."""
        (rows,) = await self._run(
            tenant_id, text_step("open_loan_statement", tenant_id, loan_id.encode())
        )
        return LoanTerms(*map(text_of, rows[0])) if rows else None

    async def loan_changes(
        self,
        tenant_id: bytes,
        loan_id: str,
        *,
        after_date: str,
        after_entry_id: str,
        to_date: str | None,
        newest_entry_id: str,
        count: int,
    ) -> tuple[LoanChange, list[LoanChange]]:
        """(what stands up to the entry `after_entry_id` of the day `after_date`, at most `count`
        changes after it until the day `to_date`), in effective and then posting order. Entries
        posted after `newest_entry_id` do not count."""
        (rows,) = await self._run(
            tenant_id,
            text_step(
                "read_loan_statement",
                tenant_id,
                loan_id.encode(),
                after_date.encode(),
                after_entry_id.encode(),
                encoded(to_date),
                newest_entry_id.encode(),
                b"%d" % count,
            ),
        )
        before, *changes = (_loan_change(row) for row in rows)
        return before, changes

    async def last_block(self, tenant_id: bytes) -> int:
        """The number of the tenant's newest block, 0 where there is none."""
        (rows,) = await self._run(tenant_id, text_step("read_last_block", tenant_id))
        return int(rows[0][0] or 0)

    async def journal_entries(
        self, tenant_id: bytes, *, after_block: int, last_block: int, count: int
    ) -> list[tuple[int, EntryRow]]:
        """(block number, entry) of the blocks after one up to another, in the order of blocks: at
        most `count` entries, or those of one block."""
        (rows,) = await self._run(
            tenant_id,
            text_step(
                "read_journal_entries",
                tenant_id,
                b"%d" % after_block,
                b"%d" % last_block,
                b"%d" % count,
            ),
        )
        return [(int(row[-1] or 0), entry_of(row[:-1])) for row in rows]

    async def lines(self, tenant_id: bytes, entry_ids: list[str]) -> Rows:
        """The lines of the entries, entry by entry in their order: rows of read_lines, for there
        may be a million of them."""
        (lines,) = await self._run(
            tenant_id, text_step("read_lines", tenant_id, array_text(entry_ids))
        )
        return lines


def _loan_change(row: Sequence[bytes | None]) -> LoanChange:
    entry_id, event_type, effective_at, posted_at, reverses, details, *changes = row
    return LoanChange(
        text_or_none(entry_id),
        text_of(event_type),
        text_of(effective_at),
        int(posted_at or 0),
        text_or_none(reverses),
        details or b"{}",
        *(int(minor or 0) for minor in changes),
    )
