"""Webhook endpoints: created, changed and read for a tenant. What delivers is store/relay.py's.

Secrets come and go sealed; nothing here can open one. Every change is recorded for the audit in its
own transaction.
"""

import uuid
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from hpts.domain import limits
from hpts.domain.audit import Action, AuditEvent, Origin
from hpts.store.admin_requests import AdminConnection
from hpts.store.audit import record_event_of_request
from hpts.store.feed import Position
from hpts.store.pool import Pool
from hpts.store.statements import sql
from hpts.store.tenancy import run_for_tenant
from hpts.store.text_format import encoded, identifier_text, text_of, text_or_none, text_step
from hpts.store.wire import Rows


class EndpointRow(NamedTuple):
    """An endpoint and how far it has come. Times are microseconds since 2000-01-01 UTC."""

    endpoint_id: str
    url: str
    event_types: tuple[str, ...]
    sealed_secret: bytes
    previous_sealed_secret: bytes | None
    previous_secret_until: int | None
    created_at: int
    created_by: str
    revision: int
    position: Position
    moved_at: int


class DeliveryRow(NamedTuple):
    """A delivery that did not go through at once. Times as in EndpointRow."""

    journal_entry_id: str
    block_number: int
    place: int
    status: str
    attempt_count: int
    first_attempt_at: int | None
    last_attempt_at: int | None
    next_attempt_at: int | None
    response_status: int | None
    error: str | None


class Changer(NamedTuple):
    """Who changes the endpoints of which tenant, and from where."""

    tenant_id: bytes
    actor: str
    origin: Origin


class WebhookReads:
    """The queries. All raise TenantUnknown, ConnectionLost, StatementFailed and PoolBusy."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def endpoints(
        self, tenant_id: bytes, endpoint_id: bytes | None = None
    ) -> list[EndpointRow]:
        """The tenant's endpoints, or the one."""
        wanted = None if endpoint_id is None else identifier_text(endpoint_id)
        (rows,) = await run_for_tenant(
            self._pool, tenant_id, text_step("read_webhook_endpoints", tenant_id, wanted)
        )
        return endpoint_rows(rows)

    async def deliveries(
        self,
        tenant_id: bytes,
        endpoint_id: bytes,
        *,
        before: tuple[int, int],
        count: int,
        status: str | None,
    ) -> list[DeliveryRow]:
        """At most `count` deliveries before a place in the chain, newest place first."""
        (rows,) = await run_for_tenant(
            self._pool,
            tenant_id,
            text_step(
                "read_webhook_deliveries",
                tenant_id,
                identifier_text(endpoint_id),
                b"%d" % before[0],
                b"%d" % before[1],
                b"%d" % count,
                encoded(status),
            ),
        )
        return [_delivery(row) for row in rows]


async def create_endpoint(
    connection: AdminConnection,
    by: Changer,
    *,
    endpoint_id: uuid.UUID,
    url: str,
    event_types: list[str],
    sealed_secret: bytes,
) -> bool:
    """Create an endpoint that hears of what is posted from now on; False where the tenant has as
    many as it may have. Raises psycopg.Error."""
    values = {
        "tenant_id": uuid.UUID(bytes=by.tenant_id),
        "endpoint_id": endpoint_id,
        "url": url,
        "event_types": event_types,
        "sealed_secret": sealed_secret,
        "created_by": by.actor,
        "endpoints_max": limits.WEBHOOK_ENDPOINTS_MAX,
    }
    if await _row(connection, "insert_webhook_endpoint", values) is None:
        return False
    await connection.execute(sql("insert_webhook_cursor").encode(), values)
    await _audit(connection, by, Action.WEBHOOK_CREATE, endpoint_id, {"host": _host(url)})
    return True


