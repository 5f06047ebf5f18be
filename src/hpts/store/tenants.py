"""Tenants: a new one gets its chart of accounts and block 0 in one transaction; as hpts_owner.

Every change leaves an audit event in its own transaction, and so does one of a tenant that is not.
"""

import datetime
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import psycopg

from hpts.domain.accounts import TEMPLATE
from hpts.domain.audit import Action, AuditEvent
from hpts.domain.rejections import Rejection
from hpts.store.audit import NO_TENANT, operator, record_audit_event
from hpts.store.connecting import connect
from hpts.store.statements import sql
from hpts.store.wire import CONNECT_SECONDS_MAX


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
        details = msgspec.json.encode({"name": name, "requires_mtls": requires_mtls})
        _record(connection, made, Action.TENANT_ADD, details=details)
    return made


def list_tenants(database_url: str) -> list[Tenant]:
    """Every tenant, oldest first. Raises psycopg.Error."""
    with as_owner(database_url) as connection:
        return [Tenant(*row) for row in connection.execute(sql("list_tenants").encode()).fetchall()]


def set_tenant_status(database_url: str, tenant_id: uuid.UUID, status: str) -> bool:
    """Suspend a tenant or let it work again; False when there is no such tenant."""
    action = Action.TENANT_RESUME if status == "active" else Action.TENANT_SUSPEND
    return _change(database_url, tenant_id, action, "set_tenant_status", {"status": status})


def set_tenant_mtls(database_url: str, tenant_id: uuid.UUID, *, requires_mtls: bool) -> bool:
    """Mark a tenant as one that must come over mutual TLS, or as an ordinary one; False when there
    is no such tenant."""
    action = Action.TENANT_REQUIRE_MTLS if requires_mtls else Action.TENANT_WAIVE_MTLS
    return _change(
        database_url, tenant_id, action, "set_tenant_mtls", {"requires_mtls": requires_mtls}
    )


def set_late_postings(database_url: str, tenant_id: uuid.UUID, policy: str) -> bool:
    """What becomes of postings into a closed period: `refuse` or `move`; False when there is no
    such tenant."""
    return _change(
        database_url,
        tenant_id,
        Action.TENANT_PERIOD_POLICY,
        "set_late_postings",
        {"late_postings": policy},
        details=b'{"late_postings":"%s"}' % policy.encode(),
    )


def _change(
    database_url: str,
    tenant_id: uuid.UUID,
    action: Action,
    statement: str,
    values: dict[str, Any],
    *,
    details: bytes = b"{}",
) -> bool:
    with as_owner(database_url) as connection, connection.transaction():
        changed = connection.execute(sql(statement).encode(), {"tenant_id": tenant_id, **values})
        is_known = changed.rowcount == 1
        _record(connection, tenant_id, action, is_known=is_known, details=details)
    return is_known


def _record(
    connection: psycopg.Connection[Any],
    tenant_id: uuid.UUID,
    action: Action,
    *,
    is_known: bool = True,
    details: bytes = b"{}",
) -> None:
    """What was done to a tenant, in its own record; where there is none, in nobody's."""
    actor, origin = operator()
    event = AuditEvent(
        action=action,
        is_allowed=is_known,
        actor=actor,
        origin=origin,
        subject=str(tenant_id),
        problem_code=None if is_known else Rejection.TENANT_UNKNOWN.value,
        details=details,
    )
    record_audit_event(connection, tenant_id if is_known else NO_TENANT, event)


@contextmanager
def as_owner(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection in the role hpts_owner, autocommitting."""
    with connect(
        database_url,
        autocommit=True,
        connect_timeout=CONNECT_SECONDS_MAX,
        application_name="hpts",
    ) as connection:
        connection.execute("SET ROLE hpts_owner")
        yield connection
