"""Sums of accounts as they were known at an instant: what was posted by then, and no later entry.

Exact at any moment, however far the tables of known_fold.py are filled: what is not in them is read
line by line, which only takes longer. A read that finds much of that has it folded behind its back.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

from hpts.domain.instants import Instant
from hpts.domain.limits import UNFOLDED_BLOCKS_MAX
from hpts.store.pool import Pool
from hpts.store.reads import AccountRow
from hpts.store.tenancy import run_for_tenant
from hpts.store.wire import Rows, Step
from hpts.telemetry import logger

FOR_EVER = "infinity"

Fold = Callable[[bytes], Awaitable[object]]
"""Folds all that is new of a tenant."""


def known_steps(
    tenant_id: bytes,
    known_at: Instant,
    *,
    layer: bytes,
    currency: bytes | None,
    account_code: bytes | None,
    as_of_date: str | None,
) -> list[Step]:
    """The sums by account and currency, then how many blocks are not folded yet."""
    tenant = str(uuid.UUID(bytes=tenant_id)).encode()
    return [
        Step(
            "sum_known",
            (
                tenant,
                layer,
                currency,
                (as_of_date or FOR_EVER).encode(),
                _uuid(known_at.before_entry_id),
                _uuid(known_at.day_entry_id),
                known_at.month.isoformat().encode(),
                known_at.day.isoformat().encode(),
                account_code,
            ),
            True,
        ),
        Step("read_known_backlog", (tenant,), True),
    ]


class KnownReads:
    """Runs such queries, and has a tenant folded that is much behind; one at a time in a worker."""

    def __init__(self, pool: Pool, fold: Fold) -> None:
        self._pool = pool
        self._fold = fold
        self._folding: asyncio.Task[None] | None = None

    async def account(
        self,
        tenant_id: bytes,
        account_code: bytes,
        known_at: Instant,
        *,
        currency: bytes,
        layer: bytes,
        as_of_date: str | None,
    ) -> AccountRow | None:
        """An account's totals as they were known, of a day or of all days; None when the chart has
        no such account."""
        tenant = str(uuid.UUID(bytes=tenant_id)).encode()
        accounts, sums, backlog = await run_for_tenant(
            self._pool,
            tenant_id,
            Step("read_account", (tenant, account_code), True),
            *known_steps(
                tenant_id,
                known_at,
                layer=layer,
                currency=currency,
                account_code=account_code,
                as_of_date=as_of_date,
            ),
        )
        self.note_backlog(tenant_id, backlog)
        if not accounts:
            return None
        name, normal_balance = ((cell or b"").decode() for cell in accounts[0])
        debit, credit = (int(minor or 0) for minor in sums[0][2:]) if sums else (0, 0)
        return AccountRow(name, normal_balance, debit, credit)

    def note_backlog(self, tenant_id: bytes, backlog: Rows) -> None:
        """Have the tenant folded where a read found that much is not yet."""
        behind = int(backlog[0][0] or 0) if backlog else 0
        if behind > UNFOLDED_BLOCKS_MAX and (self._folding is None or self._folding.done()):
            self._folding = asyncio.get_running_loop().create_task(self._catch_up(tenant_id))

    async def close(self) -> None:
        """Stop what is folding; what it has committed stays."""
        if self._folding is not None:
            self._folding.cancel()
            await asyncio.wait((self._folding,))

    async def _catch_up(self, tenant_id: bytes) -> None:
        try:
            await self._fold(tenant_id)
        except Exception as error:
            logger.warning("folding what was known when: %s", error)


def _uuid(identifier: bytes) -> bytes:
    return str(uuid.UUID(bytes=identifier)).encode()
