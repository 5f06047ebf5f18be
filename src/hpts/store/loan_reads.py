"""What loans owe now: whoever asks while a query runs is answered together by the next one.

Under load one query answers dozens of requests for little more than the price of one; alone a
request waits for nobody.
"""

import asyncio
from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from hpts._posting import array_of
from hpts.domain import limits
from hpts.store.lanes import LaneFull, Lanes
from hpts.store.pool import PoolBusy
from hpts.store.tenancy import RunForTenant
from hpts.store.wire import Step

OID_UUID = 2950
_int64 = Struct(">q")


class LoanRow(NamedTuple):
    """What a loan owes now, in minor units; `last_activity_at` counts as in Batch."""

    currency: str
    principal_minor: int
    interest_minor: int
    fees_minor: int
    last_activity_at: int | None


class _Asked(NamedTuple):
    loan_id: bytes
    found: asyncio.Future[LoanRow | None]


class LoanReads:
    """Reads of single loans, gathered by tenant."""

    def __init__(self, run: RunForTenant) -> None:
        self._run = run
        self._lanes: Lanes[_Asked] = Lanes(
            self._answer,
            writers=limits.READERS_PER_WORKER,
            per_tenant=1,
            batch_max=limits.LOANS_PER_READ_MAX,
            queue_max=limits.READ_WAITERS_MAX,
            retry_seconds=0,
        )

    async def read(self, tenant_id: bytes, loan_id: bytes) -> LoanRow | None:
        """The loan, or None. Raises TenantUnknown, PoolBusy, ConnectionLost, StatementFailed."""
        asked = _Asked(loan_id, asyncio.get_running_loop().create_future())
        try:
            self._lanes.submit(tenant_id, asked)
        except LaneFull:
            raise PoolBusy from None
        return await asked.found

    async def _answer(self, tenant_id: bytes, asked: Sequence[_Asked]) -> Sequence[_Asked]:
        try:
            rows = await self._read(tenant_id, {one.loan_id for one in asked})
        except Exception as error:
            for one in asked:
                if not one.found.done():
                    one.found.set_exception(error)
        else:
            for one in asked:
                if not one.found.done():
                    one.found.set_result(rows.get(one.loan_id))
        return ()

    async def _read(self, tenant_id: bytes, loan_ids: set[bytes]) -> dict[bytes, LoanRow]:
        wanted = array_of(OID_UUID, list(loan_ids))
        (rows,) = await self._run(tenant_id, Step("read_loan_balances", (tenant_id, wanted)))
        return {row[0] or b"": _loan(row) for row in rows}


def _loan(row: tuple[bytes | None, ...]) -> LoanRow:
    _, currency, *numbers = row
    return LoanRow((currency or b"").decode(), *(_int64.unpack(cell or b"")[0] for cell in numbers))
