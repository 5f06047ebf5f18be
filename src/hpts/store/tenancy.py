"""Queries for one tenant: enters it, and refuses one that is not served."""

import uuid

from hpts.store.pool import Pool
from hpts.store.wire import Rows, Step


class TenantUnknown(Exception):
    """The token names no tenant of this ledger, or a suspended one."""


async def run_for_tenant(
    pool: Pool, tenant_id: bytes, *steps: Step, serves_suspended: bool = False
) -> list[Rows]:
    """The rows of `steps`, in the tenant's implicit transaction, which the pipeline's end closes.
    `serves_suspended` is for the operator's commands; the API refuses a suspended tenant.

    Raises TenantUnknown, and what Pool.lease and Wire.run raise.
    """
    tenant = str(uuid.UUID(bytes=tenant_id)).encode()
    async with pool.lease() as wire:
        _, tenants, *found = await wire.run(
            [
                Step("enter_tenant", (tenant,), True),
                Step("read_tenant", (tenant,), True),
                *steps,
            ]
        )
    if not tenants or not (serves_suspended or tenants[0][0] == b"active"):
        raise TenantUnknown
    return found
