"""The chain of blocks, and that every entry stands in exactly one of them.

Two orders: the chain runs by block number, while entries run by identifier, which two writers at
work together may append the other way round. So blocks are read twice.
"""

from typing import NamedTuple

from hpts.domain.blocks import block_hash, genesis_hash, merkle_root
from hpts.store.verify_snapshot import Findings, Row, Snapshot, name_of

POSITION_BITS = 16
"""An entry's position in its block is the last bits of its identifier."""


class Head(NamedTuple):
    """The end of a chain."""

    block_number: int
    previous_hash: bytes
    block_hash: bytes


def check_chain(snapshot: Snapshot, findings: Findings) -> tuple[int, Head]:
    """Walk the chain from block 1 to the head; how many blocks there are and where they end."""
    block_count = 0
    last = Head(0, b"", genesis_hash(snapshot.tenant_id.bytes))
    for number, previous_hash, entries_root, first_entry_id, count, own_hash in snapshot.stream(
        "walk_blocks"
    ):
        block = _block(number)
        if number != last.block_number + 1:
            message = f"follows block {last.block_number}; numbers run from 1 without a gap"
            findings.note("block_number", block, message)
        if previous_hash != last.block_hash:
            message = f"previous_hash is not the hash of block {last.block_number}"
            findings.note("block_chain", block, message)
        if own_hash != _recompute(previous_hash, number, first_entry_id, count, entries_root):
            findings.note("block_hash", block, "block_hash is not the hash of the block")
        last = Head(number, previous_hash, own_hash)
        block_count += 1
    _check_head(snapshot, findings, last)
    return block_count, last


def _check_head(snapshot: Snapshot, findings: Findings, last: Head) -> None:
    row = f"ledger_heads {snapshot.tenant_id}"
    for head in snapshot.stream("read_head"):
        if head != last:
            message = f"says block {head[0]}; the last block is {last.block_number}"
            if head[0] == last.block_number:
                message = f"has other hashes than the last block, {last.block_number}"
            findings.note("ledger_head", row, message)
        return
    findings.note("ledger_head", row, "is missing")


def _recompute(
    previous_hash: bytes, number: int, first_entry_id: bytes, count: int, entries_root: bytes
) -> bytes | None:
    """None for numbers that no block can have."""
    if number < 0 or count < 0:
        return None
    return block_hash(
        previous_hash,
        number,
        first_entry_id=first_entry_id,
        entry_count=count,
        entries_root=entries_root,
    )


class Cover:
    """The blocks in the order of their entries: takes the entries in that order, one by one."""

    def __init__(self, snapshot: Snapshot, findings: Findings) -> None:
        self._blocks = snapshot.stream("walk_blocks_by_entry")
        self._findings = findings
        self._covered_to = -1
        self._hashes: list[bytes] = []
        self._missing: int | None = None
        self._block: Row | None = None
        self._first = self._end = -1
        self._advance()

    def add(self, entry_id: bytes, entry_hash: bytes) -> None:
        """The next entry; entries come in ascending order."""
        number = int.from_bytes(entry_id, "big")
        while self._block is not None and number >= self._end:
            self._close_block(self._block)
        if self._block is None or number < self._first:
            self._findings.note(
                "entry_block", f"journal_entries {name_of(entry_id)}", "stands in no block"
            )
            return
        if number != self._first + len(self._hashes) and self._missing is None:
            self._missing = self._first + len(self._hashes)
        self._hashes.append(entry_hash)

    def finish(self) -> None:
        """Close the blocks behind the last entry."""
        while self._block is not None:
            self._close_block(self._block)

    def _close_block(self, block: Row) -> None:
        number, entries_root, _, count = block
        if len(self._hashes) != count:
            missing = self._first + len(self._hashes) if self._missing is None else self._missing
            message = (
                f"has {len(self._hashes)} of its {count} entries; the first that is missing is "
                f"{name_of(missing.to_bytes(16, 'big'))}"
            )
            self._findings.note("block_entries", _block(number), message)
        elif merkle_root(self._hashes) != entries_root:
            message = "entries_root is not the Merkle root of the hashes of its entries"
            self._findings.note("block_root", _block(number), message)
        self._covered_to = max(self._covered_to, self._end)
        self._advance()

    def _advance(self) -> None:
        self._hashes = []
        self._missing = None
        self._block = next(self._blocks, None)
        if self._block is None:
            return
        number, _, first_entry_id, count = self._block
        self._first = int.from_bytes(first_entry_id, "big")
        self._end = self._first + count
        if self._first < self._covered_to:
            self._findings.note(
                "entry_block", _block(number), "takes entries that stand in another block as well"
            )
        if not 1 <= count <= (1 << POSITION_BITS) - self._first % (1 << POSITION_BITS):
            message = f"has an entry_count of {count}, more or less than a block can have"
            self._findings.note("block_entries", _block(number), message)


def _block(number: int) -> str:
    return f"ledger_blocks {number}"
