"""Columns are PostgreSQL arrays of the types that the INSERTs expect, one element a row."""

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpts._posting import POSTED, PostingError, array_of
from tests.kernel.arrays import (
    OID_BYTEA,
    OID_CHAR,
    OID_DATE,
    OID_INT2,
    OID_INT8,
    OID_TEXT,
    OID_UUID,
    decode_array,
)
from tests.kernel.entries import (
    CASH,
    CLEARING,
    CR,
    DAY,
    DR,
    FACTS,
    FIRST_ENTRY_ID,
    INCOME,
    INTEREST,
    PENDING,
    PRINCIPAL,
    SETTLED,
    SUSPENSE,
    borrower_id,
    everything,
    loan_id,
    loan_row,
    new_batch,
    pair,
    post,
)

LINES_PER_ENTRY_MAX = 32_767


@settings(max_examples=100, deadline=None, print_blob=True)
@given(st.integers(0, 2**31 - 1), st.lists(st.one_of(st.none(), st.binary(max_size=9))))
@example(OID_TEXT, [])
@example(OID_TEXT, [None])
@example(OID_TEXT, [b""])
@example(OID_TEXT, [bytes(5000), None, bytes(5000)])
def test_an_array_has_its_elements_and_nulls_in_order(element_type, elements):
    if element_type in (OID_INT8, OID_INT2, OID_DATE):
        element_type = OID_BYTEA
    assert decode_array(array_of(element_type, elements)) == (element_type, elements)


def test_an_array_is_laid_out_as_array_recv_reads_it():
    header = struct.pack("!iiiii", 1, 1, OID_TEXT, 2, 1)
    elements = struct.pack("!i", 3) + b"USD" + struct.pack("!i", -1)
    assert array_of(OID_TEXT, [b"USD", None]) == header + elements
    assert array_of(OID_UUID, []) == struct.pack("!iii", 0, 0, OID_UUID)


@pytest.mark.parametrize("elements", [["text"], [1], [bytearray(1)], None, (b"",)])
def test_an_element_is_bytes_or_none(elements):
    with pytest.raises(TypeError):
        array_of(OID_TEXT, elements)


def test_every_column_has_the_type_that_its_insert_casts_to():
    batch = new_batch(loan_row(0, 5))
    for posted in (False, True):
        if posted:
            assert post(batch, (CASH, DR, 5, b"USD", 0), (PRINCIPAL, CR, 5, b"USD", 0)) == POSTED
        assert [decode_array(column).element_type for column in batch.take_entries()] == [
            *(OID_UUID, OID_TEXT, OID_DATE, OID_UUID, OID_UUID, OID_UUID, OID_TEXT, OID_TEXT),
            *(OID_BYTEA, OID_TEXT, OID_BYTEA, OID_BYTEA),
        ]
        assert [decode_array(column).element_type for column in batch.take_lines()] == [
            *(OID_UUID, OID_INT2, OID_INT2, OID_CHAR, OID_CHAR, OID_TEXT, OID_INT8, OID_UUID),
        ]
        assert [decode_array(column).element_type for column in batch.take_entry_loans()] == [
            *(OID_UUID, OID_UUID, OID_INT2, OID_INT8),
        ]
        assert [decode_array(column).element_type for column in batch.take_loans(False)] == [
            *(OID_UUID, OID_UUID, OID_TEXT, OID_INT8, OID_INT8, OID_INT8, OID_DATE),
        ]
        assert [decode_array(column).element_type for column in batch.take_totals()] == [
            *(OID_INT2, OID_TEXT, OID_CHAR, OID_DATE, OID_INT8, OID_INT8),
        ]


def test_a_batch_without_entries_takes_empty_columns():
    columns = everything(new_batch(loan_row(0, 5)))
    assert columns.pop("size") == (0, 0)
    assert all(rows == [] for rows in columns.values())


def test_the_columns_of_entries_stand_in_the_order_of_the_insert():
    batch = new_batch()
    post(batch, *pair(1))
    post(batch, *pair(1), reverses_entry_id=b"r" * 16, loan_id=b"l" * 16, reply=b"")
    first, second = everything(batch)["entries"]
    assert first == (
        FIRST_ENTRY_ID,
        FACTS["event_type"],
        DAY,
        FACTS["correlation_id"],
        None,
        None,
        FACTS["actor"],
        FACTS["idempotency_key"],
        FACTS["request_digest"],
        FACTS["details"],
        FACTS["reply"],
        batch.entry_hashes[0],
    )
    assert second[0] == FIRST_ENTRY_ID[:15] + b"\x01"
    assert second[4:6] == (b"r" * 16, b"l" * 16)
    assert second[10] == b""


def test_the_next_identifier_is_that_of_the_entry_which_is_posted_next():
    batch = new_batch()
    for position in range(300):
        identifier = batch.next_entry_id()
        assert identifier == FIRST_ENTRY_ID[:14] + position.to_bytes(2, "big")
        with pytest.raises(PostingError):
            post(batch, *pair(0))
        assert batch.next_entry_id() == identifier
        assert post(batch, *pair(1)) == POSTED


