"""A tenant's entries in the order of its chain of blocks, from a position on, for ever resumable.

Blocks have no gap and an entry's place in its block is fixed, so a position stays good and nothing
is written for a reader. Every page scans a bounded number of entries, whatever the filter; one that
finds nothing moves on all the same.
"""

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from hpts.domain import limits
from hpts.store.pool import Pool
from hpts.store.reads import (
    EntryRow,
    LineRow,
    entry_of,
    first_within_lines,
    line_of,
    lines_by_entry,
)
from hpts.store.tenancy import run_for_tenant
from hpts.store.text_format import array_text, text_of, text_step
from hpts.store.wire import Rows, Step

HASH_BYTES = 8


class CursorForeign(Exception):
    """The position is of another history: its block is not the one that stands there now."""


class Position(NamedTuple):
    """Behind the first `entry_count` entries of a block, and all blocks before it. The hash tells a
    ledger that was restored and went on otherwise."""

    block_number: int
    entry_count: int
    block_hash: bytes


START = Position(0, 0, bytes(HASH_BYTES))


class Filter(NamedTuple):
    """Which entries are wanted; None for all. Text as PostgreSQL reads it."""

    event_type: bytes | None = None
    loan_id: bytes | None = None
    account_code: bytes | None = None
    from_date: bytes | None = None
    to_date: bytes | None = None


EVERYTHING = Filter()


class FeedPage(NamedTuple):
    """Entries with their lines, where the next page begins, and whether there is one already."""

    entries: list[EntryRow]
    lines: dict[str, list[LineRow]]
    position: Position
    has_more: bool


class Block(NamedTuple):
    """A block; `first` is its first entry's identifier as a number."""

    block_number: int
    first: int
    entry_count: int
    block_hash: bytes

    def behind(self, entry_count: int) -> Position:
        """The position behind so many of its entries."""
        return Position(self.block_number, entry_count, self.block_hash)


class Headline(NamedTuple):
    """What is announced of an entry, its loans, and the position behind it."""

    entry_id: str
    event_type: str
    posted_at: int
    correlation_id: str
    loan_ids: tuple[str, ...]
    position: Position


class OpenDelivery(NamedTuple):
    """An entry that an endpoint did not get yet. Times are seconds since 1970."""

    headline: Headline
    attempt_count: int
    first_attempt_at: float | None
    next_attempt_at: float | None


class Found(NamedTuple):
    """An entry that fits: its block, its place there from 0, its identifier, its lines' number."""

    block: Block
    place: int
    entry_id: str
    line_count: int


