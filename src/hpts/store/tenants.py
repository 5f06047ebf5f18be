"""Tenants: a new one gets its chart of accounts and block 0 in one transaction; as hpts_owner."""

import datetime
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg

from hpts.domain.accounts import TEMPLATE
from hpts.store.statements import sql


class Tenant(NamedTuple):
    """A tenant as the operator sees it."""

    tenant_id: uuid.UUID
    name: str
    status: str
    created_at: datetime.datetime
    requires_mtls: bool


def add_tenant(
    database_url: str,
    name: str,
    tenant_id: uuid.UUID | None = None,
    *,
    requires_mtls: bool = False,
) -> uuid.UUID:
    """Create a tenant and return its id. Raises ValueError for a bad name, psycopg.Error."""
    if not 1 <= len(name) <= 200 or not name.isprintable():
        raise ValueError("a tenant's name has 1 to 200 printable characters")
    made = uuid.uuid4() if tenant_id is None else tenant_id
    with as_owner(database_url) as connection, connection.transaction():
        connection.execute(sql("set_tenant").encode(), {"tenant_id": str(made)})
        connection.execute(
            sql("insert_tenant").encode(),
            {"tenant_id": made, "name": name, "requires_mtls": requires_mtls},
        )
        for account in TEMPLATE:
            connection.execute(
                sql("insert_account").encode(), {"tenant_id": made, **account._asdict()}
            )
        connection.execute(sql("insert_head").encode(), {"tenant_id": made})
    return made


def list_tenants(database_url: str) -> list[Tenant]:
    """Every tenant, oldest first. Raises psycopg.Error."""
    with as_owner(database_url) as connection:
        return [Tenant(*row) for row in connection.execute(sql("list_tenants").encode()).fetchall()]


def set_tenant_status(database_url: str, tenant_id: uuid.UUID, status: str) -> bool:
    """Suspend a tenant or let it work again; False when there is no such tenant."""
    with as_owner(database_url) as connection:
        changed = connection.execute(
            sql("set_tenant_status").encode(), {"tenant_id": tenant_id, "status": status}
        )
        return changed.rowcount == 1


def set_tenant_mtls(database_url: str, tenant_id: uuid.UUID, *, requires_mtls: bool) -> bool:
    """Mark a tenant as one that must come over mutual TLS, or as an ordinary one; False when there
    is no such tenant."""
    with as_owner(database_url) as connection:
        changed = connection.execute(
            sql("set_tenant_mtls").encode(),
            {"tenant_id": tenant_id, "requires_mtls": requires_mtls},
        )
        return changed.rowcount == 1


@contextmanager
def as_owner(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection in the role hpts_owner, autocommitting."""
    with psycopg.connect(database_url, autocommit=True, application_name="hpts") as connection:
        connection.execute("SET ROLE hpts_owner")
        yield connection
