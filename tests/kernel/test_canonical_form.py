"""The canonical form is for ever: every byte that an entry's hash covers, written out by hand.

A change here means that the hashes of entries already posted can no longer be recomputed.
"""

from hashlib import sha256

import pytest

from hpts._posting import POSTED, Batch
from hpts.domain.blocks import canonical_entry
from tests.kernel.entries import CR, DR, borrower_id, loan_row
from tests.kernel.oracle import OracleLine, OracleLoan, canonical_form

TENANT_ID = bytes(range(16))
ENTRY_ID = bytes.fromhex("0190a0b0c0d07001a0b0c0d0e0f00000")
CORRELATION_ID = bytes.fromhex("0190a0b0c0d07002a0b0c0d0e0f00000")
REVERSED_ID = bytes.fromhex("0190a0b0c0d07003a0b0c0d0e0f00000")
LOAN_ID = loan_row(7)[0]
DIGEST = bytes(range(32))
EFFECTIVE_DAY = -1
POSTED_AT = 0x0002_DAAF_0123_4567

WRITTEN_OUT = "".join(
    (
        "000102030405060708090a0b0c0d0e0f",  # tenant id
        "ffffffff",  # effective day: 1999-12-31
        "0002daaf01234567",  # posted at
        "00000010" + "0190a0b0c0d07001a0b0c0d0e0f00000",  # entry id
        "00000008" + b"reversal".hex(),  # event type
        "00000010" + "0190a0b0c0d07002a0b0c0d0e0f00000",  # correlation id
        "00000010" + "0190a0b0c0d07003a0b0c0d0e0f00000",  # reversed entry id
        "ffffffff",  # loan id: none
        "00000000",  # actor: empty, not none
        "00000003" + b"key".hex(),  # idempotency key
        "00000020" + bytes(range(32)).hex(),  # request digest
        "00000002" + b"{}".hex(),  # details
        "00000005" + b"reply".hex(),  # reply
        # sequence, account, direction, layer, currency, amount, loan id
        "0001" + "044c" + "44" + "53" + "555344" + "7fffffffffffffff" + b"loan".hex(),
        "000000000000000000000007",
        "0002" + "ffff" + "43" + "53" + "555344" + "7fffffffffffffff" + "00" * 16,
    )
)


def posted() -> Batch:
    batch = Batch(TENANT_ID, ENTRY_ID, POSTED_AT, 1100, 1200, 1300)
    batch.load_loans([loan_row(7)])
    batch.begin_entry(EFFECTIVE_DAY)
    batch.line(1100, DR, 2**63 - 1, b"USD", 0)
    batch.line(-1, CR, 2**63 - 1, b"USD")
    status = batch.end_entry(
        event_type=b"reversal",
        correlation_id=CORRELATION_ID,
        reverses_entry_id=REVERSED_ID,
        loan_id=None,
        actor=b"",
        idempotency_key=b"key",
        request_digest=DIGEST,
        details=b"{}",
        reply=b"reply",
    )
    assert status == POSTED
    return batch


def test_an_entry_is_hashed_over_exactly_these_bytes():
    assert posted().entry_hashes == [sha256(bytes.fromhex(WRITTEN_OUT)).digest()]


def test_the_oracle_writes_the_same_form():
    fields = [ENTRY_ID, b"reversal", CORRELATION_ID, REVERSED_ID, None, b"", b"key", DIGEST, b"{}"]
    lines = [
        OracleLine(1100, DR, 2**63 - 1, b"USD", 0),
        OracleLine(-1, CR, 2**63 - 1, b"USD"),
    ]
    loans = [OracleLoan(LOAN_ID, borrower_id(7), b"USD", [0, 0, 0])]
    form = canonical_form(TENANT_ID, EFFECTIVE_DAY, POSTED_AT, [*fields, b"reply"], lines, loans)
    assert form.hex() == WRITTEN_OUT


def test_the_hash_stands_beside_the_entry():
    batch = posted()
    assert batch.take_entries()[-1].endswith(batch.entry_hashes[0])


def test_a_currency_that_is_not_three_bytes_has_no_canonical_form() -> None:
    """Cut to three bytes, two different lines would share a hash."""
    with pytest.raises(ValueError, match="line 1 has a currency of 4 bytes"):
        canonical_entry(
            tenant_id=bytes(16),
            effective_day=0,
            posted_at=0,
            journal_entry_id=bytes(16),
            event_type=b"disbursement",
            correlation_id=None,
            reverses_entry_id=None,
            loan_id=None,
            actor=b"",
            idempotency_key=b"",
            request_digest=b"",
            details=b"{}",
            reply=b"",
            lines=[(1, 1100, b"D", b"S", b"USDX", 1, None)],
        )
