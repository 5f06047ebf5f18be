"""An in-memory ledger of one tenant, written from rules.md sections 1 to 4 and 8.

Judges each request (a refusal code, or the lines to expect) and answers balances from the lines.
Leaves out overflow, fees and metadata; keeps no totals, so it cannot drift from its own lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

CASH = "1000"
PRINCIPAL = "1100"
INTEREST = "1200"
CLEARING = "2000"
SUSPENSE = "2100"
INTEREST_INCOME = "4000"
ACCOUNTS = (CASH, PRINCIPAL, INTEREST, CLEARING, SUSPENSE, INTEREST_INCOME)
COMPONENTS = (PRINCIPAL, INTEREST)
DEBIT_NORMAL = (CASH, PRINCIPAL, INTEREST)
ACTIVE_CURRENCIES = ("USD", "EUR")


@dataclass(frozen=True)
class Line:
    account_code: str
    direction: str
    amount_minor: int
    currency: str
    loan_id: str | None

    def exchanged(self) -> Line:
        direction = "CR" if self.direction == "DR" else "DR"
        return Line(self.account_code, direction, self.amount_minor, self.currency, self.loan_id)


@dataclass(frozen=True)
class Draft:
    """What a request would post."""

    event_type: str
    effective_at: date
    lines: tuple[Line, ...]
    reverses_entry_id: str | None = None
    accrued_loan_ids: frozenset[str] = frozenset()
    opens: LoanFacts | None = None


@dataclass(frozen=True)
class LoanFacts:
    loan_id: str
    borrower_id: str
    currency: str


@dataclass(frozen=True)
class Entry:
    entry_id: str
    posted_at: str
    draft: Draft


class Refusal(str):
    """The code of the problem to expect."""


class TenantOracle:
    def __init__(self, *, today: date) -> None:
        self.today = today
        self.loans: dict[str, LoanFacts] = {}
        self.entries: dict[str, Entry] = {}

    def disburse(
        self, *, loan: LoanFacts, amount_minor: int, effective_at: date
    ) -> Draft | Refusal:
        known = self.loans.get(loan.loan_id)
        if amount_minor == 0:
            return Refusal("amount_not_positive")
        if loan.currency not in ACTIVE_CURRENCIES:
            return Refusal("unknown_currency")
        if known is not None and (mismatch := self.mismatch(known, loan)):
            return mismatch
        if self.is_in_future(effective_at):
            return Refusal("effective_date_in_future")
        lines = (
            Line(PRINCIPAL, "DR", amount_minor, loan.currency, loan.loan_id),
            Line(CLEARING, "CR", amount_minor, loan.currency, loan.loan_id),
        )
        return Draft("disbursement", effective_at, lines, opens=None if known else loan)

    def pay(self, *, loan: LoanFacts, amount_minor: int, effective_at: date) -> Draft | Refusal:
        known = self.loans.get(loan.loan_id)
        if amount_minor == 0:
            return Refusal("amount_not_positive")
        if loan.currency not in ACTIVE_CURRENCIES:
            return Refusal("unknown_currency")
        if known is None:
            return Refusal("loan_not_found")
        if mismatch := self.mismatch(known, loan):
            return mismatch
        if self.is_in_future(effective_at):
            return Refusal("effective_date_in_future")
        lines = [Line(CASH, "DR", amount_minor, loan.currency, loan.loan_id)]
        rest = amount_minor
        for account_code in (INTEREST, PRINCIPAL):
            part = min(rest, self.component(loan.loan_id, account_code))
            rest -= part
            if part:
                lines.append(Line(account_code, "CR", part, loan.currency, loan.loan_id))
        if rest:
            lines.append(Line(SUSPENSE, "CR", rest, loan.currency, loan.loan_id))
        return Draft("payment_received", effective_at, tuple(lines))

    def accrue(self, *, interest: list[tuple[str, int]], accrual_date: date) -> Draft | Refusal:
        """`interest` holds amounts above zero only; the model does not send all-zero batches."""
        loan_ids = [loan_id for loan_id, _ in interest]
        if any(loan_id not in self.loans for loan_id in loan_ids):
            return Refusal("loan_not_found")
        currencies = {self.loans[loan_id].currency for loan_id in loan_ids}
        if len(currencies) > 1:
            return Refusal("mixed_currencies")
        if len(set(loan_ids)) < len(loan_ids):
            return Refusal("duplicate_loan")
        if not self.accrued_on(accrual_date).isdisjoint(loan_ids):
            return Refusal("already_accrued")
        if self.is_in_future(accrual_date):
            return Refusal("effective_date_in_future")
        (currency,) = currencies
        debits = [Line(INTEREST, "DR", minor, currency, loan_id) for loan_id, minor in interest]
        total = sum(line.amount_minor for line in debits)
        lines = (*debits, Line(INTEREST_INCOME, "CR", total, currency, None))
        return Draft("accrual", accrual_date, lines, accrued_loan_ids=frozenset(loan_ids))

    def reverse(self, *, entry_id: str, effective_at: date) -> Draft | Refusal:
        if self.is_in_future(effective_at):
            return Refusal("effective_date_in_future")
        original = self.entries.get(entry_id)
        if original is None:
            return Refusal("entry_not_found")
        if entry_id in self.reversed_ids():
            return Refusal("already_reversed")
        if original.draft.event_type == "reversal":
            return Refusal("not_reversible")
        lines = tuple(line.exchanged() for line in original.draft.lines)
        for loan_id in {line.loan_id for line in lines if line.loan_id is not None}:
            for account_code in COMPONENTS:
                change = sum(
                    signed(line)
                    for line in lines
                    if (line.loan_id, line.account_code) == (loan_id, account_code)
                )
                if change < 0 and self.component(loan_id, account_code) + change < 0:
                    return Refusal("negative_balance")
        return Draft("reversal", effective_at, lines, reverses_entry_id=entry_id)

    def post(self, draft: Draft, *, entry_id: str, posted_at: str) -> None:
        self.entries[entry_id] = Entry(entry_id, posted_at, draft)
        if draft.opens is not None:
            self.loans[draft.opens.loan_id] = draft.opens

    def component(self, loan_id: str, account_code: str, *, day: date | None = None) -> int:
        return sum(
            signed(line)
            for entry in self.entries_by(day)
            for line in entry.draft.lines
            if (line.loan_id, line.account_code) == (loan_id, account_code)
        )

    def last_activity(self, loan_id: str, *, day: date | None = None) -> str | None:
        instants = [
            entry.posted_at
            for entry in self.entries_by(day)
            if any(line.loan_id == loan_id for line in entry.draft.lines)
        ]
        return instants[-1] if instants else None

    def account(
        self, account_code: str, currency: str, *, day: date | None = None
    ) -> tuple[int, int, int]:
        """All debits, all credits and the normal balance."""
        sides = {"DR": 0, "CR": 0}
        for entry in self.entries_by(day):
            for line in entry.draft.lines:
                if (line.account_code, line.currency) == (account_code, currency):
                    sides[line.direction] += line.amount_minor
        balance = sides["DR"] - sides["CR"]
        normal = balance if account_code in DEBIT_NORMAL else -balance
        return sides["DR"], sides["CR"], normal

    def entries_by(self, day: date | None) -> list[Entry]:
        """In posting order; all that is posted where no day is given."""
        return [
            entry
            for entry in self.entries.values()
            if day is None or entry.draft.effective_at <= day
        ]

    def reversed_ids(self) -> set[str]:
        drafts = (entry.draft for entry in self.entries.values())
        return {draft.reverses_entry_id for draft in drafts if draft.reverses_entry_id}

    def accrued_on(self, accrual_date: date) -> set[str]:
        reversed_ids = self.reversed_ids()
        return {
            loan_id
            for entry in self.entries.values()
            if entry.draft.effective_at == accrual_date and entry.entry_id not in reversed_ids
            for loan_id in entry.draft.accrued_loan_ids
        }

    def is_in_future(self, day: date) -> bool:
        return day > self.today + timedelta(days=1)

    @staticmethod
    def mismatch(known: LoanFacts, given: LoanFacts) -> Refusal | None:
        if known.currency != given.currency:
            return Refusal("currency_mismatch")
        if known.borrower_id != given.borrower_id:
            return Refusal("borrower_mismatch")
        return None


def signed(line: Line) -> int:
    return line.amount_minor if line.direction == "DR" else -line.amount_minor
