"""One transaction of a tenant that concerns its bank accounts.

A bank account is changed under the lock of its cursor, so that imports, matching and undoing of one
account come one after the other.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import psycopg

from hpts.domain.audit import UNKNOWN_ORIGIN, Action, AuditEvent, Origin
from hpts.domain.bank_accounts import BankAccount
from hpts.domain.limits import BANK_ROWS_AT_ONCE
from hpts.store.admin_requests import AdminConnection, AdminRequests
from hpts.store.audit import record_event_of_request
from hpts.store.statements import sql

MATCHING_PAUSE = "60s"
"""How long the matching of 100,000 items may think between two statements."""


class Actor(NamedTuple):
    """Who does something, and from where."""

    name: str
    origin: Origin = UNKNOWN_ORIGIN


class BankCursor(NamedTuple):
    """Up to which block an account's cash lines are taken over, and whether items that came or were
    set free since wait for the rules."""

    block_number: int
    matching_is_due: bool


class BankSession:
    """A transaction that has entered the tenant (16 bytes). Everything raises psycopg.Error."""

    def __init__(self, connection: AdminConnection, tenant_id: bytes) -> None:
        self._connection = connection
        self._tenant_id = tenant_id

    async def run(self, statement: str, **values: Any) -> psycopg.AsyncCursor[Any]:
        """Run a statement of store/sql with the tenant and `values`."""
        tenant = uuid.UUID(bytes=self._tenant_id)
        return await self._connection.execute(
            sql(statement).encode(), {"tenant_id": tenant, **values}
        )

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        """The rows of a statement. They are made into objects some at a time, so that a long answer
        does not hold up what else the worker does."""
        cursor = await self.run(statement, **values)
        found = await cursor.fetchmany(BANK_ROWS_AT_ONCE)
        while len(found) < cursor.rowcount:
            await asyncio.sleep(0)
            found += await cursor.fetchmany(BANK_ROWS_AT_ONCE)
        return found

    async def row(self, statement: str, **values: Any) -> Any:
        """The only row of a statement, or None."""
        return await (await self.run(statement, **values)).fetchone()

    async def lock(self, bank_account_ref: str) -> BankCursor:
        """Lock a bank account to the end of the transaction, which may take its time from here on.
        Raises LookupError where there is no such account."""
        await self.run("allow_pause_in_transaction", pause=MATCHING_PAUSE)
        row = await self.row("lock_bank_account", bank_account_ref=bank_account_ref)
        if row is None:
            raise LookupError(bank_account_ref)
        return BankCursor(*row)

    async def bank_accounts(self) -> list[BankAccount]:
        """The tenant's bank accounts, by reference."""
        rows = await self.rows("read_bank_accounts")
        return [BankAccount(row[0], row[1], row[2], tuple(row[3])) for row in rows]

    async def record(
        self, action: Action, subject: str, details: dict[str, Any], actor: Actor
    ) -> None:
        """Leave an audit event, as the last thing in the transaction."""
        event = AuditEvent(
            action=action,
            is_allowed=True,
            actor=actor.name,
            origin=actor.origin,
            subject=subject,
            details=msgspec.json.encode(details),
        )
        await record_event_of_request(self._connection, self._tenant_id, event)


class BankSessions:
    """Such transactions on a database, a few at a time. All raise TenantUnknown, PoolBusy,
    ConnectionLost and StatementFailed."""

    def __init__(self, requests: AdminRequests) -> None:
        self._requests = requests

    @asynccontextmanager
    async def open(self, tenant_id: bytes) -> AsyncIterator[BankSession]:
        """A transaction, committed at the end of the block, rolled back where it raises."""
        async with self._requests.transaction(tenant_id) as connection:
            yield BankSession(connection, tenant_id)
