"""Reads from a standby that has everything the tenant has seen, else from the primary.

A read is never older than what any process of this server posted or showed the tenant, nor than
what the primary said of it within the last RECENT_SECONDS_MAX. A standby that is away, behind, or
on another history costs a bounded wait and no error. Only for what a tenant's chain of blocks
covers, or what is fixed with the tenant: of anything else it does not know how new it is.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from struct import Struct
from typing import NamedTuple

from hpts.domain import limits
from hpts.store.pool import Pool, PoolBusy
from hpts.store.recent import Recent
from hpts.store.seen_blocks import SeenBlocks
from hpts.store.tenancy import run_for_tenant, tenant_steps
from hpts.store.wire import ConnectionLost, Rows, StatementFailed, Step
from hpts.telemetry import logger

_int64 = Struct(">q")
TROUBLE = (ConnectionLost, StatementFailed, PoolBusy, TimeoutError)
"""Whatever a standby may answer instead: gone, in conflict with recovery, without this schema."""


class Head(NamedTuple):
    """The last block of a tenant's chain; number 0 before the first."""

    block_number: int
    block_hash: bytes


NO_HEAD = Head(0, b"")


class StandbyReads:
    """The reads of one worker over both pools; the standby's sessions see one snapshot a pipeline
    (wire.SNAPSHOT_SESSION)."""

    def __init__(
        self,
        primary: Pool,
        standby: Pool,
        seen: SeenBlocks,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._primary = primary
        self._standby = standby
        self._seen = seen
        seen.join()
        self._clock = clock
        self._heads = Recent(self._read_head, clock=clock)
        self._behind: OrderedDict[bytes, float] = OrderedDict()
        self._return: asyncio.Task[None] | None = None

    @property
    def is_away(self) -> bool:
        """Whether the standby was found wanting and has not answered since."""
        return self._return is not None

    def close(self) -> None:
        if self._return is not None:
            self._return.cancel()
        self._standby.close()

    def note(self, tenant_id: bytes, block_number: int) -> None:
        """The tenant has been told of that block."""
        self._seen.note(tenant_id, block_number)

    async def reach(self, tenant_id: bytes, block_number: int) -> None:
        """See to it that the tenant's reads from here on know of that block, where the ledger has
        it. Raises TenantUnknown, and what the pool and wire raise."""
        head = self._heads.find(tenant_id)
        known = max(self._seen.find(tenant_id), head.block_number if head else 0)
        if block_number > known:
            await self._heads.ask_anew(tenant_id)

    async def run(self, tenant_id: bytes, *steps: Step) -> list[Rows]:
        """As run_for_tenant, on the standby if it may be."""
        if not self.is_away and not self._is_behind(tenant_id):
            head = self._heads.find(tenant_id) or await self._heads.ask(tenant_id)
            try:
                async with asyncio.timeout(limits.STANDBY_MS_MAX / 1000):
                    found = await self._run_there(tenant_id, head or NO_HEAD, steps)
            except TROUBLE as error:
                self._leave(error)
            else:
                if found is not None:
                    return found
        *rows, head_rows = await run_for_tenant(
            self._primary, tenant_id, *steps, Step("read_last_block", (tenant_id,))
        )
        self.note(tenant_id, _head(head_rows).block_number)
        return rows

    async def _run_there(
        self, tenant_id: bytes, head: Head, steps: tuple[Step, ...]
    ) -> list[Rows] | None:
        """The rows, or None where the standby does not get as far in time."""
        wanted = max(head.block_number, self._seen.find(tenant_id))
        deadline = self._clock() + limits.STANDBY_WAIT_MS_MAX / 1000
        pause = limits.STANDBY_PAUSE_MS_MIN / 1000
        rows = await self._try(tenant_id, head, wanted, steps)
        if rows is None:
            # What was seen may be of another tenant in the same row: what the primary says now
            # counts, and includes all that this tenant has seen.
            head = await self._heads.ask_anew(tenant_id) or head
            wanted = head.block_number
        while rows is None and self._clock() + pause < deadline:
            rows = await self._try(tenant_id, head, wanted, steps)
            if rows is None:
                await asyncio.sleep(pause)
                pause = min(2 * pause, limits.STANDBY_PAUSE_MS_MAX / 1000)
        if rows is None:
            self._note_behind(tenant_id)
        return rows

    async def _try(
        self, tenant_id: bytes, head: Head, wanted: int, steps: tuple[Step, ...]
    ) -> list[Rows] | None:
        where = Step("read_position", (tenant_id, _int64.pack(head.block_number)))
        async with self._standby.lease() as wire:
            _, tenants, found, *rows = await wire.run([*tenant_steps(tenant_id), where, *steps])
        number, block_hash = found[0]
        if not tenants or tenants[0][0] != b"active" or number is None:
            return None  # the primary, which was asked, serves the tenant: this is older
        if head.block_number and block_hash != head.block_hash:
            return None
        reached: int = _int64.unpack(number)[0]
        if reached < wanted:
            return None
        self.note(tenant_id, reached)
        return rows

    async def _read_head(self, tenant_id: bytes) -> Head | None:
        (rows,) = await run_for_tenant(
            self._primary, tenant_id, Step("read_last_block", (tenant_id,))
        )
        return _head(rows)

    def _is_behind(self, tenant_id: bytes) -> bool:
        until = self._behind.get(tenant_id)
        return until is not None and self._clock() < until

    def _note_behind(self, tenant_id: bytes) -> None:
        """For a while its reads do not wait in vain."""
        self._behind[tenant_id] = self._clock() + limits.STANDBY_AWAY_MS / 1000
        self._behind.move_to_end(tenant_id)
        if len(self._behind) > limits.RECENT_TENANTS_MAX:
            self._behind.popitem(last=False)

    def _leave(self, error: Exception) -> None:
        """Read from the primary until the standby answers again; no request waits for that."""
        if self._return is None:
            logger.warning("reads go to the primary, the standby failed: %r", error)
            self._return = asyncio.get_running_loop().create_task(self._await_return())

    async def _await_return(self) -> None:
        while True:
            await asyncio.sleep(limits.STANDBY_AWAY_MS / 1000)
            try:
                async with self._standby.lease() as wire:
                    await wire.run([Step("read_schema_version", (), True)])
            except TROUBLE:
                continue
            logger.warning("the standby answers again")
            self._return = None
            return


def _head(rows: Rows) -> Head:
    number, block_hash = rows[0]
    return Head(_int64.unpack(number or b"")[0], block_hash or b"")
