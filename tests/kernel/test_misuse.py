"""What a batch is asked out of turn, or given out of its bounds, raises and writes nothing."""

import copy
import pickle
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from hpts._posting import Batch, PostingError, array_of
from tests.kernel.entries import (
    DAY,
    FACTS,
    FEES,
    FIRST_ENTRY_ID,
    INT64_MIN,
    INTEREST,
    POSTED_AT,
    PRINCIPAL,
    TENANT_ID,
    borrower_id,
    everything,
    loan_id,
    loan_row,
    new_batch,
    pair,
    post,
)

ROOT = Path(__file__).parents[2]


def test_a_batch_has_an_identifier_for_65_536_entries_and_no_more():
    batch = new_batch()
    for _ in range(65_536):
        post(batch, *pair(1))
    with pytest.raises(PostingError, match="65,536"):
        batch.begin_entry(DAY)
    identifiers = [row[0] for row in everything(batch)["entries"]]
    assert identifiers[0] == FIRST_ENTRY_ID
    assert identifiers[-1] == FIRST_ENTRY_ID[:14] + b"\xff\xff"
    assert len(set(identifiers)) == 65_536


def test_a_first_identifier_leaves_room_for_the_positions():
    with pytest.raises(PostingError, match="position"):
        Batch(TENANT_ID, FIRST_ENTRY_ID[:15] + b"\x01", POSTED_AT, PRINCIPAL, INTEREST, FEES)


@pytest.mark.parametrize("size", [0, 15, 17])
def test_an_identifier_is_16_bytes(size):
    identifier = bytes(size)
    with pytest.raises(PostingError):
        Batch(identifier, FIRST_ENTRY_ID, POSTED_AT, PRINCIPAL, INTEREST, FEES)
    with pytest.raises(PostingError):
        Batch(TENANT_ID, identifier, POSTED_AT, PRINCIPAL, INTEREST, FEES)
    batch = new_batch()
    batch.begin_entry(DAY)
    with pytest.raises(PostingError):
        batch.open_loan(identifier, borrower_id(1), b"USD")
    with pytest.raises(PostingError):
        batch.open_loan(loan_id(1), identifier, b"USD")
    with pytest.raises(PostingError):
        batch.open_loan(loan_id(1), borrower_id(1), b"USDT")
    assert batch.find_loan(loan_id(1)) == -1


@pytest.mark.parametrize(
    "broken",
    [
        loan_row(1)[:3] + (b"", b"", b"", None),
        loan_row(1)[:5] + (b"\0" * 7, None),
        loan_row(1)[:6] + (b"\0" * 3,),
        loan_row(1)[:3] + (None, None, None, None),
        loan_row(1)[:6],
        loan_row(1, -1),
        loan_row(0),
    ],
    ids=["empty", "short amount", "short day", "null", "no day", "negative", "twice"],
)
def test_a_loan_that_the_database_cannot_have_sent_is_not_loaded(broken):
    batch = new_batch(loan_row(0, 5))
    with pytest.raises((PostingError, TypeError, ValueError)):
        batch.load_loans([broken])
    assert batch.find_loan(loan_id(1)) == -1
    assert batch.loan_components(0) == (5, 0, 0)
    with pytest.raises(PostingError):
        batch.loan_components(1)


def test_loans_are_not_loaded_into_an_open_entry():
    batch = new_batch()
    batch.begin_entry(DAY)
    with pytest.raises(PostingError, match="an entry is open"):
        batch.load_loans([loan_row(0, 5)])


@pytest.mark.parametrize("amount", [0, -1, INT64_MIN])
def test_only_a_positive_amount_is_allocated(amount):
    with pytest.raises(PostingError, match="above zero"):
        new_batch(loan_row(0, 5)).allocate(0, amount)


@pytest.mark.parametrize("loan", [-1, 1, 2**31 - 1, -(2**31)])
def test_a_loan_is_named_by_its_index_in_the_batch(loan):
    batch = new_batch(loan_row(0, 5))
    for ask in (batch.loan_terms, batch.loan_components, lambda at: batch.allocate(at, 1)):
        with pytest.raises(PostingError, match="not in this batch"):
            ask(loan)


def test_a_loan_is_opened_by_an_entry():
    with pytest.raises(PostingError, match="no entry is open"):
        new_batch().open_loan(loan_id(1), borrower_id(1), b"USD")


def test_an_entry_is_ended_before_the_next_begins():
    batch = new_batch()
    batch.begin_entry(DAY)
    with pytest.raises(PostingError, match="an entry is open"):
        batch.begin_entry(DAY)


def test_an_element_longer_than_postgresql_takes_is_refused():
    with pytest.raises(ValueError, match="at most"):
        array_of(17, [b"small", bytes(2**30)])


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_batch_is_neither_copied_nor_pickled(duplicate):
    with pytest.raises(TypeError, match="cannot pickle"):
        duplicate(new_batch())


def test_a_field_that_an_entry_must_have_is_not_null():
    batch = new_batch()
    batch.begin_entry(DAY)
    for name in FACTS.keys() - {"reverses_entry_id", "loan_id"}:
        with pytest.raises(TypeError):
            batch.end_entry(**{**FACTS, name: None})


def test_a_batch_without_memory_refuses_lines_and_never_writes_past_its_end():
    """The line after a failed one must not use memory that was never obtained."""
    program = textwrap.dedent(
        f"""
        import resource
        from tests.kernel.entries import CASH, CR, DR, FACTS, SUSPENSE, new_batch, pair, post
        batch = new_batch()
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * {resource.getpagesize()} + 32 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        failures = 0
        lines = 0
        batch.begin_entry(1)
        while failures < 100_000:
            try:
                batch.line(CASH, DR, 1, b"USD")
                lines += 1
                if lines % 32_000 == 0:
                    batch.line(SUSPENSE, CR, 32_000, b"USD")
                    batch.end_entry(**FACTS)
                    batch.begin_entry(1)
            except MemoryError:
                failures += 1
        print("refused")
        """
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "refused\n"), ran.stderr
