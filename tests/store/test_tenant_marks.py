"""What the database says of a tenant before it is served: its mark, and whether it is active."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from hpts.store.pool import Pool
from hpts.store.reads import Reads
from hpts.store.tenancy import TenantUnknown, run_for_tenant
from hpts.store.tenants import add_tenant, list_tenants, set_tenant_mtls, set_tenant_status


def ask(database_url: str, question: Callable[[Reads], Awaitable[Any]]) -> Any:
    async def answer() -> Any:
        pool = Pool.of_readers(database_url, 1, waiters_max=1)
        reads = Reads(pool, partial(run_for_tenant, pool))
        try:
            return await question(reads)
        finally:
            reads.close()

    return asyncio.run(answer())


def is_marked(database_url: str, tenant_id: uuid.UUID) -> bool | None:
    found: bool | None = ask(database_url, lambda reads: reads.requires_mtls(tenant_id.bytes))
    return found


def test_a_mark_is_set_and_taken_away(database_url: str) -> None:
    ordinary = add_tenant(database_url, "ordinary")
    partner = add_tenant(database_url, "partner", requires_mtls=True)
    assert (is_marked(database_url, ordinary), is_marked(database_url, partner)) == (False, True)
    assert set_tenant_mtls(database_url, ordinary, requires_mtls=True)
    assert set_tenant_mtls(database_url, partner, requires_mtls=False)
    assert (is_marked(database_url, ordinary), is_marked(database_url, partner)) == (True, False)
    shown = {tenant.tenant_id: tenant.requires_mtls for tenant in list_tenants(database_url)}
    assert (shown[ordinary], shown[partner]) == (True, False)


def test_a_suspended_partner_keeps_its_mark(database_url: str) -> None:
    partner = add_tenant(database_url, "partner", requires_mtls=True)
    assert set_tenant_status(database_url, partner, "suspended")
    assert is_marked(database_url, partner) is True


def test_a_tenant_that_does_not_exist_has_no_mark(database_url: str) -> None:
    unknown = uuid.uuid4()
    assert is_marked(database_url, unknown) is None
    assert not set_tenant_mtls(database_url, unknown, requires_mtls=True)


def test_only_an_active_tenant_passes_the_check(database_url: str) -> None:
    tenant_id = add_tenant(database_url, "a tenant")
    ask(database_url, lambda reads: reads.check_tenant(tenant_id.bytes))
    assert set_tenant_status(database_url, tenant_id, "suspended")
    for refused in (tenant_id, uuid.uuid4()):
        with pytest.raises(TenantUnknown):
            ask(database_url, lambda reads, refused=refused: reads.check_tenant(refused.bytes))
