"""Reversal: every line of an entry again with debit and credit exchanged. Once, and never of a
reversal.
"""

import msgspec

from hpts._posting import Batch, PostingError
from hpts.domain.accounts import Chart
from hpts.domain.entries import CR, DR, EntryFacts, Layer, check_metadata
from hpts.domain.loans import NO_LOAN
from hpts.domain.periods import Calendar
from hpts.domain.rejections import Refusal, Rejection, refuse


class Reversal(msgspec.Struct, frozen=True, kw_only=True):
    """The wish to undo an entry. Identifiers are 16 bytes, the day counts from 2000-01-01."""

    reverses_entry_id: bytes
    effective_day: int
    details: bytes
    metadata_bytes: int = 0


class OriginalLine(msgspec.Struct, frozen=True):
    """A line as it was posted; direction and layer are the letters in the database."""

    account_code: int
    direction: int
    layer: int
    currency: bytes
    amount_minor: int
    loan_id: bytes | None


class OriginalEntry(msgspec.Struct, frozen=True):
    """The entry to be reversed, as the journal has it."""

    event_type: bytes
    correlation_id: bytes
    loan_id: bytes | None
    is_reversed: bool
    lines: tuple[OriginalLine, ...]


def write_reversal(
    batch: Batch,
    chart: Chart,
    reversal: Reversal,
    original: OriginalEntry | None,
    calendar: Calendar,
) -> EntryFacts | Refusal:
    """The mirrored lines, in an entry left open; or a refusal and no entry.

    Whether a component would fall below zero, the kernel says when the entry ends.
    """
    if refusal := calendar.check(reversal.effective_day):
        return refusal
    if original is None:
        return refuse(
            Rejection.ENTRY_NOT_FOUND, "reverses_entry_id", "is not an entry of this ledger"
        )
    if refusal := _check_original(original):
        return refusal
    if refusal := check_metadata(reversal.metadata_bytes):
        # The kernel will not see this entry, and its refusal would come before this one.
        return _check_components(batch, chart, original) or refusal
    day = calendar.entry_day(reversal.effective_day)
    batch.begin_entry(day)
    for line in original.lines:
        batch.line(
            line.account_code,
            CR if line.direction == DR else DR,
            line.amount_minor,
            line.currency,
            _index_of(batch, line.loan_id),
            line.layer,
        )
    return EntryFacts(
        event_type=b"reversal",
        effective_day=day,
        details=reversal.details,
        correlation_id=original.correlation_id,
        reverses_entry_id=reversal.reverses_entry_id,
        loan_id=original.loan_id,
        has_many_loans=original.loan_id is None,
    )


def _index_of(batch: Batch, loan_id: bytes | None) -> int:
    if loan_id is None:
        return NO_LOAN
    loan = batch.find_loan(loan_id)
    if loan == NO_LOAN:
        raise PostingError("a loan of the original entry was not locked")
    return loan


def _check_original(original: OriginalEntry) -> Refusal | None:
    if original.is_reversed:
        return refuse(
            Rejection.ALREADY_REVERSED,
            "reverses_entry_id",
            "was reversed; an entry is reversed once",
        )
    if original.event_type == b"reversal":
        return refuse(
            Rejection.NOT_REVERSIBLE,
            "reverses_entry_id",
            "is a reversal; post the original event again instead",
        )
    return None


def _check_components(batch: Batch, chart: Chart, original: OriginalEntry) -> Refusal | None:
    components = (chart.principal_receivable, chart.interest_receivable, chart.fees_receivable)
    owed: dict[bytes, list[int]] = {}
    for line in original.lines:
        loan_id = line.loan_id
        if loan_id and line.layer == Layer.SETTLED and line.account_code in components:
            if loan_id not in owed:
                owed[loan_id] = list(batch.loan_components(batch.find_loan(loan_id)))
            change = -line.amount_minor if line.direction == DR else line.amount_minor
            owed[loan_id][components.index(line.account_code)] += change
    if all(min(after) >= 0 for after in owed.values()):
        return None
    return Refusal(Rejection.NEGATIVE_BALANCE)
