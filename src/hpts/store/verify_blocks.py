"""The chain of blocks, and that every entry stands in exactly one of them.

Two orders: the chain runs by block number, while entries run by identifier, which two writers at
work together may append the other way round. So blocks are read twice.
"""

from collections.abc import Mapping
from typing import NamedTuple

from hpts._hashing import Leaves
from hpts.domain.blocks import GROUP, TILE, block_hash
from hpts.domain.merkle import merkle_root, roots_of
from hpts.store.verify_periods import Closings
from hpts.store.verify_snapshot import Findings, Row, Snapshot, name_of

POSITION_BITS = 16
"""An entry's position in its block is the last bits of its identifier."""


class Head(NamedTuple):
    """The end of a chain."""

    block_number: int
    previous_hash: bytes
    block_hash: bytes


def check_chain(
    snapshot: Snapshot, findings: Findings, known: Mapping[int, bytes]
) -> tuple[int, Head]:
    """Walk the chain to the head; how many blocks were walked and where they end.

    `known` are hashes by block number that must stand there: 0 is what block 1 follows.
    """
    block_count = 0
    tiles = _Tiles()
    last = Head(snapshot.from_block - 1, b"", known.get(snapshot.from_block - 1, b""))
    missing = dict(known)
    for number, previous_hash, entries_root, first_entry_id, count, own_hash in snapshot.stream(
        "walk_blocks"
    ):
        block = _block(number)
        if number != last.block_number + 1:
            message = f"follows block {last.block_number}; numbers run from 1 without a gap"
            findings.note("block_number", block, message)
        if last.block_hash and previous_hash != last.block_hash:
            message = f"previous_hash is not the hash of block {last.block_number}"
            findings.note("block_chain", block, message)
        if own_hash != _recompute(previous_hash, number, first_entry_id, count, entries_root):
            findings.note("block_hash", block, "block_hash is not the hash of the block")
        if missing.pop(number, own_hash) != own_hash:
            findings.note("block_chain", block, "block_hash is not what it was when verified last")
        last = Head(number, previous_hash, own_hash or b"")
        tiles.add(number, last.block_hash)
        block_count += 1
    for number in missing.keys() - {0}:
        findings.note("block_chain", _block(number), "was verified before and is missing")
    _check_head(snapshot, findings, last)
    tiles.check(snapshot, findings)
    return block_count, last


class _Tiles:
    """The tiles over the blocks, as migration 8 says them."""

    def __init__(self) -> None:
        self._roots: dict[tuple[int, int], bytes] = {}
        self._hashes: list[bytes] = []

    def add(self, number: int, own_hash: bytes) -> None:
        """The next block of the chain."""
        self._hashes.append(own_hash)
        if number % TILE:
            return
        self._roots[1, number // TILE - 1] = merkle_root(self._hashes)
        self._hashes = []
        if number % GROUP == 0:
            last = number // TILE
            below = {
                (at, at + 1): self._roots.get((1, last - TILE + at), b"") for at in range(TILE)
            }
            self._roots[2, last // TILE - 1] = roots_of(below)(0, TILE)

    def check(self, snapshot: Snapshot, findings: Findings) -> None:
        """Hold the kept tiles against those of the blocks."""
        for level, number, root in snapshot.stream("walk_block_tiles"):
            if self._roots.pop((level, number), None) != root:
                message = "root is not that of the blocks below"
                findings.note("block_tiles", f"block_tiles level {level} tile {number}", message)
        for level, number in sorted(self._roots):
            findings.note("block_tiles", f"block_tiles level {level} tile {number}", "is missing")


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
    """None for what no block can have."""
    if (
        number < 0
        or count is None
        or count < 0
        or None in (previous_hash, first_entry_id, entries_root)
    ):
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
        self.leaves = Leaves()
        """Of the block where the entry stands that was reached last."""
        self._blocks = snapshot.stream("walk_blocks_by_entry")
        self._findings = findings
        self._closings = Closings(snapshot)
        self._covered_to = -1
        self._missing: int | None = None
        self._block: Row | None = None
        self._first = self._end = -1
        self._advance()

    def reach(self, entry_id: bytes) -> int | None:
        """The number of the block where an entry stands, if any, which may come next; entries come
        in ascending order."""
        number = int.from_bytes(entry_id, "big")
        while self._block is not None and number >= self._end:
            self._close_block(self._block)
        if self._block is None or number < self._first:
            return None
        block_number: int = self._block[0]
        return block_number

    def add(self, entry_id: bytes, entry_hash: bytes, day: int | None) -> int | None:
        """The next entry, which nobody has vouched for. The number of its block, if any."""
        block_number = self.reach(entry_id)
        if block_number is None:
            self._findings.note(
                "entry_block", f"journal_entries {name_of(entry_id)}", "stands in no block"
            )
            return None
        wanted = self._first + self.leaves.count
        if int.from_bytes(entry_id, "big") != wanted and self._missing is None:
            self._missing = wanted
        self.leaves.add(entry_hash)
        closing = self._closings.before(block_number)
        if closing and day is not None and day <= closing.closed_through:
            message = (
                f"came in block {block_number} into what period_records {closing.record_number} "
                "had closed before"
            )
            row = f"journal_entries {name_of(entry_id)}"
            self._findings.note("closed_periods", row, message)
        return block_number

    def finish(self) -> None:
        """Close the blocks behind the last entry."""
        while self._block is not None:
            self._close_block(self._block)

    def _close_block(self, block: Row) -> None:
        number, entries_root, _, count = block
        found = self.leaves.count
        if found != count:
            missing = self._first + found if self._missing is None else self._missing
            message = (
                f"has {found} of its {count} entries; the first that is missing is "
                f"{name_of(missing.to_bytes(16, 'big'))}"
            )
            self._findings.note("block_entries", _block(number), message)
        elif self.leaves.root() != entries_root:
            message = "entries_root is not the Merkle root of the hashes of its entries"
            self._findings.note("block_root", _block(number), message)
        self._covered_to = max(self._covered_to, self._end)
        self._advance()

    def _advance(self) -> None:
        self._missing = None
        self._block = next(self._blocks, None)
        if self._block is None:
            return
        number, _, first_entry_id, count = self._block
        self._first = int.from_bytes(first_entry_id or b"", "big")
        self._end = self._first + (count or 0)
        closing = self._closings.before(number)
        open_from = (closing.open_from,) if closing else ()
        self.leaves.begin(number, self._first.to_bytes(16, "big"), count or 0, *open_from)
        if self._first < self._covered_to:
            self._findings.note(
                "entry_block", _block(number), "takes entries that stand in another block as well"
            )
        if not 1 <= (count or 0) <= (1 << POSITION_BITS) - self._first % (1 << POSITION_BITS):
            message = f"has an entry_count of {count}, more or less than a block can have"
            self._findings.note("block_entries", _block(number), message)


def _block(number: int) -> str:
    return f"ledger_blocks {number}"
