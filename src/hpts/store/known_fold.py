"""Folds the chain into totals by when entries were posted, block by block, and no posting waits.

Each block once, in the chain's order, under the lock of the tenant's progress, so several workers
may try. A batch that commits late belongs to the slice of its identifiers, wherever that is: totals
are sums. No slice begins before an entry that is folded, or its lines would stand in the wrong one.
"""

import datetime
import uuid
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from hpts.domain.entries import MICROSECONDS_PER_DAY, date_of, day_at
from hpts.domain.identifiers import UNIX_TO_2000_MICROSECONDS, first_identifier
from hpts.domain.limits import FOLDED_BLOCKS_MAX, FOLDED_SLICES_MAX, SLICE_LINES
from hpts.store.admin_requests import AdminConnection, AdminRequests
from hpts.store.statements import sql

NOTHING = uuid.UUID(int=0)


class _Block(NamedTuple):
    number: int
    first_entry_id: uuid.UUID
    entry_count: int

    @property
    def last_entry_id(self) -> uuid.UUID:
        return uuid.UUID(int=self.first_entry_id.int + self.entry_count - 1)


async def fold_all(database_url: str, tenant_id: bytes) -> int:
    """Fold until nothing is left, or another worker is at it; how many blocks that were. Raises as
    AdminRequests.transaction."""
    count = 0
    while folded := await fold_some(database_url, tenant_id):
        count += folded
    return count


async def fold_some(
    database_url: str,
    tenant_id: bytes,
    *,
    slice_lines: int = SLICE_LINES,
    slices_max: int = FOLDED_SLICES_MAX,
) -> int:
    """Fold the next blocks in one transaction, those of some slices; how many they were."""
    count = 0
    async with AdminRequests(database_url).transaction(tenant_id) as connection:
        for _ in range(slices_max):
            folded = await _Fold(connection, uuid.UUID(bytes=tenant_id), slice_lines).run()
            count += folded
            if not folded:
                break
    return count


class _Fold:
    """A slice's share of a transaction."""

    def __init__(self, connection: AdminConnection, tenant_id: uuid.UUID, slice_lines: int) -> None:
        self._connection = connection
        self._tenant = {"tenant_id": tenant_id}
        self._slice_lines = slice_lines

    async def run(self) -> int:
        progress = await self._rows("lock_known_progress")
        if not progress:
            return 0
        after_block, last_entry_id, filled = progress[0]
        blocks = await self._next_blocks(after_block)
        if not blocks:
            return 0
        if filled >= self._slice_lines:
            later = [
                block.first_entry_id for block in blocks if block.first_entry_id > last_entry_id
            ]
            if later:
                await self._run("begin_known_slice", from_entry_id=min(later))
                filled = 0
        ((line_count,),) = await self._rows(
            "fold_blocks",
            first_entry_ids=[block.first_entry_id for block in blocks],
            entry_counts=[block.entry_count for block in blocks],
            slices=await self._slices_of(blocks),
            days=[_day_of(block.first_entry_id) for block in blocks],
        )
        await self._run(
            "keep_known_progress",
            block_number=blocks[-1].number,
            last_entry_id=max(last_entry_id, *(block.last_entry_id for block in blocks)),
            slice_lines=filled + line_count,
        )
        return len(blocks)

    async def _next_blocks(self, after_block: int) -> list[_Block]:
        """As many as may fill a slice."""
        rows = await self._rows(
            "read_blocks_to_fold",
            after_block=after_block,
            blocks_max=FOLDED_BLOCKS_MAX,
            lines_max=self._slice_lines,
        )
        return [_Block(*row) for row in rows]

    async def _slices_of(self, blocks: Sequence[_Block]) -> list[uuid.UUID]:
        """The slice of each block, cut at midnight."""
        named = [block.first_entry_id for block in blocks]
        begun = await self._rows(
            "find_known_slices", first_entry_id=min(named), last_entry_id=max(named)
        )
        slices = [NOTHING, *(from_entry_id for (from_entry_id,) in begun)]
        return [max(slices[bisect_right(slices, one) - 1], _midnight(one)) for one in named]

    async def _rows(self, statement: str, **values: Any) -> Sequence[tuple[Any, ...]]:
        cursor = await self._connection.execute(sql(statement).encode(), values | self._tenant)
        return await cursor.fetchall()

    async def _run(self, statement: str, **values: Any) -> None:
        await self._connection.execute(sql(statement).encode(), values | self._tenant)


def _microseconds(entry_id: uuid.UUID) -> int:
    """When an entry was posted, to the millisecond."""
    return (entry_id.int >> 80) * 1_000 - UNIX_TO_2000_MICROSECONDS


def _midnight(entry_id: uuid.UUID) -> uuid.UUID:
    """The first identifier of an entry's day."""
    midnight = day_at(_microseconds(entry_id)) * MICROSECONDS_PER_DAY
    return uuid.UUID(int=first_identifier(midnight, 0))


def _day_of(entry_id: uuid.UUID) -> datetime.date:
    return date_of(day_at(_microseconds(entry_id)))
