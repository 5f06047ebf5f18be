"""The kernel in plain Python: unbounded integers, copies instead of undoing, each rule once.

It shares no code with the kernel and is in no hurry. Sums are taken exactly and then compared with
int64, an entry is worked out on a copy of the books and the copy is kept only when it is posted.
"""

import copy
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

POSTED, AMOUNT_OVERFLOW, NEGATIVE_BALANCE = range(3)
INT64_MAX = 2**63 - 1
DEBIT, CREDIT, SETTLED = ord("D"), ord("C"), ord("S")
LINES_PER_ENTRY_MAX = 32_767
SIDES_PER_ENTRY_MAX = 64
NO_LOAN = -1


class NoEntry(Exception):
    """Where the kernel raises PostingError."""


@dataclass
class OracleLine:
    account: int
    direction: int
    amount: int
    currency: bytes
    loan: int = NO_LOAN
    layer: int = SETTLED
    outstanding_principal: int = -1


@dataclass
class OracleLoan:
    loan_id: bytes
    borrower_id: bytes
    currency: bytes
    components: list[int]
    accrued_through: int | None = None
    is_new: bool = False
    is_touched: bool = False


@dataclass
class Books:
    """What an entry changes."""

    loans: list[OracleLoan] = field(default_factory=list)
    totals: dict[tuple[int, bytes, int, int], list[int]] = field(default_factory=dict)


