"""A loan's metadata and its statement: what each entry changed, by effective day and then in
posting order, with what is owed after it.

Components as of a day may be negative (a payment backdated to before what it paid): the true
numbers are shown. What is held in suspense is shown beside them and is no part of what is owed.
"""

from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from hpts.accounting.portions import FIRST_DAY, FIRST_ENTRY, shown_details
from hpts.domain.entries import format_timestamp
from hpts.store.accounting_reads import AccountingReads, LoanChange, LoanTerms


class Loan(msgspec.Struct, frozen=True):
    loan_id: str
    borrower_id: str
    currency: str
    opened_at: str
    opened_effective_at: str
    disbursed_minor: str
    last_activity_at: str


class LoanComponents(msgspec.Struct, frozen=True):
    principal_outstanding_minor: str
    interest_receivable_minor: str
    fees_receivable_minor: str
    total_exposure_minor: str
    suspense_minor: str


class LoanStatementLine(msgspec.Struct, frozen=True):
    journal_entry_id: str
    event_type: str
    effective_at: str
    posted_at: str
    principal_change_minor: str
    interest_change_minor: str
    fees_change_minor: str
    suspense_change_minor: str
    principal_outstanding_minor: str
    interest_receivable_minor: str
    fees_receivable_minor: str
    total_exposure_minor: str
    suspense_minor: str
    reverses_entry_id: str | UnsetType
    external_ref: str | UnsetType
    description: str | UnsetType
    requested_effective_at: str | UnsetType


class LoanStatementQuery(NamedTuple):
    """Which entries: of a loan, effective from a day to a day."""

    loan_id: str
    from_date: str | None
    to_date: str | None


class LoanReached(msgspec.Struct, frozen=True, array_like=True):
    """The last entry that was read, and the newest that counts."""

    effective_at: str
    journal_entry_id: str
    newest_entry_id: str


class LoanPage(NamedTuple):
    """Lines with what is owed before and after them; `reached` is None on the last page."""

    opening: LoanComponents
    lines: list[LoanStatementLine]
    closing: LoanComponents
    reached: LoanReached | None


class LoanStatement:
    """One loan's statement, to be read page by page. See `open_loan_statement`."""

    def __init__(
        self,
        reads: AccountingReads,
        tenant_id: bytes,
        query: LoanStatementQuery,
        terms: LoanTerms,
    ) -> None:
        self._reads = reads
        self._tenant_id = tenant_id
        self._query = query
        self.terms = terms
        # No entry has the first identifier: what precedes it on a day is what the day began with.
        self.start = LoanReached(query.from_date or FIRST_DAY, FIRST_ENTRY, terms.newest_entry_id)

    async def read_page(self, page_size: int, start: LoanReached) -> LoanPage:
        """At most `page_size` lines after `start`."""
        before, changes = await self._reads.loan_changes(
            self._tenant_id,
            self._query.loan_id,
            after_date=start.effective_at,
            after_entry_id=start.journal_entry_id,
            to_date=self._query.to_date,
            newest_entry_id=start.newest_entry_id,
            count=page_size + 1,
        )
        owed = _changed((0, 0, 0, 0), before)
        opening = _components(owed)
        lines = []
        for change in changes[:page_size]:
            owed = _changed(owed, change)
            lines.append(_line(change, _components(owed)))
        reached = None
        if len(changes) > page_size:
            last = lines[-1]
            reached = LoanReached(last.effective_at, last.journal_entry_id, start.newest_entry_id)
        return LoanPage(opening, lines, _components(owed), reached)


async def read_loan(reads: AccountingReads, tenant_id: bytes, loan_id: str) -> Loan | None:
    """What is known of a loan beside its balance; None when there is no such loan."""
    found = await reads.loan(tenant_id, loan_id)
    if found is None:
        return None
    return Loan(
        found.loan_id,
        found.borrower_id,
        found.currency,
        format_timestamp(found.opened_at),
        found.opened_effective_at,
        str(found.disbursed_minor),
        format_timestamp(found.last_activity_at),
    )


async def open_loan_statement(
    reads: AccountingReads, tenant_id: bytes, query: LoanStatementQuery
) -> LoanStatement | None:
    """The loan's statement; None when there is no such loan."""
    terms = await reads.loan_terms(tenant_id, query.loan_id)
    return terms and LoanStatement(reads, tenant_id, query, terms)


Owed = tuple[int, int, int, int]
"""Principal, interest and fees owed, and what is held in suspense."""


def _changed(owed: Owed, change: LoanChange) -> Owed:
    principal, interest, fees, suspense = owed
    return (
        principal + change.principal_minor,
        interest + change.interest_minor,
        fees + change.fees_minor,
        suspense + change.suspense_minor,
    )


def _components(owed: Owed) -> LoanComponents:
    principal, interest, fees, suspense = owed
    return LoanComponents(
        *map(str, (principal, interest, fees, principal + interest + fees, suspense))
    )


def _line(change: LoanChange, after: LoanComponents) -> LoanStatementLine:
    details = shown_details(change.details)
    return LoanStatementLine(
        change.journal_entry_id or "",
        change.event_type,
        change.effective_at,
        format_timestamp(change.posted_at),
        str(change.principal_minor),
        str(change.interest_minor),
        str(change.fees_minor),
        str(change.suspense_minor),
        after.principal_outstanding_minor,
        after.interest_receivable_minor,
        after.fees_receivable_minor,
        after.total_exposure_minor,
        after.suspense_minor,
        change.reverses_entry_id or UNSET,
        details.external_ref,
        details.description,
        details.requested_effective_at,
    )
