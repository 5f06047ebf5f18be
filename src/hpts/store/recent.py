"""What the database said of a tenant not long ago: remembered by one worker for seconds.

An answer is used while it is younger than RECENT_SECONDS_MAX, and asked for again behind the
requests' backs from RECENT_REFRESH_SECONDS on, so that of a busy tenant no request waits.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from hpts.domain import limits

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Answers by tenant. `read` asks the database; None, for a tenant that does not exist, is not
    remembered. `clock` gives monotonic seconds."""

    def __init__(
        self,
        read: Callable[[bytes], Awaitable[Value | None]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, Value]] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Task[Value | None]] = {}

    def find(self, tenant_id: bytes) -> Value | None:
        """The answer; None says that it must be asked for."""
        known = self._known.get(tenant_id)
        if known is None:
            return None
        asked_at, value = known
        age = self._clock() - asked_at
        if age >= limits.RECENT_REFRESH_SECONDS:
            if age >= limits.RECENT_SECONDS_MAX:
                return None
            self._ask(tenant_id)
        return value

    async def ask(self, tenant_id: bytes) -> Value | None:
        """The answer from the database; who asks meanwhile shares it. Raises what `read` raises."""
        # Shielded: one client that hangs up must not end the query that others wait for.
        return await asyncio.shield(self._ask(tenant_id))

    async def ask_anew(self, tenant_id: bytes) -> Value | None:
        """The same from a query that begins now."""
        asked_at = self._clock()
        value = await self._read(tenant_id)
        if value is not None:
            self._keep(tenant_id, asked_at, value)
        return value

    def _ask(self, tenant_id: bytes) -> "asyncio.Task[Value | None]":
        task = self._under_way.get(tenant_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self.ask_anew(tenant_id))
            self._under_way[tenant_id] = task
            task.add_done_callback(lambda ended: self._end(tenant_id, ended))
        return task

    def _keep(self, tenant_id: bytes, asked_at: float, value: Value) -> None:
        known = self._known.get(tenant_id)
        if known is not None and known[0] > asked_at:
            return  # somebody asked later and was answered sooner
        self._known[tenant_id] = (asked_at, value)
        self._known.move_to_end(tenant_id)
        if len(self._known) > limits.RECENT_TENANTS_MAX:
            self._known.popitem(last=False)

    def _end(self, tenant_id: bytes, ended: "asyncio.Task[Value | None]") -> None:
        del self._under_way[tenant_id]
        if not ended.cancelled():
            ended.exception()  # whoever waits has it; behind the requests' backs it is nobody's
