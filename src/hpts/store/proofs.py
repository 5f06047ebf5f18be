"""What proofs are made of: a tenant's tree over its blocks, and an entry's place in its block.

However long the chain, a proof reads at most some hundred rows beside the tiles of level 2, one for
65,536 blocks. A tree of n blocks is the same for ever, so nothing here needs a snapshot.
"""

from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

from hpts.domain.blocks import GROUP, TILE, canonical_entry
from hpts.domain.merkle import (
    consistency_path,
    inclusion_path,
    leaf_hash,
    roots_of,
)
from hpts.store.tenancy import RunForTenant
from hpts.store.wire import Rows, Step

_int16, _int32, _int64 = Struct(">h"), Struct(">i"), Struct(">q")


class BlockRow(NamedTuple):
    """A block; the names are the columns'."""

    block_number: int
    previous_hash: bytes
    entries_root: bytes
    first_entry_id: bytes
    entry_count: int


class EntryProof(NamedTuple):
    """An entry as it was hashed, its block, its position there from 0, the path to its root."""

    canonical_entry: bytes
    block: BlockRow
    position: int
    path: list[bytes]


class BlockTree:
    """The tree over the first `size` blocks of a tenant; its leaves are the block hashes."""

    def __init__(self, size: int, known: dict[tuple[int, int], bytes]) -> None:
        self.size = size
        self._root_of = roots_of(known)

    @property
    def root(self) -> bytes:
        return self._root_of(0, self.size)

    def inclusion_path(self, block_number: int) -> list[bytes]:
        """From a block that the tree was read for."""
        return inclusion_path(block_number - 1, self.size, self._root_of)

    def consistency_path(self, old_size: int) -> list[bytes]:
        """From an older size that the tree was read for."""
        return consistency_path(old_size, self.size, self._root_of)


class Proofs:
    """The queries behind proofs and checkpoints. All raise TenantUnknown, ConnectionLost,
    StatementFailed and PoolBusy."""

    def __init__(self, run: RunForTenant) -> None:
        self._run = run

    async def last_block_number(self, tenant_id: bytes) -> int:
        """Where the tenant's chain ends, 0 before its first posting."""
        (heads,) = await self._run(tenant_id, Step("read_last_block", (tenant_id,)))
        return _int64.unpack(heads[0][0] or b"")[0] if heads else 0

    async def tree(self, tenant_id: bytes, size: int, *near: int) -> BlockTree:
        """The tree over the first `size` blocks, 1 or more of them and all there, with what paths
        from the leaves at `near` (indexes from 0) need."""
        steps = [
            Step("read_block_hashes", (tenant_id, _int64.pack(start + 1), _int64.pack(end)))
            for start, end in _tiles({size - 1, *near}, TILE, size)
        ]
        steps += [
            _tiles_step(tenant_id, 1, start, end)
            for start, end in _tiles(
                {size // TILE, *(at // TILE for at in near)}, TILE, size // TILE
            )
        ]
        steps.append(_tiles_step(tenant_id, 2, 0, size // GROUP))
        known: dict[tuple[int, int], bytes] = {}
        for step, rows in zip(steps, await self._run(tenant_id, *steps), strict=True):
            if step.statement == "read_block_tiles":
                known.update(map(_tile, rows))
                continue
            for cell, block_hash in rows:
                number = _int64.unpack(cell or b"")[0]
                known[number - 1, number] = leaf_hash(block_hash or b"")
        return BlockTree(size, known)

    async def entry(self, tenant_id: bytes, entry_id: bytes) -> EntryProof | None:
        """An entry's place in its block, or None where there is no such entry."""
        entries, lines, blocks = await self._run(
            tenant_id,
            Step("read_hashed_entry", (tenant_id, entry_id)),
            Step("read_hashed_lines", (tenant_id, entry_id)),
            Step("read_block_of_entry", (tenant_id, entry_id)),
        )
        if not entries:
            return None
        block = _block(blocks)
        first = int.from_bytes(block.first_entry_id, "big")
        last_entry_id = (first + block.entry_count - 1).to_bytes(16, "big")
        (hashes,) = await self._run(
            tenant_id,
            Step("read_entry_hashes", (tenant_id, block.first_entry_id, last_entry_id)),
        )
        leaves = {
            (at, at + 1): leaf_hash(entry_hash or b"") for at, (entry_hash,) in enumerate(hashes)
        }
        index = int.from_bytes(entry_id, "big") - first
        path = inclusion_path(index, block.entry_count, roots_of(leaves))
        return EntryProof(_canonical(tenant_id, entries, lines), block, index, path)


def _tiles(positions: Iterable[int], width: int, end: int) -> list[tuple[int, int]]:
    """The ranges of `width` that hold the positions, cut off at `end`, without empty ones."""
    starts = sorted({position // width * width for position in positions})
    return [(start, min(start + width, end)) for start in starts if start < end]


def _tiles_step(tenant_id: bytes, level: int, start: int, end: int) -> Step:
    parameters = (tenant_id, _int16.pack(level), _int64.pack(start), _int64.pack(end - 1))
    return Step("read_block_tiles", parameters)


def _tile(row: tuple[bytes | None, ...]) -> tuple[tuple[int, int], bytes]:
    level, number, root = row
    width = TILE ** _int16.unpack(level or b"")[0]
    start = _int64.unpack(number or b"")[0] * width
    return (start, start + width), root or b""


def _block(rows: Rows) -> BlockRow:
    number, previous_hash, entries_root, first_entry_id, count = rows[0]
    return BlockRow(
        _int64.unpack(number or b"")[0],
        previous_hash or b"",
        entries_root or b"",
        first_entry_id or b"",
        _int32.unpack(count or b"")[0],
    )


def _canonical(tenant_id: bytes, entries: Rows, lines: Rows) -> bytes:
    day, posted_at, entry_id, event_type, correlation, reverses, loan_id, *texts = entries[0]
    actor, idempotency_key, request_digest, details, reply = (text or b"" for text in texts)
    return canonical_entry(
        tenant_id=tenant_id,
        effective_day=_int32.unpack(day or b"")[0],
        posted_at=_int64.unpack(posted_at or b"")[0],
        journal_entry_id=entry_id or b"",
        event_type=event_type or b"",
        correlation_id=correlation,
        reverses_entry_id=reverses,
        loan_id=loan_id,
        actor=actor,
        idempotency_key=idempotency_key,
        request_digest=request_digest,
        details=details,
        reply=reply,
        lines=[
            (
                _int16.unpack(sequence or b"")[0],
                _int16.unpack(account or b"")[0],
                direction or b"",
                layer or b"",
                currency or b"",
                _int64.unpack(amount or b"")[0],
                loan,
            )
            for sequence, account, direction, layer, currency, amount, loan in lines
        ],
    )
