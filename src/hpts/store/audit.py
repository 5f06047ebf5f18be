"""Records privileged actions in `audit_events`, in the transaction of the action itself.

For one of a new kind add a member to `domain.audit.Action`; then call `record_audit_event` or
`record_event_of_request`, or send an `audit_step` in a pipeline, as the LAST statement before
COMMIT: it locks the tenant's chain of events. Refusals need a line in http/audit_trail.py.
"""

import os
import pwd
import socket
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg

from hpts.domain.audit import Action, AuditEvent, Origin
from hpts.domain.identifiers import format_identifier
from hpts.domain.limits import AUDIT_TEXT_LENGTH_MAX
from hpts.store.connecting import connect
from hpts.store.pool import Pool
from hpts.store.statements import AUDIT_STATEMENTS, sql
from hpts.store.text_format import text_step
from hpts.store.wire import CONNECT_SECONDS_MAX, Step
from hpts.telemetry import logger

NO_TENANT = uuid.UUID(int=0)
"""Under which events stand that belong to no tenant; only operators see them."""


def audit_step(tenant_id: bytes, event: AuditEvent) -> Step:
    """The statement that records an event of a tenant (16 bytes) in the pipeline's transaction,
    which has entered that tenant."""
    return Step("record_audit_event", (tenant_id, *_columns(event)))


def record_audit_event(
    connection: psycopg.Connection[Any], tenant_id: uuid.UUID, event: AuditEvent
) -> None:
    """Record an event in the connection's open transaction, as the last thing in it: the rows it
    sees from here on are those of `tenant_id`. Raises psycopg.Error."""
    connection.execute(sql("set_tenant").encode(), {"tenant_id": str(tenant_id)})
    psycopg.RawCursor(connection).execute(
        sql("record_audit_event").encode(), [tenant_id, *_values(event)]
    )


def record_key_event(
    database_url: str, action: Action, subject: str, details: dict[str, Any] | None = None
) -> None:
    """Record what this command does with a key, as nobody's event. As hpts_app, which the server's
    own login may become. A database that cannot be written, as a standby, is only warned of: it
    must stop no server. Raises psycopg.Error for any other."""
    actor, origin = operator()
    event = AuditEvent(
        action=action,
        is_allowed=True,
        actor=actor,
        origin=origin,
        subject=subject,
        details=msgspec.json.encode(details or {}),
    )
    try:
        with connect(
            database_url, connect_timeout=CONNECT_SECONDS_MAX, application_name="hpts"
        ) as connection:
            connection.execute("SET ROLE hpts_app")
            record_audit_event(connection, NO_TENANT, event)
    except psycopg.errors.ReadOnlySqlTransaction:
        logger.warning("%s of %s is not recorded: the database is read-only", action.value, subject)


def record_issued_token(database_url: str, subject: str, details: dict[str, Any]) -> str | None:
    """Record that a token was issued to a subject; why it could not be, where it could not: the
    issuer needs no database."""
    try:
        record_key_event(database_url, Action.TOKEN_ISSUE, subject, details)
    except psycopg.Error as error:
        return str(error)
    return None


def is_key_recorded(database_url: str, action: Action, subject: str) -> bool:
    """Whether nobody's events tell of that action with that key. Raises psycopg.Error."""
    with connect(
        database_url, connect_timeout=CONNECT_SECONDS_MAX, application_name="hpts"
    ) as connection:
        connection.execute("SET ROLE hpts_app")
        connection.execute(sql("set_tenant").encode(), {"tenant_id": str(NO_TENANT)})
        parameters = {"tenant_id": NO_TENANT, "action": action.value, "subject": subject}
        found = connection.execute(sql("find_key_event").encode(), parameters).fetchone()
    return found is not None


async def record_event_of_request(
    connection: "psycopg.AsyncConnection[Any]", tenant_id: bytes, event: AuditEvent
) -> None:
    """As record_audit_event, in the transaction of an administrative request, which has entered
    the tenant (16 bytes). Raises psycopg.Error."""
    await psycopg.AsyncRawCursor(connection).execute(
        sql("record_audit_event").encode(), [uuid.UUID(bytes=tenant_id), *_values(event)]
    )


def operator() -> tuple[str, Origin]:
    """Who runs this command and on which host, as the operating system says."""
    user = os.getuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    return name, Origin(socket.gethostname())


class AuditWriter:
    """Records what has no transaction of its own, over one connection, opened when first needed."""

    def __init__(self, database_url: str) -> None:
        self._pool = Pool(database_url, AUDIT_STATEMENTS, size=1, waiters_max=1)

    async def record(self, tenant_id: bytes, events: Sequence[AuditEvent]) -> None:
        """Record the events of a tenant (16 bytes) in one transaction; of one that does not exist,
        as nobody's. Raises ConnectionLost, after which they may be recorded or not, StatementFailed
        and PoolBusy."""
        async with self._pool.lease() as wire:
            if tenant_id != NO_TENANT.bytes:
                mark = text_step("read_tenant_mark", tenant_id)
                _, found = await wire.run([text_step("enter_tenant", tenant_id), mark])
                if not found:
                    events = [_of_unknown_tenant(event, tenant_id) for event in events]
                    tenant_id = NO_TENANT.bytes
            steps = (audit_step(tenant_id, event) for event in events)
            await wire.run([text_step("enter_tenant", tenant_id), *steps])

    def close(self) -> None:
        self._pool.close()


def _of_unknown_tenant(event: AuditEvent, tenant_id: bytes) -> AuditEvent:
    details = {"tenant_id": format_identifier(tenant_id), **msgspec.json.decode(event.details)}
    return msgspec.structs.replace(event, details=msgspec.json.encode(details))


def _values(event: AuditEvent) -> list[Any]:
    """The parameters of record_audit_event.sql after the tenant, as psycopg takes them."""
    *texts, occurrences, details = _columns(event)
    decoded = [None if text is None else text.decode() for text in texts]
    return [*decoded, int.from_bytes(occurrences or b"", "big"), (details or b"").decode()]


def _columns(event: AuditEvent) -> tuple[bytes | None, ...]:
    """The parameters of record_audit_event.sql after the tenant, in binary format."""
    return (
        event.action.value.encode(),
        b"allowed" if event.is_allowed else b"refused",
        _text(event.actor),
        _text(event.origin.source),
        _text(event.subject),
        _text(event.problem_code),
        _text(event.origin.trace_id),
        event.occurrences.to_bytes(4, "big"),
        event.details,
    )


def _text(text: str | None) -> bytes | None:
    """Cut to what the column holds: that an action cannot be recorded must never be its text's
    fault."""
    if text is None:
        return None
    kept = text[:AUDIT_TEXT_LENGTH_MAX].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return kept.encode("utf-8", "replace")
