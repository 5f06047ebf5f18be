"""Comparing whole loan journals, page by page, with the entries that the oracle remembers.

An accrual's entry may be answered with the lines of all its loans; only the loan's own count here.
"""

from collections.abc import Mapping
from datetime import date

import msgspec

from hpts.demo.client import Ledger
from hpts.demo.concurrency import await_all
from hpts.demo.findings import Findings
from hpts.demo.oracle import LoanEntry, Oracle
from hpts.demo.payloads import JournalEntry, JournalEntryPage
from hpts.demo.portfolio import Loan, Portfolio

JOURNALS_COMPARED = 8
"""A history of accruals carries every line of its batches where the server answers them whole."""
PAGE_SIZE = 40

_decode_page = msgspec.json.Decoder(JournalEntryPage).decode

EntrySummary = tuple[str, str, date, tuple[tuple[str, str, str], ...]]
"""Entry id, event type, effective day, and (account, direction, amount) of the loan's lines."""


async def check_journals(
    ledger: Ledger,
    portfolio: Portfolio,
    oracle: Oracle,
    entry_ids: Mapping[str, str],
    to: Findings,
) -> None:
    """`entry_ids`: what the ledger called each entry when it was posted, by idempotency key."""

    async def check(loan: Loan) -> None:
        said = await _read_journal(ledger, loan.loan_id)
        expected = [
            _summarise_expected(entry, entry_ids)
            for entry in reversed(oracle.journals[loan.loan_id])
        ]
        _compare_journal(loan, said, expected, to)

    await await_all(check(loan) for loan in portfolio.audited[:JOURNALS_COMPARED])


async def _read_journal(ledger: Ledger, loan_id: str) -> list[EntrySummary]:
    path = f"/loans/{loan_id}/journal-entries?page_size={PAGE_SIZE}"
    found: list[EntrySummary] = []
    token: str | None = ""
    while token is not None:
        page = _decode_page(await ledger.get(f"{path}&page_token={token}" if token else path))
        summaries = [_summarise(entry, loan_id) for entry in page.items]
        # A loan whose interest was 0 that day may or may not be named by the batch's entry.
        found += [summary for summary in summaries if summary[3]]
        token = page.next_page_token
    return found


def _summarise(entry: JournalEntry, loan_id: str) -> EntrySummary:
    own = tuple(
        (line.account_code, line.direction, line.amount_minor)
        for line in entry.lines
        if line.loan_id == loan_id
    )
    return entry.journal_entry_id, entry.event_type, entry.effective_at, own


def _summarise_expected(entry: LoanEntry, entry_ids: Mapping[str, str]) -> EntrySummary:
    own = tuple((line.account_code, line.direction, str(line.amount_minor)) for line in entry.lines)
    return entry_ids.get(entry.key, "unknown"), entry.event_type, entry.effective_at, own


def _compare_journal(
    loan: Loan, said: list[EntrySummary], expected: list[EntrySummary], to: Findings
) -> None:
    what = f"journal of loan {loan.loan_id}"
    to.compare("journals", f"{what}: entry count", ledger=len(said), oracle=len(expected))
    for number, (actual, known) in enumerate(zip(said, expected, strict=False), 1):
        to.compare("journal entries", f"{what}, newest {number}", ledger=actual, oracle=known)
