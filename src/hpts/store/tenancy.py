"""Queries for one tenant: enters it, and refuses one that is not served."""

from collections.abc import Awaitable
from typing import Protocol

from hpts.store.pool import Pool
from hpts.store.text_format import text_step
from hpts.store.wire import Rows, Step


class RunForTenant(Protocol):
    """The rows of `steps` in the tenant's transaction. Raises TenantUnknown, and what Pool.lease
    and Wire.run raise."""

    def __call__(self, tenant_id: bytes, *steps: Step) -> Awaitable[list[Rows]]: ...


class TenantUnknown(Exception):
    """The token names no tenant of this ledger, or a suspended one."""


async def run_for_tenant(
    pool: Pool, tenant_id: bytes, *steps: Step, serves_suspended: bool = False
) -> list[Rows]:
    """The rows of `steps`, in the tenant's implicit transaction, which the pipeline's end closes.
    `serves_suspended` is for the operator's commands; the API refuses a suspended tenant.

    Raises TenantUnknown, and what Pool.lease and Wire.run raise.
    """
    async with pool.lease() as wire:
        _, tenants, *found = await wire.run([*tenant_steps(tenant_id), *steps])
    if not tenants or not (serves_suspended or tenants[0][0] == b"active"):
        raise TenantUnknown
    return found


def tenant_steps(tenant_id: bytes) -> tuple[Step, Step]:
    """Enter the tenant, and read whether it is served."""
    return text_step("enter_tenant", tenant_id), text_step("read_tenant", tenant_id)
