"""What the statements of the simulated database share: whose rows they see, locks, cells."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .columns import int4, int8
from .database import TABLE, Blocked, LoanRow, Refused, Tenant

if TYPE_CHECKING:
    from .session import Session


Parameters = Sequence[bytes | None]
UNIQUE_VIOLATION, CHECK_VIOLATION, OUT_OF_RANGE, READ_ONLY = "23505", "23514", "22003", "25006"
PERIOD_CLOSED_MEANWHILE = "HP001"
NO, YES = b"\0", b"\1"


def tenant_of(session: "Session", parameters: Parameters) -> Tenant:
    """The tenant whose rows the transaction sees, which the statement must name."""
    tenant = entered(session)
    if parameters[0] != tenant.tenant_id:
        session.database.loop.complain("a statement names another tenant than its transaction")
    return tenant


def entered(session: "Session") -> Tenant:
    assert session.tenant is not None, "no tenant was entered"
    return session.tenant


def may_write(session: "Session") -> None:
    if session.database.is_read_only:
        raise Refused(READ_ONLY)


def may_lock(session: "Session") -> None:
    may_write(session)
    if session.database.is_locked(TABLE, session):
        raise Blocked(TABLE)


def checked(loan: LoanRow) -> LoanRow:
    if min(loan.principal, loan.interest, loan.fees) < 0:
        raise Refused(CHECK_VIOLATION)
    return loan


def status_of(tenant: Tenant) -> bytes:
    return b"active" if tenant.is_active else b"suspended"


def loan_cells(loan_id: bytes, loan: LoanRow) -> tuple[bytes | None, ...]:
    through = loan.accrued_through
    return (
        loan_id,
        loan.borrower_id,
        loan.currency,
        int8(loan.principal),
        int8(loan.interest),
        int8(loan.fees),
        None if through is None else int4(through),
    )


NO_CELLS = (None,) * 6


def first_of(row: Sequence[Any]) -> Any:
    return row[0]


def bytes_of(cell: bytes | None) -> bytes:
    assert cell is not None
    return cell


def text_of(cell: bytes | None) -> str:
    return bytes_of(cell).decode()
