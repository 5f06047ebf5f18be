"""The hashes of a tenant's ledger: what an entry's covers, byte for byte, and a block's."""

from collections.abc import Iterable
from hashlib import sha256
from struct import Struct

TILE = 256
"""Blocks a tile of level 1 of the tree over them, and tiles of level 1 a tile of level 2."""
GROUP = TILE * TILE
"""Blocks a tile of level 2."""


def genesis_hash(tenant_id: bytes) -> bytes:
    """What block 1 of a tenant follows."""
    return sha256(tenant_id).digest()


def block_hash(
    previous_hash: bytes,
    block_number: int,
    *,
    first_entry_id: bytes,
    entry_count: int,
    entries_root: bytes,
) -> bytes:
    """The hash that append_block.sql computes in the database."""
    return sha256(
        previous_hash
        + block_number.to_bytes(8, "big")
        + first_entry_id
        + entry_count.to_bytes(4, "big")
        + entries_root
    ).digest()


def principals_digest(accrued: Iterable[tuple[bytes, int]]) -> str:
    """SHA-256 in hexadecimal of the principals that an accrual was computed on: loan id (16 bytes)
    and minor units (16 bytes), line by line. An accrual's details carry it."""
    return sha256(
        b"".join(loan_id + principal.to_bytes(16, "big") for loan_id, principal in accrued)
    ).hexdigest()


CanonicalLine = tuple[int, int, bytes, bytes, bytes, int, bytes | None]
"""sequence, account_code, direction, layer, currency, amount_minor, loan_id."""


def canonical_entry(
    *,
    tenant_id: bytes,
    effective_day: int,
    posted_at: int,
    journal_entry_id: bytes,
    event_type: bytes,
    correlation_id: bytes | None,
    reverses_entry_id: bytes | None,
    loan_id: bytes | None,
    actor: bytes,
    idempotency_key: bytes,
    request_digest: bytes,
    details: bytes,
    reply: bytes,
    lines: Iterable[CanonicalLine],
) -> bytes:
    """What an entry's hash (SHA-256) covers, byte for byte as docs/PROOFS.md writes it down.

    The auditor's own way to it: what writes the same bytes in C shares no code with this.
    Raises ValueError for a currency that is not three bytes long.
    """
    length = _LENGTH.pack
    parts = [
        tenant_id,
        _ENTRY_HEAD.pack(effective_day, posted_at),
        length(len(journal_entry_id)),
        journal_entry_id,
        length(len(event_type)),
        event_type,
        *(_NO_FIELD if correlation_id is None else (length(len(correlation_id)), correlation_id)),
        *(
            _NO_FIELD
            if reverses_entry_id is None
            else (length(len(reverses_entry_id)), reverses_entry_id)
        ),
        *(_NO_FIELD if loan_id is None else (length(len(loan_id)), loan_id)),
        length(len(actor)),
        actor,
        length(len(idempotency_key)),
        idempotency_key,
        length(len(request_digest)),
        request_digest,
        length(len(details)),
        details,
        length(len(reply)),
        reply,
    ]
    parts += map(_pack_line, lines)
    return b"".join(parts)


def _pack_line(line: CanonicalLine) -> bytes:
    sequence, account_code, direction, layer, currency, amount_minor, loan_id = line
    if len(currency) != 3:  # pack would cut it, and two entries could share a hash
        raise ValueError(f"line {sequence} has a currency of {len(currency)} bytes")
    return _LINE.pack(
        sequence, account_code, direction, layer, currency, amount_minor, loan_id or _NO_LOAN
    )


_ENTRY_HEAD = Struct(">iq")
_LENGTH = Struct(">i")
_LINE = Struct(">hhcc3sq16s")
_NO_FIELD = (_LENGTH.pack(-1),)
_NO_LOAN = bytes(16)
