"""Reconciliation of one tenant: the totals against the lines, the loans against the general ledger.

It goes on from the last block that it read, or reads everything anew (a full proof); either way it
adds up lines and never trusts what it checks. It repairs nothing. The numbers of one result come
from one snapshot. Synchronous and slow: never on the event loop itself.
"""

import datetime
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg

from hpts.domain.entries import EPOCH
from hpts.domain.limits import AMOUNT_MINOR_MAX, RECONCILIATION_WAIT_SECONDS_MAX
from hpts.meters import Counter
from hpts.store.connecting import connect
from hpts.store.reconcile_altered import find_altered_block
from hpts.store.reconcile_lines import Drift, drift_of
from hpts.store.reconcile_loans import LoanDrift, Principal
from hpts.store.reconcile_run import READS_EVERYTHING, Ahead, Found, Run
from hpts.store.statements import sql
from hpts.store.tenancy import TenantUnknown
from hpts.store.wire import CONNECT_SECONDS_MAX, ConnectionLost, is_passing, sqlstate_of

LOCK_CLASS = 0x52434E43  # "RCNC"; the first half of the advisory locks under which tenants are run
STEP_WAIT_SECONDS_MAX = 1
"""For somebody else's run of the same tenant, who reads what the step would have."""
SESSION = (
    "SET ROLE hpts_app",
    "SET statement_timeout = '300s'",
    "SET jit = off",  # without nested loops the planner's costs are high enough to compile: 300 ms
    "SET search_path = public",
)


RUNS = Counter(
    "hpts_reconciliations_total",
    "Reconciliations by what they found, of all tenants.",
    ("result",),
    (("ok",), ("drift",)),
)


class ReconciliationBusy(Exception):
    """The tenant is being reconciled, and nothing is known of this day yet."""


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `principal` has every currency, and the two amounts are those of the primary
    one, the currency of the tenant's first entry: minor units, None when below zero or above int64.
    """

    as_of_date: datetime.date
    checked_at: datetime.datetime
    mismatched_account_count: int
    gl_principal_minor: int | None
    sum_of_loan_balances_minor: int | None
    principal_drifted: bool
    is_full: bool = True
    through_block: int = 0
    entry_count: int = 0
    drifts: tuple[Drift, ...] = ()
    loan_drifts: tuple[LoanDrift, ...] = ()
    principal: tuple[Principal, ...] = ()
    primary_currency: str | None = None
    altered_block: int | None = None
    """The first block with entries that are not what was posted; looked for by a full proof that
    found drift."""

    @property
    def is_sound(self) -> bool:
        return not self.mismatched_account_count and not self.principal_drifted


def reconcile(
    database_url: str,
    tenant_id: uuid.UUID,
    as_of_date: datetime.date | None,
    *,
    is_full: bool = False,
    wait_seconds: int = RECONCILIATION_WAIT_SECONDS_MAX,
    ahead: Ahead | None = None,
    on_one_core: bool = False,
) -> Reconciliation:
    """The state now, or the one kept for a past day. Raises TenantUnknown, ReconciliationBusy,
    ConnectionLost, psycopg.Error.

    None or today counts everything and goes on from the last run; `is_full` reads all lines anew. A
    past day without a kept result is computed as of that day. Both are kept. A day to come is
    answered as now, and not kept. Where somebody else reconciles the tenant for longer than
    `wait_seconds`, the answer is the latest result that is kept. `ahead` tells what the caller's
    own steps (`step_ahead`) added before; `on_one_core` has PostgreSQL use no parallel workers, so
    that postings keep the others.
    """
    with _as_app(database_url) as connection:
        if on_one_core:
            connection.execute("SET max_parallel_workers_per_gather = 0")
        with _tenant_snapshot(connection, tenant_id) as checked_at:
            today = checked_at.date()
            day = today if as_of_date is None else as_of_date
            if day < today:
                kept = None if is_full else _read_kept(connection, tenant_id, day)
                if kept is not None:
                    return kept
                result = _compute_past(connection, tenant_id, day, checked_at)
        if day >= today:
            try:
                result = _reconcile_now(
                    connection,
                    database_url,
                    tenant_id,
                    day,
                    is_full=is_full,
                    wait_seconds=wait_seconds,
                    ahead=ahead or Ahead(),
                )
            except psycopg.errors.LockNotAvailable:
                return _latest(connection, tenant_id, day)
        if day <= today:
            _keep(connection, tenant_id, result)
    RUNS.add(RUNS.cell_of("ok" if result.is_sound else "drift"))
    return result


def step_ahead(database_url: str, tenant_id: uuid.UUID, ahead: Ahead, *, lines_max: int) -> bool:
    """Add about so many of the lines that no run has read to what is kept of them, and note in
    `ahead` what they touch; nothing is compared. Whether there was more than that: if not, nothing
    is done and `reconcile` is next. Raises TenantUnknown, ReconciliationBusy, ConnectionLost,
    psycopg.Error.

    So that much that is new can be read with rests in between, and no run takes long.
    """
    with _as_app(database_url) as connection:
        try:
            _lock(connection, tenant_id, STEP_WAIT_SECONDS_MAX)
            with _tenant_snapshot(connection, tenant_id) as now:
                return Run(connection, tenant_id, now).step(ahead, lines_max=lines_max)
        except psycopg.errors.LockNotAvailable:
            raise ReconciliationBusy from None


@contextmanager
def _as_app(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        with connect(
            database_url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS_MAX,
            application_name="hpts reconcile",
        ) as connection:
            connection.execute("; ".join(SESSION).encode())
            yield connection
    except psycopg.Error as error:
        if is_passing(sqlstate_of(error)):
            raise ConnectionLost(str(error)) from error
        raise


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


def _reconcile_now(
    connection: psycopg.Connection[Any],
    database_url: str,
    tenant_id: uuid.UUID,
    day: datetime.date,
    *,
    is_full: bool,
    wait_seconds: int,
    ahead: Ahead,
) -> Reconciliation:
    _lock(connection, tenant_id, wait_seconds)
    with _tenant_snapshot(connection, tenant_id) as checked_at:
        found = Run(connection, tenant_id, checked_at).run(is_full=is_full, ahead=ahead)
        primary = _primary_currency(connection, tenant_id)
        altered_block = None
        if found.is_full and found.drifts:
            altered_block = find_altered_block(connection, database_url, tenant_id)
    result = _result(day, checked_at, primary, found)
    return msgspec.structs.replace(result, altered_block=altered_block)


def _lock(connection: psycopg.Connection[Any], tenant_id: uuid.UUID, wait_seconds: int) -> None:
    """The tenant's lock, to be taken before the snapshot: so nobody has written since what a run
    writes. The connection's end releases it. Raises psycopg.errors.LockNotAvailable."""
    connection.execute(f"SET lock_timeout = '{wait_seconds}s'".encode())
    lock = {"lock_class": LOCK_CLASS, "tenant_id": str(tenant_id)}
    connection.execute(sql("lock_reconciliation").encode(), lock)


