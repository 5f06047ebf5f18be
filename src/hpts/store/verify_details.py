"""What an entry's hashed details say, held against the rows that repeat it.

These are whose a loan is, and the own day of an accrual that a closed period moved.
Details that were altered are left to the entry's hash.
"""

import datetime
import uuid

import msgspec

from hpts.domain.entries import day_of
from hpts.store.verify_snapshot import Findings, Snapshot, name_of


class _KeptDetails(msgspec.Struct, frozen=True):
    borrower_id: str | None = None
    requested_effective_at: datetime.date | None = None


def check_details(snapshot: Snapshot, findings: Findings) -> None:
    """Walk the disbursements and accruals."""
    for entry_id, event_type, details, loan_id, borrower_id, day in snapshot.stream(
        "walk_kept_details"
    ):
        try:
            kept = msgspec.json.decode(details or b"", type=_KeptDetails)
            if event_type == b"accrual":
                _check_day(findings, entry_id, kept.requested_effective_at, day)
            elif kept.borrower_id is not None and loan_id is not None:
                _check_borrower(findings, loan_id, kept.borrower_id, borrower_id)
        except (msgspec.MsgspecError, ValueError):
            continue
    for (entry_id,) in snapshot.stream("find_stray_moved_accruals"):
        findings.note("moved_accruals", _moved(entry_id), "belongs to no accrual")


def _check_borrower(
    findings: Findings, loan_id: bytes, said: str, borrower_id: bytes | None
) -> None:
    if uuid.UUID(said).bytes != borrower_id:
        shown = "NULL" if borrower_id is None else name_of(borrower_id)
        message = f"borrower_id is {shown}; its disbursements say {said}"
        findings.note("loan_borrower", f"loans {name_of(loan_id)}", message)


def _check_day(
    findings: Findings, entry_id: bytes, said: datetime.date | None, day: int | None
) -> None:
    if said is None and day is not None:
        findings.note("moved_accruals", _moved(entry_id), "is of an accrual that was not moved")
    elif said is not None and day is None:
        findings.note("moved_accruals", _moved(entry_id), f"is missing; it was moved from {said}")
    elif said is not None and day != day_of(said):
        findings.note("moved_accruals", _moved(entry_id), f"accrual_date is not {said}")


def _moved(entry_id: bytes) -> str:
    return f"moved_accruals {name_of(entry_id)}"
