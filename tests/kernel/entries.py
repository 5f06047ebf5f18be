"""Short ways to build a batch and post entries to it, the same for the kernel and for its
oracle.
"""

from typing import Any

from hpts._posting import Batch
from tests.kernel.arrays import Cell, decode_array

CASH, PRINCIPAL, INTEREST, FEES, CLEARING, SUSPENSE, INCOME = (
    1000,
    1100,
    1200,
    1300,
    2000,
    2100,
    4000,
)
DR, CR = ord("D"), ord("C")
SETTLED, PENDING = ord("S"), ord("P")
DAY = 9_000
INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)
TENANT_ID = b"tenant".ljust(16, b"\x01")
FIRST_ENTRY_ID = b"first-entry-id".ljust(16, b"\0")
POSTED_AT = 800_000_000_000_000
FACTS: dict[str, Any] = {
    "event_type": b"payment_received",
    "correlation_id": b"correlation".ljust(16, b"\x02"),
    "reverses_entry_id": None,
    "loan_id": None,
    "actor": b"servicer",
    "idempotency_key": b"key",
    "request_digest": b"digest".ljust(32, b"\x03"),
    "details": b"{}",
    "reply": b'{"status":"posted"}',
}


def loan_id(number: int) -> bytes:
    return b"loan" + number.to_bytes(12, "big")


def borrower_id(number: int) -> bytes:
    return b"lent" + number.to_bytes(12, "big")


def loan_row(
    number: int,
    principal: int = 0,
    interest: int = 0,
    fees: int = 0,
    currency: bytes = b"USD",
    accrued_through: int | None = None,
) -> tuple[bytes | None, ...]:
    """A loan as the driver hands it over."""
    owed = (amount.to_bytes(8, "big", signed=True) for amount in (principal, interest, fees))
    through = None if accrued_through is None else accrued_through.to_bytes(4, "big", signed=True)
    return (loan_id(number), borrower_id(number), currency, *owed, through)


def new_batch(*loans: tuple[bytes | None, ...]) -> Batch:
    batch = Batch(TENANT_ID, FIRST_ENTRY_ID, POSTED_AT, PRINCIPAL, INTEREST, FEES)
    batch.load_loans(list(loans))
    return batch


def post(batch: Batch, *lines: tuple[Any, ...], day: int = DAY, **facts: Any) -> int:
    """Begin an entry, add the lines (as `Batch.line` takes them) and end it."""
    batch.begin_entry(day)
    for line in lines:
        batch.line(*line)
    return batch.end_entry(**{**FACTS, **facts})


def pair(amount: int, *, debit: int = CASH, credit: int = SUSPENSE) -> tuple[tuple[Any, ...], ...]:
    """The smallest balanced entry."""
    return (debit, DR, amount, b"USD"), (credit, CR, amount, b"USD")


def rows(columns: list[bytes]) -> list[tuple[Cell, ...]]:
    return list(zip(*(decode_array(column).elements for column in columns), strict=True))


def everything(batch: Any) -> dict[str, Any]:
    """All that a batch would write, decoded; its entries are taken by this."""
    return {
        "size": batch.size,
        "hashes": batch.entry_hashes,
        "entries": rows(batch.take_entries()),
        "lines": rows(batch.take_lines()),
        "entry_loans": rows(batch.take_entry_loans()),
        "opened": rows(batch.take_loans(is_new=True)),
        "changed": rows(batch.take_loans(is_new=False)),
        "totals": rows(batch.take_totals()),
    }
