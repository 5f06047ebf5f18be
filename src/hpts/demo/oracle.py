"""What the ledger should say: every loan's components, every account's totals.

Written from the contract's rules with plain integers; shares no code with the server. Entries are
applied in posting order; answers about a past day go by effective date.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

import msgspec

from hpts.demo import accounts


class Line(NamedTuple):
    account_code: str
    direction: str
    amount_minor: int
    loan_id: str | None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One expected journal entry; `key` is its idempotency key and names it in the demo."""

    key: str
    event_type: str
    currency: str
    effective_at: date
    lines: tuple[Line, ...]


class LoanEntry(NamedTuple):
    """An entry as one loan's journal shows it: only the lines of that loan."""

    key: str
    event_type: str
    effective_at: date
    lines: tuple[Line, ...]


class Components(msgspec.Struct):
    principal_minor: int = 0
    interest_minor: int = 0
    fees_minor: int = 0

    @property
    def total_minor(self) -> int:
        return self.principal_minor + self.interest_minor + self.fees_minor


class Totals(msgspec.Struct):
    debits_minor: int = 0
    credits_minor: int = 0


COMPONENT_OF_ACCOUNT = {
    accounts.PRINCIPAL: "principal_minor",
    accounts.INTEREST: "interest_minor",
    accounts.FEES: "fees_minor",
}


class Oracle:
    """`audited` are the loans whose journal is kept whole; for the rest only today's components."""

    def __init__(self, audited: Iterable[str] = ()) -> None:
        self.loans: defaultdict[str, Components] = defaultdict(Components)
        self.journals: dict[str, list[LoanEntry]] = {loan_id: [] for loan_id in audited}
        self._totals: defaultdict[tuple[str, str, date], Totals] = defaultdict(Totals)

    def post(self, entry: Entry) -> None:
        """Apply one entry. Raises ValueError where the demo itself broke a rule of the ledger."""
        if _signed_sum(entry.lines):
            raise ValueError(f"{entry.key}: debits and credits differ")
        for line in entry.lines:
            self._add_to_totals(entry, line)
            if line.loan_id is not None:
                self._add_to_loan(self.loans[line.loan_id], line)
        self._record(entry)

    def account(self, code: str, currency: str, *, as_of: date = date.max) -> Totals:
        """The account's debits and credits effective on or before `as_of`."""
        found = Totals()
        for (line_code, line_currency, day), totals in self._totals.items():
            if (line_code, line_currency) == (code, currency) and day <= as_of:
                found.debits_minor += totals.debits_minor
                found.credits_minor += totals.credits_minor
        return found

    def loan_as_of(self, loan_id: str, as_of: date) -> Components:
        """An audited loan's components by effective date; may be negative after backdating."""
        found = Components()
        for entry in self.journals[loan_id]:
            if entry.effective_at <= as_of:
                for line in entry.lines:
                    _change_component(found, line)
        return found

    def _add_to_totals(self, entry: Entry, line: Line) -> None:
        totals = self._totals[line.account_code, entry.currency, entry.effective_at]
        if line.direction == "DR":
            totals.debits_minor += line.amount_minor
        else:
            totals.credits_minor += line.amount_minor

    def _add_to_loan(self, components: Components, line: Line) -> None:
        if _change_component(components, line) < 0:
            raise ValueError(f"loan {line.loan_id}: {line.account_code} would fall below zero")

    def _record(self, entry: Entry) -> None:
        for loan_id in self.journals.keys() & {line.loan_id for line in entry.lines}:
            own = tuple(line for line in entry.lines if line.loan_id == loan_id)
            self.journals[loan_id].append(
                LoanEntry(entry.key, entry.event_type, entry.effective_at, own)
            )


def allocate(owed: Components, amount_minor: int) -> tuple[int, int, int, int]:
    """(fees, interest, principal, suspense): each takes what it is owed, suspense the rest."""
    fees = min(amount_minor, owed.fees_minor)
    interest = min(amount_minor - fees, owed.interest_minor)
    principal = min(amount_minor - fees - interest, owed.principal_minor)
    return fees, interest, principal, amount_minor - fees - interest - principal


def mirror(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The lines of a reversal: every debit a credit and every credit a debit."""
    return tuple(
        line._replace(direction="CR" if line.direction == "DR" else "DR") for line in lines
    )


def _signed_sum(lines: Sequence[Line]) -> int:
    return sum(
        line.amount_minor if line.direction == "DR" else -line.amount_minor for line in lines
    )


def _change_component(components: Components, line: Line) -> int:
    """The component after the line; 0 for an account that is no component of a loan."""
    name = COMPONENT_OF_ACCOUNT.get(line.account_code)
    if name is None:
        return 0
    change = line.amount_minor if line.direction == "DR" else -line.amount_minor
    after: int = getattr(components, name) + change
    setattr(components, name, after)
    return after
