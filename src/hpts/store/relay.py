"""The one connection by which a relay holds tenants and keeps what it delivered.

A tenant is held by an advisory lock of this connection, and nothing is kept by any other: a relay
that has lost its hold can move no cursor.
"""

import asyncio
import uuid
from typing import Any, NamedTuple

import psycopg

from hpts.domain import limits
from hpts.store.connecting import connect_async
from hpts.store.feed import Headline, Position
from hpts.store.statements import sql
from hpts.store.wire import (
    CONNECT_SECONDS_MAX,
    LINK,
    SESSION,
    ConnectionLost,
    StatementFailed,
    sqlstate_of,
)

HOLD_LOCK_CLASS = 0x48505752  # "HPWR"


class KeptDelivery(NamedTuple):
    """A delivery that did not go through at once. Times are seconds since 1970."""

    headline: Headline
    status: str
    attempt_count: int
    first_attempt_at: float | None
    last_attempt_at: float | None
    next_attempt_at: float | None
    response_status: int | None
    error: str | None


KEPT_AS_THEY_ARE = KeptDelivery._fields[1:]


class RelayConnection:
    """Open one with `open`. All raise ConnectionLost, after which the connection is of no more use,
    and StatementFailed, after which it is as good as before."""

    def __init__(self, connection: "psycopg.AsyncConnection[Any]") -> None:
        self._connection = connection
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, database_url: str) -> "RelayConnection":
        try:
            connection = await connect_async(
                database_url,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS_MAX,
                application_name="hpts relay",
                **LINK,
            )
            for statement in SESSION:
                await connection.execute(statement.encode())
        except psycopg.Error as error:
            raise ConnectionLost(str(error)) from error
        return cls(connection)

    async def close(self) -> None:
        await self._connection.close()

    async def tenants(self) -> list[bytes]:
        """Every tenant that is served and has endpoints."""
        rows = await self._run([("list_webhook_tenants", {})])
        return [row[0].bytes for row in rows[0]]

    async def hold(self, tenant_id: bytes) -> bool:
        """Become the one that delivers for a tenant; False where another relay is."""
        rows = await self._run([("hold_tenant", _lock(tenant_id))])
        return bool(rows[0][0][0])

    async def release(self, tenant_id: bytes) -> None:
        """Let another relay have the tenant."""
        await self._run([("release_tenant", _lock(tenant_id))])

    async def keep(
        self, tenant_id: bytes, endpoint_id: str, position: Position, kept: list[KeptDelivery]
    ) -> None:
        """Keep deliveries and move the cursor, both or neither."""
        values = {
            "tenant_id": uuid.UUID(bytes=tenant_id),
            "endpoint_id": endpoint_id,
            "reached_block": position.block_number,
            "reached_count": position.entry_count,
            "reached_hash": position.block_hash,
            "journal_entry_id": [one.headline.entry_id for one in kept],
            "block_number": [one.headline.position.block_number for one in kept],
            "place": [one.headline.position.entry_count - 1 for one in kept],
            **{name: [getattr(one, name) for one in kept] for name in KEPT_AS_THEY_ARE},
        }
        await self._run([_entering(tenant_id), ("keep_webhook_progress", values)])

    async def forget(self, tenant_id: bytes, endpoint_id: str) -> None:
        """Forget what was delivered after all, some days ago, some at a time."""
        values = {
            "tenant_id": uuid.UUID(bytes=tenant_id),
            "endpoint_id": endpoint_id,
            "days": limits.WEBHOOK_DELIVERED_DAYS,
            "count": limits.WEBHOOK_FORGOTTEN_AT_ONCE,
        }
        step = ("forget_webhook_deliveries", values)
        while (await self._run([_entering(tenant_id), step]))[-1][0][0]:
            pass

    async def _run(self, steps: list[tuple[str, dict[str, Any]]]) -> list[list[tuple[Any, ...]]]:
        """The rows of each statement; all of them in one transaction."""
        found = []
        try:
            async with self._turn, self._connection.transaction():
                for statement, values in steps:
                    cursor = await self._connection.execute(sql(statement).encode(), values)
                    found.append(await cursor.fetchall() if cursor.description else [])
        except psycopg.Error as error:
            is_refused = error.sqlstate is not None or isinstance(error, psycopg.DataError)
            if self._connection.closed or not is_refused:
                raise ConnectionLost(str(error)) from error
            raise StatementFailed("relay", sqlstate_of(error) or "", str(error)) from error
        return found


def _lock(tenant_id: bytes) -> dict[str, Any]:
    return {"lock_class": HOLD_LOCK_CLASS, "tenant_id": str(uuid.UUID(bytes=tenant_id))}


def _entering(tenant_id: bytes) -> tuple[str, dict[str, Any]]:
    return ("set_tenant", {"tenant_id": str(uuid.UUID(bytes=tenant_id))})