def test_lines_are_numbered_from_1_in_each_entry():
    batch = new_batch(loan_row(0, 5))
    post(batch, *pair(1), *pair(2))
    post(batch, (CASH, DR, 5, b"USD", 0, PENDING), (SUSPENSE, CR, 5, b"USD", -1, PENDING))
    first, second = FIRST_ENTRY_ID, FIRST_ENTRY_ID[:15] + b"\x01"
    assert everything(batch)["lines"] == [
        (first, 1, CASH, b"D", b"S", b"USD", 1, None),
        (first, 2, SUSPENSE, b"C", b"S", b"USD", 1, None),
        (first, 3, CASH, b"D", b"S", b"USD", 2, None),
        (first, 4, SUSPENSE, b"C", b"S", b"USD", 2, None),
        (second, 1, CASH, b"D", b"P", b"USD", 5, loan_id(0)),
        (second, 2, SUSPENSE, b"C", b"P", b"USD", 5, None),
    ]


def test_an_entry_has_32_767_lines_and_not_one_more():
    batch = new_batch()
    batch.begin_entry(DAY)
    for _ in range(LINES_PER_ENTRY_MAX - 1):
        batch.line(CASH, DR, 1, b"USD")
    batch.line(INCOME, CR, LINES_PER_ENTRY_MAX - 1, b"USD")
    with pytest.raises(PostingError, match="32,767"):
        batch.line(CASH, DR, 1, b"USD")
    assert batch.end_entry(**FACTS) == POSTED
    assert post(batch, *pair(1)) == POSTED
    lines = everything(batch)["lines"]
    assert [line[1] for line in lines] == [*range(1, LINES_PER_ENTRY_MAX + 1), 1, 2]
    assert lines[-3][2:4] == (INCOME, b"C")


def test_an_accrual_of_many_loans_maps_each_line_to_its_loan():
    count = 10_000
    batch = new_batch(*(loan_row(number, 100) for number in range(count)))
    batch.begin_entry(DAY)
    for loan in range(count):
        batch.line(INTEREST, DR, loan + 1, b"USD", loan, SETTLED, 100)
        batch.mark_accrued(loan, DAY)
    batch.line(INCOME, CR, count * (count + 1) // 2, b"USD")
    assert batch.end_entry(**FACTS) == POSTED
    columns = everything(batch)
    assert columns["entry_loans"] == [
        (loan_id(loan), FIRST_ENTRY_ID, loan + 1, 100) for loan in range(count)
    ]
    assert columns["changed"] == [
        (loan_id(loan), borrower_id(loan), b"USD", 100, loan + 1, 0, DAY) for loan in range(count)
    ]
    total = count * (count + 1) // 2
    assert columns["totals"] == [
        (INTEREST, b"USD", b"S", DAY, total, 0),
        (INCOME, b"USD", b"S", DAY, 0, total),
    ]


def test_opened_loans_and_changed_loans_are_taken_apart():
    batch = new_batch(loan_row(0, 5), loan_row(1, 6))
    batch.begin_entry(DAY)
    opened = batch.open_loan(loan_id(2), borrower_id(2), b"USD")
    batch.line(PRINCIPAL, DR, 9, b"USD", opened)
    batch.line(CLEARING, CR, 9, b"USD", opened)
    assert batch.end_entry(**FACTS) == POSTED
    post(batch, (PRINCIPAL, DR, 1, b"USD", opened), (CLEARING, CR, 1, b"USD", opened))
    post(batch, (CASH, DR, 4, b"USD", 1), (PRINCIPAL, CR, 4, b"USD", 1))
    columns = everything(batch)
    assert columns["opened"] == [(loan_id(2), borrower_id(2), b"USD", 10, 0, 0, None)]
    assert columns["changed"] == [(loan_id(1), borrower_id(1), b"USD", 2, 0, 0, None)]


def test_the_latest_day_accrued_through_is_kept():
    batch = new_batch(loan_row(0, 5, accrued_through=DAY))
    batch.begin_entry(DAY)
    batch.line(INTEREST, DR, 1, b"USD", 0)
    batch.line(INCOME, CR, 1, b"USD")
    batch.mark_accrued(0, DAY - 3)
    assert batch.end_entry(**FACTS) == POSTED
    assert everything(batch)["changed"][0][-1] == DAY


def test_only_the_settled_layer_changes_what_a_loan_owes():
    batch = new_batch(loan_row(0, 5))
    post(batch, (PRINCIPAL, DR, 3, b"USD", 0, PENDING), (CLEARING, CR, 3, b"USD", 0, PENDING))
    assert batch.loan_components(0) == (5, 0, 0)


def test_totals_are_kept_apart_by_account_currency_layer_and_day():
    batch = new_batch()
    keys = [
        (account, currency, layer, day)
        for account in range(-150, 150)
        for currency in (b"USD", b"EUR")
        for layer in (SETTLED, PENDING)
        for day in (DAY, DAY + 1)
    ]
    for account, currency, layer, day in keys * 2:
        lines = (account, DR, 5, currency, -1, layer), (account, CR, 5, currency, -1, layer)
        assert post(batch, *lines, day=day) == POSTED
    assert sorted(everything(batch)["totals"]) == sorted(
        (account, currency, bytes([layer]), day, 10, 10) for account, currency, layer, day in keys
    )
