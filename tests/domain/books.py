"""Books of a few loans, and what a rule writes into them, as the lines of the journal."""

from typing import Any, NamedTuple

from hpts._posting import POSTED, Batch
from hpts.domain.accounts import TEMPLATE, chart_of
from hpts.domain.entries import EntryFacts
from hpts.domain.limits import AMOUNT_MINOR_MAX, METADATA_BYTES_MAX
from hpts.domain.periods import Calendar
from hpts.domain.rejections import Refusal, Rejection
from tests.kernel.entries import FACTS, borrower_id, loan_id, loan_row, new_batch, rows

CHART = chart_of(TEMPLATE)
TODAY = 9_820
TOMORROW = TODAY + 1
CLOSED = TODAY - 1_000
OPEN = Calendar(TODAY, CLOSED)
"""The days after CLOSED are open."""
TOO_LATE = TODAY + 2
TOO_MUCH = AMOUNT_MINOR_MAX + 1
TOO_LARGE = METADATA_BYTES_MAX + 1
STRANGER = loan_id(404)

__all__ = ["borrower_id", "loan_id", "loan_row", "new_batch"]


class Line(NamedTuple):
    """A line as rules.md, section 2, speaks of it."""

    account: int
    direction: str
    amount: int
    loan: bytes | None = None
    currency: str = "USD"
    layer: str = "S"


def posted(batch: Batch, written: EntryFacts | Refusal) -> list[Line]:
    """The lines of the entry that a rule left open, once the kernel has taken it."""
    assert isinstance(written, EntryFacts), written
    assert end(batch, written) == POSTED
    return lines_of(batch)


def end(batch: Batch, written: EntryFacts) -> int:
    facts: dict[str, Any] = FACTS | {
        "event_type": written.event_type,
        "loan_id": written.loan_id,
        "reverses_entry_id": written.reverses_entry_id,
        "details": written.details,
    }
    return batch.end_entry(**facts)


def lines_of(batch: Batch) -> list[Line]:
    """The lines of the batch's only entry, in their order, numbered from 1."""
    found = rows(batch.take_lines())
    assert [sequence for _, sequence, *_ in found] == list(range(1, len(found) + 1))
    assert len({entry for entry, *_ in found}) == 1
    return [
        Line(account, sides[direction], amount, loan, currency.decode(), layer.decode())
        for _, _, account, direction, layer, currency, amount, loan in found
    ]


sides = {b"D": "DR", b"C": "CR"}


def refused(batch: Batch, written: EntryFacts | Refusal) -> tuple[Rejection, list[str]]:
    """Why, and the fields at fault; a refusal leaves no entry open and none behind."""
    assert isinstance(written, Refusal), written
    assert all(error.code == written.rejection.value for error in written.errors)
    assert all(error.message for error in written.errors)
    assert batch.size == (0, 0)
    batch.begin_entry(TODAY)  # raises when one is open
    batch.drop_entry()
    return written.rejection, [error.field for error in written.errors]