class Feed:
    """The queries of the feed. All raise TenantUnknown, ConnectionLost, StatementFailed and
    PoolBusy."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def latest(self, tenant_id: bytes) -> Position:
        """Behind everything that is committed."""
        (rows,) = await run_for_tenant(
            self._pool, tenant_id, text_step("read_newest_block", tenant_id)
        )
        return _block(rows[0]).behind(_block(rows[0]).entry_count) if rows else START

    async def page(self, tenant_id: bytes, after: Position, wanted: Filter, count: int) -> FeedPage:
        """At most `count` entries after a position. Raises CursorForeign too."""
        blocks_max = count + 2 if wanted == EVERYTHING else limits.FEED_BLOCKS_MAX
        entries_max = count if wanted == EVERYTHING else limits.FEED_SCAN_ENTRIES_MAX
        blocks = await self._blocks(tenant_id, after, blocks_max)
        if not blocks:
            return FeedPage([], {}, after, False)
        newest = blocks[-1].behind(blocks[-1].entry_count)
        pieces = _first_pieces(blocks, after, entries_max)
        if not pieces:
            return FeedPage([], {}, after, False)
        found, end = await self._scan(tenant_id, pieces, wanted, count)
        shown = first_within_lines(found[:count], limits.PAGE_LINES_MAX)
        if len(shown) < len(found):
            end = _behind(shown[-1])
        entries, lines = await self._read(tenant_id, [one.entry_id for one in shown])
        return FeedPage(entries, lines, end, end < newest or len(blocks) == blocks_max)

    async def headlines(
        self, tenant_id: bytes, after: Position, count: int
    ) -> tuple[list[Headline], Position]:
        """At most `count` entries after a position, and their end. Raises CursorForeign too."""
        blocks = await self._blocks(tenant_id, after, count + 1)
        pieces = _first_pieces(blocks, after, count)
        if not pieces:
            return [], after
        (rows,) = await run_for_tenant(
            self._pool,
            tenant_id,
            text_step("read_headlines", tenant_id, *_ranges(pieces), b"%d" % count),
        )
        places = _placed([(row[0], b"0") for row in rows], pieces)
        found = [_headline(row, _behind(place)) for row, place in zip(rows, places, strict=True)]
        return found, found[-1].position

    async def open_deliveries(
        self, tenant_id: bytes, endpoint_id: str, after: tuple[int, int], count: int
    ) -> list[OpenDelivery]:
        """What of an endpoint is retried or held, in the order of the chain: at most `count` after
        a block and a position behind an entry of it."""
        (rows,) = await run_for_tenant(
            self._pool,
            tenant_id,
            text_step(
                "read_open_deliveries",
                tenant_id,
                endpoint_id.encode(),
                b"%d" % after[0],
                b"%d" % (after[1] - 1),
                b"%d" % count,
            ),
        )
        found = []
        for entry_id, block, place, event, posted_at, correlation, loans, *delivery in rows:
            position = Position(int(block or 0), int(place or 0) + 1, b"")
            row = (entry_id, event, posted_at, correlation, loans)
            attempts, first, following = delivery
            found.append(
                OpenDelivery(
                    _headline(row, position),
                    int(attempts or 0),
                    None if first is None else float(first),
                    None if following is None else float(following),
                )
            )
        return found

    async def next_attempts(
        self, tenant_id: bytes, endpoint_id: str, entry_ids: Sequence[str]
    ) -> dict[str, float]:
        """When those entries that an endpoint did not take are due again, in seconds since 1970."""
        (rows,) = await run_for_tenant(
            self._pool,
            tenant_id,
            text_step("read_next_attempts", tenant_id, endpoint_id.encode(), array_text(entry_ids)),
        )
        return {text_of(entry_id): float(at or 0) for entry_id, at in rows}

    async def _blocks(self, tenant_id: bytes, after: Position, count: int) -> list[Block]:
        """The blocks from the position's own on, which must be the one that it was."""
        (rows,) = await run_for_tenant(
            self._pool,
            tenant_id,
            text_step("read_feed_blocks", tenant_id, b"%d" % after.block_number, b"%d" % count),
        )
        blocks = [_block(row) for row in rows]
        if after == START:
            return blocks
        if not blocks:
            if await self._is_complete(tenant_id):
                raise CursorForeign
            return []
        own = blocks[0]
        if after.entry_count > own.entry_count or after != own.behind(after.entry_count):
            raise CursorForeign
        return blocks

    async def _is_complete(self, tenant_id: bytes) -> bool:
        """Whether what is not there is nowhere: a standby may be behind a cursor of the primary."""
        (rows,) = await run_for_tenant(self._pool, tenant_id, Step("read_is_standby", (), True))
        return rows[0][0] == b"f"

    async def _scan(
        self, tenant_id: bytes, pieces: list[tuple[Block, int]], wanted: Filter, count: int
    ) -> tuple[list[Found], Position]:
        """Entries that fit, perhaps more than `count`, and the end of what was looked through."""
        last, _ = pieces[-1]
        end = last.behind(last.entry_count)
        scan_max = count + 1 if wanted.account_code is None else limits.FEED_SCAN_ENTRIES_MAX
        (rows,) = await run_for_tenant(
            self._pool,
            tenant_id,
            text_step(
                "find_feed_entries",
                tenant_id,
                *_ranges(pieces),
                wanted.event_type,
                wanted.loan_id,
                wanted.from_date,
                wanted.to_date,
                b"%d" % scan_max,
            ),
        )
        found = _placed(rows, pieces)
        if wanted.account_code is None or not found:
            return found, end
        looked_through = first_within_lines(found, limits.FEED_SCAN_LINES_MAX)
        if len(looked_through) < len(found):
            end = _behind(looked_through[-1])
        (fitting,) = await run_for_tenant(
            self._pool,
            tenant_id,
            text_step(
                "find_entries_of_account",
                tenant_id,
                array_text([one.entry_id for one in looked_through]),
                wanted.account_code,
            ),
        )
        kept = {text_of(row[0]) for row in fitting}
        return [one for one in looked_through if one.entry_id in kept], end

    async def _read(
        self, tenant_id: bytes, entry_ids: list[str]
    ) -> tuple[list[EntryRow], dict[str, list[LineRow]]]:
        if not entry_ids:
            return [], {}
        entries, lines = await run_for_tenant(
            self._pool,
            tenant_id,
            text_step("read_entries", tenant_id, array_text(entry_ids)),
            text_step("read_lines", tenant_id, array_text(entry_ids)),
        )
        by_entry = lines_by_entry(entry_ids, map(line_of, lines))
        return [entry_of(row) for row in entries], by_entry


def _first_pieces(
    blocks: list[Block], after: Position, entries_max: int
) -> list[tuple[Block, int]]:
    """The first blocks that have entries after the position, each with how many to pass over, until
    they hold `entries_max` entries."""
    pieces, count = [], 0
    for block in blocks:
        skipped = after.entry_count if block.block_number == after.block_number else 0
        if skipped < block.entry_count:
            pieces.append((block, skipped))
            count += block.entry_count - skipped
            if count >= entries_max:
                break
    return pieces


def _ranges(pieces: list[tuple[Block, int]]) -> tuple[bytes, bytes]:
    """The first and the last identifiers of the pieces."""
    return (
        array_text([_format(block.first + skipped) for block, skipped in pieces]),
        array_text([_format(block.first + block.entry_count - 1) for block, _ in pieces]),
    )


def _headline(row: tuple[bytes | None, ...], position: Position) -> Headline:
    entry_id, event_type, posted_at, correlation_id, loan_ids = row
    return Headline(
        text_of(entry_id),
        text_of(event_type),
        int(posted_at or 0),
        text_of(correlation_id),
        tuple(loan_ids.decode().split(",")) if loan_ids else (),
        position,
    )


def _placed(rows: Rows, pieces: list[tuple[Block, int]]) -> list[Found]:
    """Each entry with its block; both come in the order of the chain."""
    found = []
    blocks = iter(pieces)
    block, _ = next(blocks)
    for entry_id, line_count in rows:
        text = text_of(entry_id)
        number = uuid.UUID(text).int
        while not block.first <= number < block.first + block.entry_count:
            block, _ = next(blocks)
        found.append(Found(block, number - block.first, text, int(line_count or 0)))
    return found


def _behind(found: Found) -> Position:
    return found.block.behind(found.place + 1)


def _block(row: tuple[bytes | None, ...]) -> Block:
    number, first, count, block_hash = row
    return Block(
        int(number or 0),
        uuid.UUID(text_of(first)).int,
        int(count or 0),
        bytes.fromhex((block_hash or b"").decode().removeprefix("\\x"))[:HASH_BYTES],
    )


def _format(number: int) -> str:
    return str(uuid.UUID(int=number))
