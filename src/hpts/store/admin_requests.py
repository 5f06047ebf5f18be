"""Administrative changes: one transaction each, once per idempotency key, as the application role.

The key, its reply and the change are committed together, or none of them. A key that a posting
used is seen here; a posting does not look here, which would cost every payment a read
(docs/DECISIONS.md). How to add an operation stands in http/administration.py.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeAlias

import psycopg

from hpts.domain import limits
from hpts.domain.rejections import Refusal, Rejection
from hpts.store.append import hash_key
from hpts.store.connecting import connect_async
from hpts.store.pool import PoolBusy
from hpts.store.statements import sql
from hpts.store.tenancy import TenantUnknown
from hpts.store.wire import (
    CONNECT_SECONDS_MAX,
    LINK,
    NOT_REPLICATED,
    SESSION,
    ConnectionLost,
    StatementFailed,
    sqlstate_of,
)

AdminConnection: TypeAlias = "psycopg.AsyncConnection[Any]"


class AdminRequest(NamedTuple):
    """Who asks, under which key, and the fingerprint of operation and payload (32 bytes)."""

    tenant_id: bytes
    idempotency_key: bytes
    request_digest: bytes


class AdminReply(NamedTuple):
    """What a request is answered, now and on every replay: a 2xx status and the body."""

    status: int
    body: bytes
    location: str = ""
    is_replay: bool = False


Change = Callable[[AdminConnection], Awaitable[AdminReply | Refusal]]
"""What a request does, in the transaction that it is given. After a Refusal or an exception nothing
of it stays, and the key is free again."""


class AdminRequests:
    """The administrative transactions of one worker, a few at a time, each on a connection of its
    own. All raise TenantUnknown, PoolBusy, ConnectionLost, StatementFailed."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._places = asyncio.Semaphore(limits.ADMIN_REQUESTS_AT_ONCE)
        self._count = 0

    async def run(self, request: AdminRequest, change: Change) -> AdminReply | Refusal:
        """The reply of `change`, of the first time that this request came, or why not."""
        key = request._asdict() | {
            "tenant_id": uuid.UUID(bytes=request.tenant_id),
            "idempotency_key": request.idempotency_key.decode(),
        }
        async with self._open(request.tenant_id) as connection:
            hashed = hash_key(request.tenant_id, request.idempotency_key)
            key_hash = int.from_bytes(hashed, "big", signed=True)
            status, is_claimed = await _row(connection, "claim_admin_key", key_hash=key_hash, **key)
            if status != "active":
                raise TenantUnknown
            if not is_claimed:
                return Refusal(Rejection.IDEMPOTENCY_IN_PROGRESS)
            earlier = await _row(connection, "find_admin_request", **key)
            if earlier[0] == request.request_digest:
                await connection.execute(sql("await_standby").encode())
                return AdminReply(*earlier[1:])._replace(is_replay=True)
            if earlier[0] is not None:
                return Refusal(Rejection.IDEMPOTENCY_MISMATCH)
            outcome = await change(connection)
            if isinstance(outcome, Refusal):
                await connection.rollback()
                return outcome
            kept = {"status": outcome.status, "location": outcome.location, "reply": outcome.body}
            await connection.execute(sql("keep_admin_request").encode(), key | kept)
        return outcome

    @asynccontextmanager
    async def transaction(self, tenant_id: bytes) -> AsyncIterator[AdminConnection]:
        """A transaction of the tenant, for what needs no key: committed at the end of the block,
        rolled back where it raises."""
        async with self._open(tenant_id) as connection:
            tenant = uuid.UUID(bytes=tenant_id)
            (status,) = await _row(connection, "read_tenant_status", tenant_id=tenant)
            if status != "active":
                raise TenantUnknown
            yield connection

    @asynccontextmanager
    async def _open(self, tenant_id: bytes) -> AsyncIterator[AdminConnection]:
        """A connection in a transaction that sees the tenant's rows and no others."""
        if self._count >= limits.ADMIN_REQUESTS_MAX:
            raise PoolBusy
        self._count += 1
        warnings: list[str | None] = []
        try:
            async with (
                self._places,
                await connect_async(
                    self._database_url,
                    connect_timeout=CONNECT_SECONDS_MAX,
                    application_name="hpts administration",
                    **LINK,
                ) as connection,
            ):
                connection.add_notice_handler(lambda found: warnings.append(found.sqlstate))
                for statement in SESSION:
                    await connection.execute(statement.encode())
                entering = {"tenant_id": str(uuid.UUID(bytes=tenant_id))}
                await connection.execute(sql("set_tenant").encode(), entering)
                yield connection
            if NOT_REPLICATED in warnings:
                raise ConnectionLost("committed here, and perhaps nowhere else")
        except psycopg.Error as error:
            sqlstate = sqlstate_of(error)
            if sqlstate is None:
                raise ConnectionLost(str(error)) from error
            raise StatementFailed("administration", sqlstate, str(error)) from error
        finally:
            self._count -= 1


async def _row(connection: AdminConnection, statement: str, **values: Any) -> tuple[Any, ...]:
    """The row of a statement that has one or none; then every column is None."""
    cursor = await connection.execute(sql(statement).encode(), values)
    row = await cursor.fetchone()
    return row if row is not None else (None,) * len(cursor.description or ())
