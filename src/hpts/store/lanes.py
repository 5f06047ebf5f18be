"""Group commit: one lane of waiting postings per tenant, batches served round robin.

While a batch of a lane is in the database the next one gathers; an idle lane flushes at once.
There are no timers. Lanes are bounded: a full one refuses now rather than answer late. This module
knows no SQL.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LaneFull(Exception):
    """The tenant has as many postings waiting as it may."""


class _Lane(Generic[Item]):
    __slots__ = ("batches_running", "is_ready", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Item] = deque()
        self.batches_running = 0
        self.is_ready = False


class Lanes(Generic[Item]):
    """Lanes by tenant over `writers` batches at a time, `per_tenant` of one tenant.

    `run_batch(tenant_id, items)` answers every item but those it returns: these wait at the front
    of their lane again. When nothing of a batch got through it waits at the back and the lane
    pauses for `retry_seconds`, so that a batch's worth of busy loans does not bar those behind it.
    """

    def __init__(
        self,
        run_batch: Callable[[bytes, Sequence[Item]], Awaitable[Sequence[Item]]],
        *,
        writers: int,
        per_tenant: int,
        batch_max: int,
        queue_max: int,
        retry_seconds: float,
    ) -> None:
        self._run_batch = run_batch
        self._writers_idle = writers
        self._per_tenant = per_tenant
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._retry_seconds = retry_seconds
        self._lanes: dict[bytes, _Lane[Item]] = {}
        self._ready: deque[bytes] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pump_is_due = False

    def submit(self, tenant_id: bytes, item: Item) -> None:
        """Queue an item. Raises LaneFull."""
        lane = self._lanes.get(tenant_id)
        if lane is None:
            lane = self._lanes[tenant_id] = _Lane()
        if len(lane.waiting) >= self._queue_max:
            raise LaneFull
        lane.waiting.append(item)
        self._make_ready(tenant_id, lane)

    def depths(self) -> dict[bytes, int]:
        """How many items wait in each lane that is in use."""
        return {tenant_id: len(lane.waiting) for tenant_id, lane in self._lanes.items()}

    async def drain(self) -> None:
        """Wait until every lane is empty and no batch runs."""
        while self._lanes:
            if self._tasks:
                await asyncio.wait(self._tasks)
            else:
                await asyncio.sleep(self._retry_seconds)

    def _make_ready(self, tenant_id: bytes, lane: _Lane[Item]) -> None:
        if lane.is_ready or not lane.waiting or lane.batches_running >= self._per_tenant:
            return
        lane.is_ready = True
        self._ready.append(tenant_id)
        if not self._pump_is_due:
            # At the end of this turn of the loop: requests that arrived together go together.
            self._pump_is_due = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_is_due = False
        while self._writers_idle and self._ready:
            tenant_id = self._ready.popleft()
            lane = self._lanes[tenant_id]
            lane.is_ready = False
            count = min(len(lane.waiting), self._batch_max)
            batch = [lane.waiting.popleft() for _ in range(count)]
            lane.batches_running += 1
            self._writers_idle -= 1
            self._make_ready(tenant_id, lane)
            task = asyncio.get_running_loop().create_task(self._drive(tenant_id, lane, batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _drive(self, tenant_id: bytes, lane: _Lane[Item], batch: list[Item]) -> None:
        retry: Sequence[Item] = ()
        try:
            retry = await self._run_batch(tenant_id, batch)
        finally:
            self._writers_idle += 1
            lane.batches_running -= 1
            if retry and len(retry) == len(batch):
                lane.waiting.extend(retry)
                loop = asyncio.get_running_loop()
                loop.call_later(self._retry_seconds, self._serve_again, tenant_id, lane)
            else:
                lane.waiting.extendleft(reversed(retry))
                self._serve_again(tenant_id, lane)

    def _serve_again(self, tenant_id: bytes, lane: _Lane[Item]) -> None:
        self._make_ready(tenant_id, lane)
        if self._ready and not self._pump_is_due:
            self._pump_is_due = True
            asyncio.get_running_loop().call_soon(self._pump)
        idle = not lane.waiting and not lane.batches_running
        if idle and self._lanes.get(tenant_id) is lane:
            del self._lanes[tenant_id]
