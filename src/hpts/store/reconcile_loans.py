"""Portfolio rollup: each loan against what its lines add up to, all of them against the ledger.

What a loan owes by its lines is kept as far as they were read, as is the principal that stood in
`loans` when it was compared: so only loans that were posted to since have to be read again.
"""

import uuid
from collections.abc import Iterable
from typing import Any

import msgspec
import psycopg

from hpts.store.statements import sql

LOAN_DRIFTS_MAX = 20
COMPONENTS = ("principal", "interest", "fees")

Connection = psycopg.Connection[Any]


class LoanDrift(msgspec.Struct, frozen=True):
    """A loan that differs from its lines, and how."""

    loan_id: str
    currency: str
    message: str


class Principal(msgspec.Struct, frozen=True):
    """Principal in one currency, in minor units as text: by the lines, and by the loans."""

    currency: str
    by_ledger_minor: str
    by_loans_minor: str

    @property
    def is_drifted(self) -> bool:
        return self.by_ledger_minor != self.by_loans_minor


def add_all_loan_lines(connection: Connection, tenant_id: uuid.UUID) -> None:
    """Add up the lines of every loan anew."""
    wanted = {"tenant_id": tenant_id}
    connection.execute(sql("delete_reconciliation_loans").encode(), wanted)
    connection.execute(sql("add_all_loan_lines").encode(), wanted)


def add_new_loan_lines(
    connection: Connection, tenant_id: uuid.UUID, *, after_block: int, through_block: int
) -> set[uuid.UUID]:
    """Add the lines of the blocks after one, through another; the loans that they touch."""
    rows = connection.execute(
        sql("add_new_loan_lines").encode(),
        {"tenant_id": tenant_id, "after_block": after_block, "through_block": through_block},
    )
    return {loan_id for (loan_id,) in rows}


def find_loan_drift(
    connection: Connection, tenant_id: uuid.UUID, loan_ids: Iterable[uuid.UUID] | None
) -> list[LoanDrift]:
    """The first of `loan_ids`, or of all loans, that differ from their lines."""
    wanted = _wanted(tenant_id, loan_ids)
    rows = connection.execute(
        sql("find_loan_drift").encode(), {**wanted, "count": LOAN_DRIFTS_MAX}
    ).fetchall()
    return [
        LoanDrift(str(loan_id), currency, _difference(numbers))
        for loan_id, currency, *numbers in rows
    ]


def compare_principal(
    connection: Connection,
    tenant_id: uuid.UUID,
    *,
    loan_ids: Iterable[uuid.UUID] | None,
    compared: dict[str, str],
) -> list[Principal]:
    """Principal by currency. `compared` is what all loans held together when they were compared
    last; only `loan_ids` can have changed since (None: nothing is known of any)."""
    by_loans = {currency: int(minor) for currency, minor in compared.items()}
    wanted = _wanted(tenant_id, loan_ids)
    for currency, change in connection.execute(sql("compare_reconciled_loans").encode(), wanted):
        by_loans[currency] = by_loans.get(currency, 0) + int(change)
    rows = connection.execute(sql("sum_principal").encode(), {"tenant_id": tenant_id}).fetchall()
    by_ledger = {currency: int(minor) for currency, minor in rows}
    return [
        Principal(currency, str(by_ledger.get(currency, 0)), str(by_loans.get(currency, 0)))
        for currency in sorted({*by_ledger, *by_loans})
    ]


def _wanted(tenant_id: uuid.UUID, loan_ids: Iterable[uuid.UUID] | None) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "all_loans": loan_ids is None,
        "loan_ids": list(loan_ids or ()),
    }


def _difference(numbers: list[Any]) -> str:
    if numbers[0] is None:
        return "is missing, and lines name it"
    differing = [
        f"{name} is {numbers[2 * at]}; its lines add up to {numbers[2 * at + 1]}"
        for at, name in enumerate(COMPONENTS)
        if numbers[2 * at] != numbers[2 * at + 1]
    ]
    return "; ".join(differing) or "has no line"
