"""Reversals: the mirror image, once, and never of a reversal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts._posting import NEGATIVE_BALANCE, Batch
from hpts.domain.entries import CR, DR, EntryFacts, Layer
from hpts.domain.rejections import Refusal, Rejection
from hpts.domain.reversal import OriginalEntry, OriginalLine, Reversal, write_reversal
from tests.domain.books import (
    CHART,
    CLOSED,
    OPEN,
    TODAY,
    TOMORROW,
    TOO_LARGE,
    TOO_LATE,
    Line,
    end,
    loan_id,
    loan_row,
    new_batch,
    posted,
    refused,
)

ENTRY, FLOW = b"entry".ljust(16, b"\0"), b"flow".ljust(16, b"\0")


def reversal(**changes: Any) -> Reversal:
    terms = {"reverses_entry_id": ENTRY, "effective_day": TODAY, "details": b"{}"}
    return Reversal(**terms | changes)


def original(*lines: OriginalLine, **changes: Any) -> OriginalEntry:
    terms = {
        "event_type": b"payment_received",
        "correlation_id": FLOW,
        "loan_id": loan_id(1),
        "is_reversed": False,
        "lines": lines or (line(1000, DR, 5), line(1200, CR, 5)),
    }
    return OriginalEntry(**terms | changes)


def line(
    account: int, direction: int, amount: int, *, loan: int | None = 1, layer: int = Layer.SETTLED
) -> OriginalLine:
    loan_of_line = None if loan is None else loan_id(loan)
    return OriginalLine(account, direction, layer, b"USD", amount, loan_of_line)


def reverse(batch: Batch, entry: OriginalEntry | None, **changes: Any) -> EntryFacts | Refusal:
    return write_reversal(batch, CHART, reversal(**changes), entry, OPEN)


def test_debits_become_credits_on_the_same_accounts_loans_and_layers() -> None:
    batch = new_batch(loan_row(1, principal=10, interest=20, fees=30), loan_row(2))
    entry = original(
        line(1000, DR, 100),
        line(1300, CR, 10),
        line(1200, CR, 20),
        line(1100, CR, 70),
        line(9000, DR, 9, loan=2, layer=Layer.ENCUMBRANCE),
        line(9100, CR, 9, loan=None, layer=Layer.ENCUMBRANCE),
    )
    assert posted(batch, reverse(batch, entry)) == [
        Line(1000, "CR", 100, loan_id(1)),
        Line(1300, "DR", 10, loan_id(1)),
        Line(1200, "DR", 20, loan_id(1)),
        Line(1100, "DR", 70, loan_id(1)),
        Line(9000, "CR", 9, loan_id(2), layer="E"),
        Line(9100, "DR", 9, layer="E"),
    ]
    assert batch.loan_components(0) == (80, 40, 40)


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=20), st.randoms())
def test_the_mirror_of_the_mirror_is_the_original(amounts: list[int], random: Any) -> None:
    accounts = [random.choice((1000, 2000, 2100, 4000)) for _ in amounts]
    pairs = zip(accounts, amounts, strict=True)
    lines = [
        each
        for account, amount in pairs
        for each in (line(account, DR, amount, loan=None), line(2100, CR, amount, loan=None))
    ]
    for _ in range(2):
        batch = new_batch()
        entry = original(*lines, loan_id=None)
        mirrored = posted(batch, reverse(batch, entry))
        lines = [
            line(found.account, DR if found.direction == "DR" else CR, found.amount, loan=None)
            for found in mirrored
        ]
    assert tuple(lines) == original(*lines).lines
    assert [found.account_code for found in lines[::2]] == accounts
    assert [found.direction for found in lines] == [DR, CR] * len(amounts)


def test_it_belongs_to_the_flow_of_the_original() -> None:
    batch = new_batch(loan_row(1))
    assert reverse(batch, original(), effective_day=TOMORROW) == EntryFacts(
        event_type=b"reversal",
        effective_day=TOMORROW,
        details=b"{}",
        correlation_id=FLOW,
        reverses_entry_id=ENTRY,
        loan_id=loan_id(1),
    )


def test_the_reversal_of_an_accrual_is_one_of_many_loans() -> None:
    batch = new_batch(loan_row(1, interest=3), loan_row(2, interest=4))
    entry = original(
        line(1200, DR, 3),
        line(1200, DR, 4, loan=2),
        line(4000, CR, 7, loan=None),
        event_type=b"accrual",
        loan_id=None,
    )
    written = reverse(batch, entry)
    assert isinstance(written, EntryFacts)
    assert (written.loan_id, written.has_many_loans) == (None, True)
    posted(batch, written)
    assert batch.loan_components(0) == batch.loan_components(1) == (0, 0, 0)


def test_a_component_that_would_fall_below_zero_is_refused_by_the_kernel() -> None:
    batch = new_batch(loan_row(1, principal=99))
    entry = original(line(1100, DR, 100), line(2000, CR, 100))
    written = reverse(batch, entry)
    assert isinstance(written, EntryFacts)
    assert end(batch, written) == NEGATIVE_BALANCE
    assert batch.loan_components(0) == (99, 0, 0)


IN_ORDER = [
    ({}, {"effective_day": TOO_LATE}, Rejection.EFFECTIVE_DATE_IN_FUTURE, "effective_at"),
    ({}, {"effective_day": CLOSED}, Rejection.PERIOD_CLOSED, "effective_at"),
    (None, {}, Rejection.ENTRY_NOT_FOUND, "reverses_entry_id"),
    ({"is_reversed": True}, {}, Rejection.ALREADY_REVERSED, "reverses_entry_id"),
    ({"event_type": b"reversal"}, {}, Rejection.NOT_REVERSIBLE, "reverses_entry_id"),
    ({}, {"metadata_bytes": TOO_LARGE}, Rejection.METADATA_TOO_LARGE, "metadata"),
]


@pytest.mark.parametrize("first", range(len(IN_ORDER)))
def test_of_several_refusals_the_first_in_the_table_is_answered(first: int) -> None:
    of_entry, wish = dict[str, Any](), dict[str, Any]()
    is_there = True
    for entry_changes, changes, _, _ in reversed(IN_ORDER[first:]):
        is_there = is_there and entry_changes is not None
        of_entry |= entry_changes or {}
        wish |= changes
    alone_entry, alone, rejection, field = IN_ORDER[first]
    batch = new_batch(loan_row(1))
    single = None if alone_entry is None else original(**alone_entry)
    assert refused(batch, reverse(batch, single, **alone)) == (rejection, [field])
    several = original(**of_entry) if is_there else None
    assert refused(batch, reverse(batch, several, **wish)) == (rejection, [field])


@pytest.mark.parametrize("principal", [99, 100])
def test_a_negative_balance_is_answered_before_metadata_that_is_too_large(principal: int) -> None:
    batch = new_batch(loan_row(1, principal=principal, interest=7), loan_row(2))
    entry = original(
        line(1100, DR, 100),
        line(2000, CR, 100),
        line(1200, CR, 5),
        line(1100, DR, 500, loan=2, layer=Layer.PENDING),
        line(1000, DR, 5, loan=None),
        line(2000, CR, 500, layer=Layer.PENDING),
    )
    rejection, _ = refused(batch, reverse(batch, entry, metadata_bytes=TOO_LARGE))
    is_enough = principal == 100
    assert rejection == (Rejection.METADATA_TOO_LARGE if is_enough else Rejection.NEGATIVE_BALANCE)
    assert batch.loan_components(0) == (principal, 7, 0)
