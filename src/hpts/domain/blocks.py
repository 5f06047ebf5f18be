"""The hashes of a tenant's ledger: of an entry, of the tree over a block's entries, of a block.

The tree is RFC 6962's: leaves and nodes are told apart by their first byte, so that neither can
pass for the other.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from struct import Struct


def merkle_root(entry_hashes: Sequence[bytes]) -> bytes:
    """Root over the entry hashes in posting order, at least one. Source: RFC 6962, section 2.1."""
    level = [sha256(b"\x00" + entry_hash).digest() for entry_hash in entry_hashes]
    while len(level) > 1:
        paired = [
            sha256(b"\x01" + level[at] + level[at + 1]).digest()
            for at in range(0, len(level) - 1, 2)
        ]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


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
    """What an entry's hash (SHA-256) covers, byte for byte as docs/ARCHITECTURE.md writes it down.

    The auditor's own way to it: the kernel writes the same bytes in C and shares no code with this.
    Raises ValueError for a currency that is not three bytes long.
    """
    parts = [tenant_id, _ENTRY_HEAD.pack(effective_day, posted_at)]
    for field in (
        journal_entry_id,
        event_type,
        correlation_id,
        reverses_entry_id,
        loan_id,
        actor,
        idempotency_key,
        request_digest,
        details,
        reply,
    ):
        parts.append(_NO_FIELD if field is None else _LENGTH.pack(len(field)) + field)
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
_NO_FIELD = _LENGTH.pack(-1)
_NO_LOAN = bytes(16)
