"""The loans of one tenant under load, and the bodies of what is posted on them.

Everything is drawn from a seed. A client pays loans that it shares with all others, and one loan of
its own whose balance it can therefore foretell; accruals go to loans that nobody pays, so that
each of them can be reversed.
"""

import itertools
import random
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from .record import Posting, Record, drawn_identifier

PRINCIPAL_MINOR = 10**12
SHARED_LOANS = 10
ACCRUED_LOANS = 20
ACCRUED_AT_ONCE_MAX = 12
FIRST_ACCRUAL = date(2001, 1, 1)


class Loan(NamedTuple):
    loan_id: str
    borrower_id: str


class Portfolio:
    """A tenant's loans, and its record. To be used on one thread."""

    def __init__(self, tenant_id: str, token: str, seed: str) -> None:
        self.tenant_id = tenant_id
        self.token = token
        self.record = Record(tenant_id)
        self._numbers = itertools.count(1)
        self._seed = seed
        self.shared = [self.new_loan() for _ in range(SHARED_LOANS)]
        self.accrued = [self.new_loan() for _ in range(ACCRUED_LOANS)]
        self._accruals = itertools.count()

    def new_loan(self) -> Loan:
        number = next(self._numbers)
        return Loan(
            drawn_identifier(self.tenant_id, self._seed, "loan", number),
            drawn_identifier(self.tenant_id, self._seed, "borrower", number),
        )

    def disbursement(self, loan: Loan, amount_minor: int) -> Posting:
        body = _loan_body(loan, amount_minor) | {"method": "wire"}
        return self._new("disbursements", body, amount_minor)

    def payment(self, loan: Loan, amount_minor: int) -> Posting:
        body = _loan_body(loan, amount_minor) | {"source_method": "ach"}
        return self._new("payments", body, amount_minor)

    def payment_in_another_currency(self, loan: Loan, amount_minor: int) -> Posting:
        """To be refused, whatever else happens."""
        body = _loan_body(loan, amount_minor) | {"source_method": "ach", "currency": "EUR"}
        return self._new("payments", body, amount_minor, refusal="currency_mismatch")

    def accrual(self, draw: random.Random) -> Posting:
        """Of a day that no other accrual is for."""
        day = FIRST_ACCRUAL + timedelta(days=next(self._accruals))
        loans = draw.sample(self.accrued, draw.randint(1, ACCRUED_AT_ONCE_MAX))
        interests = [draw.randint(1, 90_000) for _ in loans]
        body: dict[str, object] = {
            "program_id": drawn_identifier(self.tenant_id, "program"),
            "accrual_date": day.isoformat(),
            "day_count_convention": "ACT_365",
            "loans": [
                {
                    "loan_id": loan.loan_id,
                    "outstanding_principal_minor": str(PRINCIPAL_MINOR),
                    "interest_minor": str(interest),
                }
                for loan, interest in zip(loans, interests, strict=True)
            ],
        }
        return self._new("accruals/batch", body, sum(interests))

    def reversal(self, posted: Posting) -> Posting:
        body: dict[str, object] = {
            "reverses_entry_id": posted.entry_id,
            "reason_code": "error_correction",
            "reason_description": "drawn by lot",
            "effective_at": _today(),
        }
        return self._new("reversals", body, posted.amount_minor)

    def _new(
        self, path: str, body: dict[str, object], amount_minor: int, refusal: str | None = None
    ) -> Posting:
        key = f"{path}:{self._seed}:{next(self._numbers)}".replace("/", ".")
        return self.record.new(path, key, body, amount_minor, refusal)


def _loan_body(loan: Loan, amount_minor: int) -> dict[str, object]:
    return {
        "loan_id": loan.loan_id,
        "borrower_id": loan.borrower_id,
        "amount_minor": str(amount_minor),
        "currency": "USD",
        "effective_at": _today(),
    }


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
