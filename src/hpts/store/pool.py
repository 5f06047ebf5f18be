"""A bounded set of wires that are opened when first needed and replaced when they break.

It hands out one wire to one borrower at a time and never runs a statement itself.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from hpts.meters import Counter
from hpts.store.statements import READER_STATEMENTS
from hpts.store.wire import Wire

STRIPE_LOCK_CLASS = 0x48505453  # "HPTS"; the first half of the advisory locks that own stripes
Connect = Callable[[str, Sequence[str], int | None], Awaitable[Wire]]
"""How a pool opens a wire (see Wire.connect)."""


CONNECTIONS = Counter(
    "hpts_connections_total",
    "Connections to PostgreSQL that were opened, could not be opened, or broke.",
    ("event",),
    (("opened",), ("failed",), ("broken",)),
)


class PoolState(NamedTuple):
    """Wires that are lent or idle, and borrowers who wait for one."""

    lent: int
    idle: int
    waiting: int


class PoolBusy(Exception):
    """Too many borrowers wait already."""


class Pool:
    """At most `size` wires, and at most `waiters_max` borrowers waiting for one."""

    def __init__(
        self,
        database_url: str,
        statements: Sequence[str],
        *,
        size: int,
        waiters_max: int,
        owns_stripes: bool = False,
        connect: Connect = Wire.connect,
    ) -> None:
        self._connect = connect
        self._database_url = database_url
        self._statements = statements
        self._stripe_lock = STRIPE_LOCK_CLASS if owns_stripes else None
        self._idle: deque[Wire] = deque()
        self._places = asyncio.Semaphore(size)
        self._waiters = 0
        self._lent = 0
        self._waiters_max = waiters_max

    @classmethod
    def of_readers(
        cls, database_url: str, size: int, *, waiters_max: int, connect: Connect = Wire.connect
    ) -> "Pool":
        """A pool for the queries of store/reads.py."""
        return cls(
            database_url, READER_STATEMENTS, size=size, waiters_max=waiters_max, connect=connect
        )

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Wire]:
        """A wire for one borrower. Raises PoolBusy, ConnectionLost."""
        if self._places.locked() and self._waiters >= self._waiters_max:
            raise PoolBusy
        self._waiters += 1
        try:
            await self._places.acquire()
        finally:
            self._waiters -= 1
        try:
            wire = await self._open_or_take()
            self._lent += 1
            try:
                yield wire
            finally:
                self._lent -= 1
                if wire.is_broken:
                    CONNECTIONS.add(CONNECTIONS.cell_of("broken"))
                else:
                    self._idle.append(wire)
        finally:
            self._places.release()

    async def _open_or_take(self) -> Wire:
        while self._idle:
            wire = self._idle.pop()  # the one used last: its plans and caches are warm
            if not wire.is_broken:
                return wire
        event = "failed"
        try:
            wire = await self._connect(self._database_url, self._statements, self._stripe_lock)
            event = "opened"
        finally:
            CONNECTIONS.add(CONNECTIONS.cell_of(event))
        return wire

    @property
    def state(self) -> PoolState:
        return PoolState(self._lent, len(self._idle), self._waiters)

    def close(self) -> None:
        """Close the idle wires."""
        while self._idle:
            self._idle.pop().close()
