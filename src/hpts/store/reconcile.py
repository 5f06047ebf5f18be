"""Reconciliation of one tenant: the totals against the lines, the loans against the general ledger.

It recomputes from the lines on every call and never trusts what it checks. It repairs nothing. The
numbers of one result come from one snapshot. Synchronous and slow: never on the event loop itself.
"""

import datetime
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg

from hpts.domain.entries import EPOCH
from hpts.domain.limits import AMOUNT_MINOR_MAX
from hpts.store.statements import sql
from hpts.store.tenancy import TenantUnknown
from hpts.store.wire import ConnectionLost

CONNECT_SECONDS_MAX = 3
SESSION = (
    "SET ROLE hpts_app",
    "SET statement_timeout = '120s'",
    "SET jit = off",  # without nested loops the planner's costs are high enough to compile: 300 ms
    # As in verify_snapshot.py: these statements read everything.
    "SET enable_nestloop = off",
)


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. The amounts are control totals: sums in minor units over all currencies,
    which say nothing but that they agree; None when below zero or above int64."""

    as_of_date: datetime.date
    checked_at: datetime.datetime
    mismatched_account_count: int
    gl_principal_minor: int | None
    sum_of_loan_balances_minor: int | None
    principal_drifted: bool


def reconcile(
    database_url: str, tenant_id: uuid.UUID, as_of_date: datetime.date | None
) -> Reconciliation:
    """The state now, or the one kept for a past day. Raises TenantUnknown,
    ConnectionLost, psycopg.Error.

    None or today counts everything and is computed each time; a past day without a kept result is
    computed as of that day. Both are kept. A day to come is answered as now, and not kept.
    """
    with _as_app(database_url) as connection:
        with _tenant_snapshot(connection, tenant_id) as checked_at:
            today = checked_at.date()
            day = today if as_of_date is None else as_of_date
            if day < today and (kept := _read_kept(connection, tenant_id, day)):
                return kept
            result = _compute(
                connection, tenant_id, day, is_past=day < today, checked_at=checked_at
            )
        if day <= today:
            _keep(connection, tenant_id, result)
    return result


@contextmanager
def _as_app(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        with psycopg.connect(
            database_url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS_MAX,
            application_name="hpts reconcile",
        ) as connection:
            for statement in SESSION:
                connection.execute(statement.encode())
            yield connection
    except psycopg.OperationalError as error:
        raise ConnectionLost(str(error)) from error


@contextmanager
def _tenant_snapshot(
    connection: psycopg.Connection[Any], tenant_id: uuid.UUID
) -> Iterator[datetime.datetime]:
    """One snapshot of the tenant's rows; yields the database's clock."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with connection.transaction():
        _enter(connection, tenant_id)
        cursor = psycopg.RawCursor(connection)
        tenant = cursor.execute(sql("read_tenant").encode(), [tenant_id]).fetchone()
        if tenant is None or tenant[0] != "active":
            raise TenantUnknown
        yield EPOCH + datetime.timedelta(microseconds=tenant[1])


def _enter(connection: psycopg.Connection[Any], tenant_id: uuid.UUID) -> None:
    psycopg.RawCursor(connection).execute(sql("enter_tenant").encode(), [str(tenant_id)])


def _read_kept(
    connection: psycopg.Connection[Any], tenant_id: uuid.UUID, day: datetime.date
) -> Reconciliation | None:
    row = connection.execute(
        sql("read_reconciliation").encode(), {"tenant_id": tenant_id, "as_of_date": day}
    ).fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=Reconciliation)


def _compute(
    connection: psycopg.Connection[Any],
    tenant_id: uuid.UUID,
    day: datetime.date,
    *,
    is_past: bool,
    checked_at: datetime.datetime,
) -> Reconciliation:
    drift = "find_drift_as_of" if is_past else "find_drift"
    principal = "compare_principal_as_of" if is_past else "compare_principal"
    wanted = {"tenant_id": tenant_id, "as_of_date": day}
    drifted = connection.execute(sql(drift).encode(), wanted).fetchall()
    by_currency = connection.execute(sql(principal).encode(), wanted).fetchall()
    return Reconciliation(
        as_of_date=day,
        checked_at=checked_at,
        mismatched_account_count=len({account_code for account_code, *_ in drifted}),
        gl_principal_minor=_control_total(ledger for _, ledger, _ in by_currency),
        sum_of_loan_balances_minor=_control_total(loans for _, _, loans in by_currency),
        principal_drifted=any(ledger != loans for _, ledger, loans in by_currency),
    )


def _control_total(amounts: Iterator[Any]) -> int | None:
    total = sum(int(amount) for amount in amounts)
    return total if 0 <= total <= AMOUNT_MINOR_MAX else None


def _keep(
    connection: psycopg.Connection[Any], tenant_id: uuid.UUID, result: Reconciliation
) -> None:
    """A transaction of its own: in the snapshot's, two reconciliations of a tenant at once would
    fail each other (40001). The later result of a day wins."""
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    with connection.transaction():
        _enter(connection, tenant_id)
        connection.execute(
            sql("keep_reconciliation").encode(),
            {
                "tenant_id": tenant_id,
                "as_of_date": result.as_of_date,
                "checked_at": result.checked_at,
                "result": msgspec.json.encode(result).decode(),
            },
        )
