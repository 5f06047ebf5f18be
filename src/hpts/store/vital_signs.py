"""What the database says of the ledger's state, for operators: standbys, dead versions of rows,
reconciliations, relays.

Read in one short connection that gives up soon: an operator asks every few seconds, and most of all
when the database is in trouble. It changes nothing and shows no amount.
"""

import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg

from hpts.store.connecting import connect
from hpts.store.reconcile import Reconciliation
from hpts.store.statements import sql
from hpts.store.wire import ConnectionLost

CONNECT_SECONDS_MAX = 2
SESSION = (
    "SET statement_timeout = '2s'",
    "SET lock_timeout = '1s'",
    "SET default_transaction_read_only = on",
    "SET search_path = public",
)


class Standby(msgspec.Struct, frozen=True):
    """A standby by its application_name; seconds are None while nothing is written."""

    name: str
    behind_bytes: int
    behind_seconds: float | None


class DeadVersions(msgspec.Struct, frozen=True):
    """Versions of a table's rows that no longer count, for each row that does. Thousands mean that
    a transaction open for long keeps them: each lookup of a row passes all of its versions."""

    table: str
    per_row: float


class Reconciled(msgspec.Struct, frozen=True):
    """A tenant's latest reconciliation."""

    age_seconds: float
    mismatched_account_count: int
    principal_drifted: bool


class Relayed(msgspec.Struct, frozen=True):
    """How far the slowest of a tenant's webhook endpoints is behind, what could not be delivered
    yet (`waiting`), and what was given up (`parked`)."""

    behind_blocks: int
    behind_seconds: float
    waiting: int
    parked: int


class TenantSigns(msgspec.Struct, frozen=True):
    """Of one tenant; None for what has never been."""

    tenant_id: uuid.UUID
    block_number: int | None
    reconciled: Reconciled | None
    relayed: Relayed | None


class VitalSigns(msgspec.Struct, frozen=True):
    standbys: tuple[Standby, ...]
    dead_versions: tuple[DeadVersions, ...]
    tenants: tuple[TenantSigns, ...]


def read_vital_signs(
    database_url: str, wanted: Sequence[uuid.UUID], tenants_max: int
) -> VitalSigns:
    """The state now, of active tenants: those `wanted`, then others up to `tenants_max` of all.
    Raises ConnectionLost, whatever was in the way."""
    try:
        with connect(
            database_url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS_MAX,
            application_name="hpts metrics",
        ) as connection:
            return _read(connection, wanted, tenants_max)
    except psycopg.Error as error:
        raise ConnectionLost(str(error)) from error


def _read(
    connection: psycopg.Connection[Any], wanted: Sequence[uuid.UUID], tenants_max: int
) -> VitalSigns:
    for statement in SESSION:
        connection.execute(statement.encode())
    standbys = connection.execute(sql("read_replication").encode()).fetchall()
    dead = connection.execute(sql("read_dead_versions").encode()).fetchall()
    connection.execute("SET ROLE hpts_app")
    active = [row[0] for row in connection.execute(sql("list_active_tenants").encode()).fetchall()]
    active.sort(key=lambda tenant_id: tenant_id not in wanted)
    return VitalSigns(
        tuple(Standby(*row) for row in standbys),
        tuple(DeadVersions(*row) for row in dead),
        tuple(_read_tenant(connection, tenant_id) for tenant_id in active[:tenants_max]),
    )


def _read_tenant(connection: psycopg.Connection[Any], tenant_id: uuid.UUID) -> TenantSigns:
    wanted = {"tenant_id": tenant_id}
    with connection.transaction(), connection.pipeline():
        psycopg.RawCursor(connection).execute(sql("enter_tenant").encode(), [str(tenant_id)])
        head = connection.execute(sql("read_head").encode(), wanted).fetchone()
        latest = connection.execute(sql("read_latest_reconciliation").encode(), wanted).fetchone()
        relayed = connection.execute(sql("read_relay_lag").encode(), wanted).fetchone()
    return TenantSigns(
        tenant_id,
        None if head is None else head[0],
        None if latest is None else _reconciled(*latest),
        None if relayed is None else _relayed(*relayed),
    )


def _reconciled(age_seconds: float, result: str) -> Reconciled:
    found = msgspec.json.decode(result, type=Reconciliation)
    return Reconciled(age_seconds, found.mismatched_account_count, found.principal_drifted)


def _relayed(
    behind_blocks: int, next_entry_id: uuid.UUID | None, now: float, waiting: int, parked: int
) -> Relayed:
    # An identifier begins with its milliseconds since 1970.
    since = now if next_entry_id is None else (next_entry_id.int >> 80) / 1000
    return Relayed(behind_blocks, max(0.0, now - since), waiting, parked)