def _compute_past(
    connection: psycopg.Connection[Any],
    tenant_id: uuid.UUID,
    day: datetime.date,
    checked_at: datetime.datetime,
) -> Reconciliation:
    for setting in READS_EVERYTHING:
        connection.execute(setting.encode())
    wanted = {"tenant_id": tenant_id, "as_of_date": day}
    drifts = [
        drift_of(row, agreed_block=0)
        for row in connection.execute(sql("find_drift_as_of").encode(), wanted).fetchall()
    ]
    principal = [
        Principal(currency, str(int(by_ledger)), str(int(by_loans)))
        for currency, by_ledger, by_loans in connection.execute(
            sql("compare_principal_as_of").encode(), wanted
        ).fetchall()
    ]
    found = Found(
        is_full=True,
        through_block=0,
        entry_count=0,
        drifts=tuple(drifts),
        loan_drifts=(),
        principal=tuple(principal),
    )
    return _result(day, checked_at, _primary_currency(connection, tenant_id), found)


def _result(
    day: datetime.date, checked_at: datetime.datetime, primary: str | None, found: Found
) -> Reconciliation:
    by_currency = {one.currency: one for one in found.principal}
    of_primary = by_currency.get(primary or "", Principal("", "0", "0"))
    return Reconciliation(
        as_of_date=day,
        checked_at=checked_at,
        mismatched_account_count=len({drift.account_code for drift in found.drifts}),
        gl_principal_minor=_amount(of_primary.by_ledger_minor),
        sum_of_loan_balances_minor=_amount(of_primary.by_loans_minor),
        principal_drifted=bool(found.loan_drifts) or any(one.is_drifted for one in found.principal),
        is_full=found.is_full,
        through_block=found.through_block,
        entry_count=found.entry_count,
        drifts=found.drifts,
        loan_drifts=found.loan_drifts,
        principal=found.principal,
        primary_currency=primary,
    )


def _amount(minor: str) -> int | None:
    return int(minor) if 0 <= int(minor) <= AMOUNT_MINOR_MAX else None


def _primary_currency(connection: psycopg.Connection[Any], tenant_id: uuid.UUID) -> str | None:
    wanted = {"tenant_id": tenant_id}
    row = connection.execute(sql("read_primary_currency").encode(), wanted).fetchone()
    return None if row is None else row[0]


def _latest(
    connection: psycopg.Connection[Any], tenant_id: uuid.UUID, day: datetime.date
) -> Reconciliation:
    """The latest result of now, which says itself when it was found."""
    with _tenant_snapshot(connection, tenant_id) as checked_at:
        kept = _read_kept(connection, tenant_id, checked_at.date())
    if kept is None:
        raise ReconciliationBusy
    return msgspec.structs.replace(kept, as_of_date=day)


def _read_kept(
    connection: psycopg.Connection[Any], tenant_id: uuid.UUID, day: datetime.date
) -> Reconciliation | None:
    row = connection.execute(
        sql("read_reconciliation").encode(), {"tenant_id": tenant_id, "as_of_date": day}
    ).fetchone()
    return None if row is None else msgspec.json.decode(row[0], type=Reconciliation)


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