async def rotate_secret(
    connection: AdminConnection,
    by: Changer,
    *,
    endpoint_id: uuid.UUID,
    sealed_secret: bytes,
    hours: int,
) -> bool:
    """Give an endpoint a new secret; the one before signs as well for some hours. False where
    there is no such endpoint. Raises psycopg.Error."""
    values = {
        "tenant_id": uuid.UUID(bytes=by.tenant_id),
        "endpoint_id": endpoint_id,
        "sealed_secret": sealed_secret,
        "hours": hours,
    }
    if await _row(connection, "rotate_webhook_secret", values) is None:
        return False
    await _audit(connection, by, Action.WEBHOOK_ROTATE_SECRET, endpoint_id, {"hours": hours})
    return True


async def delete_endpoint(
    connection: AdminConnection, by: Changer, *, endpoint_id: uuid.UUID
) -> bool:
    """Delete an endpoint; False where there is no such endpoint. Raises psycopg.Error."""
    values = {"tenant_id": uuid.UUID(bytes=by.tenant_id), "endpoint_id": endpoint_id}
    found = await _row(connection, "delete_webhook_endpoint", values)
    if found is None:
        return False
    await _audit(connection, by, Action.WEBHOOK_DELETE, endpoint_id, {"host": _host(found[0])})
    return True


async def redrive(
    connection: AdminConnection,
    by: Changer,
    *,
    endpoint_id: uuid.UUID,
    journal_entry_id: uuid.UUID | None,
) -> int | None:
    """Try again now what is parked or waits, one entry or all; how many, or None where there is no
    such endpoint. Raises psycopg.Error."""
    values = {
        "tenant_id": uuid.UUID(bytes=by.tenant_id),
        "endpoint_id": endpoint_id,
        "journal_entry_id": journal_entry_id,
    }
    endpoints, count = await _row(connection, "redrive_webhook_deliveries", values) or (0, 0)
    if not endpoints:
        return None
    await _audit(connection, by, Action.WEBHOOK_REDRIVE, endpoint_id, {"redriven_count": count})
    return int(count)


def _host(url: str) -> str:
    """What the audit says of a URL: its path and query often hold a secret of the receiver's."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


async def _row(
    connection: AdminConnection, statement: str, values: dict[str, Any]
) -> tuple[Any, ...] | None:
    cursor = await connection.execute(sql(statement).encode(), values)
    return await cursor.fetchone()


async def _audit(
    connection: AdminConnection,
    by: Changer,
    action: Action,
    endpoint_id: uuid.UUID,
    details: dict[str, Any],
) -> None:
    event = AuditEvent(
        action=action,
        is_allowed=True,
        actor=by.actor,
        origin=by.origin,
        subject=str(endpoint_id),
        details=msgspec.json.encode(details),
    )
    await record_event_of_request(connection, by.tenant_id, event)


def endpoint_rows(rows: Rows) -> list[EndpointRow]:
    """Rows of read_webhook_endpoints."""
    return [_endpoint(row) for row in rows]


def _endpoint(row: tuple[bytes | None, ...]) -> EndpointRow:
    endpoint_id, url, event_types, sealed, previous, until, created_at, created_by, *rest = row
    revision, block_number, entry_count, block_hash, moved_at = rest
    return EndpointRow(
        text_of(endpoint_id),
        text_of(url),
        msgspec.json.decode(event_types or b"[]", type=tuple[str, ...]),
        bytes.fromhex(text_of(sealed)),
        None if previous is None else bytes.fromhex(previous.decode()),
        _number(until),
        int(created_at or 0),
        text_of(created_by),
        int(revision or 0),
        Position(
            int(block_number or 0),
            int(entry_count or 0),
            bytes.fromhex(text_of(block_hash)),
        ),
        int(moved_at or 0),
    )


def _delivery(row: tuple[bytes | None, ...]) -> DeliveryRow:
    entry_id, block_number, place, status, attempts, first, last, following, response, error = row
    return DeliveryRow(
        text_of(entry_id),
        int(block_number or 0),
        int(place or 0),
        text_of(status),
        int(attempts or 0),
        _number(first),
        _number(last),
        _number(following),
        _number(response),
        text_or_none(error),
    )


def _number(cell: bytes | None) -> int | None:
    return None if cell is None else int(cell)
