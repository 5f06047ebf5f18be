"""Wakes those who wait for a tenant's next block: one look at all their heads, some times a second.

PostgreSQL's NOTIFY would do it sooner, but takes a lock on every commit that the whole server
shares; here a posting pays nothing. Nobody waits, nothing is read.
"""

import asyncio

from hpts.domain import limits
from hpts.store.pool import Pool, PoolBusy
from hpts.store.text_format import text_step
from hpts.store.wire import ConnectionLost, StatementFailed


class Heads:
    """Who waits in this worker, and for which block."""

    def __init__(
        self,
        pool: Pool,
        *,
        poll_ms: int = limits.FEED_POLL_MS,
        waiters_max: int = limits.FEED_WAITERS_MAX,
    ) -> None:
        self._pool = pool
        self._poll_ms = poll_ms
        self._waiters_max = waiters_max
        self._waiting: dict[bytes, dict[asyncio.Future[None], int]] = {}
        self._count = 0
        self._watch: asyncio.Task[None] | None = None
        self._is_closed = False

    def close(self) -> None:
        """End every wait now, and those to come at once."""
        self._is_closed = True
        for waiting in self._waiting.values():
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    async def wait_past(self, tenant_id: bytes, block_number: int, seconds: float) -> None:
        """Return as soon as the tenant has a later block, when the time is up, or on `close`.
        Raises PoolBusy where too many wait already."""
        if self._is_closed:
            return
        waiting = self._waiting.setdefault(tenant_id, {})
        if self._count >= self._waiters_max or len(waiting) >= limits.FEED_WAITERS_PER_TENANT_MAX:
            raise PoolBusy
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        waiting[waiter] = block_number
        self._count += 1
        if self._watch is None:
            self._watch = loop.create_task(self._look_again())
        try:
            async with asyncio.timeout(seconds):  # wait_for may swallow a cancellation
                await waiter
        except TimeoutError:
            pass
        finally:
            self._count -= 1
            del waiting[waiter]
            if not waiting:
                del self._waiting[tenant_id]

    async def _look_again(self) -> None:
        while self._waiting and not self._is_closed:
            await asyncio.sleep(self._poll_ms / 1000)
            tenants = list(self._waiting)
            for at in range(0, len(tenants), limits.FEED_TENANTS_PER_POLL):
                try:
                    await self._look(tenants[at : at + limits.FEED_TENANTS_PER_POLL])
                except (ConnectionLost, PoolBusy, StatementFailed):
                    break  # whoever waits reads again at the end of its wait, and is told then
        self._watch = None

    async def _look(self, tenants: list[bytes]) -> None:
        """One round trip: the heads of some tenants, each as the tenant itself sees it."""
        steps = []
        for tenant_id in tenants:
            steps += [text_step("enter_tenant", tenant_id), text_step("read_last_block", tenant_id)]
        async with self._pool.lease() as wire:
            rows = await wire.run(steps)
        for tenant_id, heads in zip(tenants, rows[1::2], strict=True):
            newest = int(heads[0][0] or 0) if heads else 0
            for waiter, block_number in self._waiting.get(tenant_id, {}).items():
                if newest > block_number and not waiter.done():
                    waiter.set_result(None)