class OracleBatch:
    """Batch, method by method; the columns come out as rows (see `everything`)."""

    def __init__(
        self,
        tenant_id: bytes,
        first_entry_id: bytes,
        posted_at: int,
        principal_account: int,
        interest_account: int,
        fees_account: int,
    ) -> None:
        self.tenant_id = tenant_id
        self.first_entry_id = int.from_bytes(first_entry_id, "big")
        self.posted_at = posted_at
        self.component_accounts = [principal_account, interest_account, fees_account]
        self.kept = Books()
        self.books = self.kept
        self.posted: list[tuple[list[Any], list[OracleLine]]] = []
        self.entry_hashes: list[bytes] = []

    def load_loans(self, rows: list[tuple[bytes | None, ...]]) -> None:
        for loan_id, borrower_id, currency, *owed, through in rows:
            components = [struct.unpack("!q", cell)[0] for cell in owed]
            day = None if through is None else struct.unpack("!i", through)[0]
            self.kept.loans.append(OracleLoan(loan_id, borrower_id, currency, components, day))

    def open_loan(self, loan_id: bytes, borrower_id: bytes, currency: bytes) -> int:
        opened = OracleLoan(loan_id, borrower_id, currency, [0, 0, 0], is_new=True)
        self.books.loans.append(opened)
        return len(self.books.loans) - 1

    def find_loan(self, loan_id: bytes) -> int:
        loan_ids = [loan.loan_id for loan in self.books.loans]
        return loan_ids.index(loan_id) if loan_id in loan_ids else NO_LOAN

    def loan_terms(self, loan: int) -> tuple[bytes, bytes]:
        return self.books.loans[loan].borrower_id, self.books.loans[loan].currency

    def loan_components(self, loan: int) -> tuple[int, ...]:
        return tuple(self.books.loans[loan].components)

    def mark_accrued(self, loan: int, day: int) -> None:
        through = self.books.loans[loan].accrued_through
        self.books.loans[loan].accrued_through = day if through is None else max(through, day)

    def allocate(self, loan: int, amount: int) -> tuple[int, int, int, int]:
        principal, interest, fees = self.books.loans[loan].components
        to_fees = min(amount, fees)
        to_interest = min(amount - to_fees, interest)
        to_principal = min(amount - to_fees - to_interest, principal)
        return to_fees, to_interest, to_principal, amount - to_fees - to_interest - to_principal

    def next_entry_id(self) -> bytes:
        return (self.first_entry_id + len(self.posted)).to_bytes(16, "big")

    def begin_entry(self, effective_day: int) -> None:
        self.effective_day = effective_day
        self.lines: list[OracleLine] = []
        self.books = copy.deepcopy(self.kept)

    def line(self, *terms: Any) -> None:
        if len(self.lines) == LINES_PER_ENTRY_MAX:
            raise NoEntry
        line = OracleLine(*terms)
        if not -INT64_MAX - 1 <= line.amount <= INT64_MAX:
            raise OverflowError
        self.lines.append(line)

    def drop_entry(self) -> None:
        self.books = self.kept

    def end_entry(self, **facts: bytes | None) -> int:
        try:
            status = self._check() or self._apply()
            if status == POSTED:
                self._keep(list(facts.values()))
            return status
        finally:
            self.books = self.kept

    def _check(self) -> int:
        if len(self.lines) < 2 or any(line.amount <= 0 for line in self.lines):
            raise NoEntry
        sums: dict[tuple[bytes, int, int], int] = defaultdict(int)
        for line in self.lines:
            if line.direction not in (DEBIT, CREDIT):
                raise NoEntry
            sums[line.currency, line.layer, line.direction] += line.amount
        sides = {key[:2] for key in sums}
        overflows = max(sums.values()) > INT64_MAX
        balances = all(sums[*side, DEBIT] == sums[*side, CREDIT] for side in sides)
        if len(sides) > SIDES_PER_ENTRY_MAX or not (balances or overflows):
            raise NoEntry
        if any(self._is_foreign(line) for line in self.lines):
            raise NoEntry
        return AMOUNT_OVERFLOW if overflows else POSTED

    def _component(self, line: OracleLine) -> int | None:
        changes = line.loan != NO_LOAN and line.layer == SETTLED
        if changes and line.account in self.component_accounts:
            return self.component_accounts.index(line.account)
        return None

    def _is_foreign(self, line: OracleLine) -> bool:
        if self._component(line) is None:
            return False
        return self.books.loans[line.loan].currency != line.currency

    def _apply(self) -> int:
        for line in self.lines:
            key = (line.account, line.currency, line.layer, self.effective_day)
            total = self.books.totals.setdefault(key, [0, 0])
            total[line.direction == CREDIT] += line.amount
            component = self._component(line)
            if component is not None:
                owed = self.books.loans[line.loan].components
                owed[component] += line.amount if line.direction == DEBIT else -line.amount
        touched = [self.books.loans[line.loan] for line in self.lines if line.loan != NO_LOAN]
        sound = [loan for loan in touched if min(loan.components) >= 0]
        sums = [sum(loan.components) for loan in sound]
        sums += [amount for loan in touched for amount in loan.components]
        sums += [amount for total in self.books.totals.values() for amount in total]
        if max(sums) > INT64_MAX:
            return AMOUNT_OVERFLOW
        return POSTED if len(sound) == len(touched) else NEGATIVE_BALANCE

    def _keep(self, facts: list[bytes | None]) -> None:
        fields = [self.next_entry_id(), *facts]
        form = canonical_form(
            self.tenant_id, self.effective_day, self.posted_at, fields, self.lines, self.books.loans
        )
        self.entry_hashes.append(sha256(form).digest())
        self.posted.append(
            ([*fields[:2], self.effective_day, *fields[2:], self.entry_hashes[-1]], self.lines)
        )
        for line in self.lines:
            if line.loan != NO_LOAN:
                self.books.loans[line.loan].is_touched = True
        self.kept = self.books

    def everything(self) -> dict[str, Any]:
        """What `entries.everything` decodes from the kernel's columns."""
        numbered = [
            (fields[0], at, line, self._loan_id(line))
            for fields, lines in self.posted
            for at, line in enumerate(lines, 1)
        ]
        return {
            "size": (len(self.posted), len(numbered)),
            "hashes": self.entry_hashes,
            "entries": [tuple(fields) for fields, _ in self.posted],
            "lines": [
                (entry_id, at, line.account, bytes([line.direction]), bytes([line.layer]))
                + (line.currency, line.amount, loan_id)
                for entry_id, at, line, loan_id in numbered
            ],
            "entry_loans": [
                (loan_id, entry_id, at, _none_below_zero(line.outstanding_principal))
                for entry_id, at, line, loan_id in numbered
                if loan_id is not None
            ],
            "opened": self._loans(is_new=True),
            "changed": self._loans(is_new=False),
            "totals": [
                (account, currency, bytes([layer]), day, debit, credit)
                for (account, currency, layer, day), (debit, credit) in self.kept.totals.items()
            ],
        }

    def _loan_id(self, line: OracleLine) -> bytes | None:
        return None if line.loan == NO_LOAN else self.kept.loans[line.loan].loan_id

    def _loans(self, *, is_new: bool) -> list[tuple[Any, ...]]:
        return [
            (loan.loan_id, loan.borrower_id, loan.currency, *loan.components, loan.accrued_through)
            for loan in self.kept.loans
            if loan.is_touched and loan.is_new == is_new
        ]


def canonical_form(
    tenant_id: bytes,
    effective_day: int,
    posted_at: int,
    fields: list[bytes | None],
    lines: list[OracleLine],
    loans: list[OracleLoan],
) -> bytes:
    """The bytes that an entry's hash covers, in network byte order, with nothing between them.

    Tenant id, day from 2000-01-01 (4), microseconds from 2000-01-01 UTC (8); each field as a length
    of 4 bytes and itself, or -1 for none; each line in 33 bytes.
    """
    form = struct.pack("!16siq", tenant_id, effective_day, posted_at)
    for value in fields:
        form += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    for sequence, line in enumerate(lines, 1):
        loan_id = bytes(16) if line.loan == NO_LOAN else loans[line.loan].loan_id
        form += struct.pack(
            "!hhBB3sq16s",
            sequence,
            line.account,
            line.direction,
            line.layer,
            line.currency,
            line.amount,
            loan_id,
        )
    return form


def _none_below_zero(amount: int) -> int | None:
    return None if amount < 0 else amount
