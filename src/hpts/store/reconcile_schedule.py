"""Reconciles every tenant now and then, by one worker of all that share the database.

On the way it folds what was posted into the totals by posting (known_fold.py) and matches bank
accounts, so that a payment posted after its statement line is found. An advisory lock decides which
worker it is; when that one ends another takes its place. A thread of its own holds up nobody.
"""

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg

from hpts.store.admin_requests import AdminRequests
from hpts.store.bank_matches import refresh_all
from hpts.store.bank_session import BankSessions
from hpts.store.known_fold import fold_some
from hpts.store.reconcile import Reconciliation, ReconciliationBusy, reconcile
from hpts.store.statements import sql
from hpts.store.tenancy import TenantUnknown
from hpts.store.wire import ConnectionLost, StatementFailed
from hpts.telemetry import logger

ELECTION_LOCK = 0x5245434F4E  # "RECON"
CONNECT_SECONDS_MAX = 3
LOANS_SHOWN_MAX = 3
RESTS = 9
"""It rests so many times as long as it worked: at saturation, where much is new each time, it takes
a tenth of one core and no more from the postings."""
FOLD_SECONDS_MAX = 10
"""For one tenant in a round; what is left is folded in the next, or by a read that needs it."""


class ReconcileSchedule:
    """`every_seconds` between two rounds over the tenants, `full_every_seconds` between two full
    proofs of one."""

    def __init__(
        self, database_url: str, *, every_seconds: float, full_every_seconds: float
    ) -> None:
        self._database_url = database_url
        self._every_seconds = every_seconds
        self._full_every_seconds = full_every_seconds
        self._is_stopping = threading.Event()

    def start(self) -> None:
        """Begin; the first round comes after an interval."""
        threading.Thread(target=self._run, name="reconcile", daemon=True).start()

    def stop(self) -> None:
        """Begin no other tenant. What runs ends with the process, and loses nothing."""
        self._is_stopping.set()

    def _run(self) -> None:
        while not self._is_stopping.wait(self._every_seconds):
            try:
                self._serve_while_elected()
            except (psycopg.Error, ConnectionLost, StatementFailed) as error:
                logger.warning("reconciliation by schedule: %s", error)
            except Exception as error:  # the next round may do better
                logger.error("reconciliation by schedule: %r", error, exc_info=error)

    def _serve_while_elected(self) -> None:
        with psycopg.connect(
            self._database_url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS_MAX,
            application_name="hpts reconcile",
        ) as connection:
            connection.execute("SET ROLE hpts_app")
            elected = connection.execute(
                sql("elect_reconciler").encode(), {"election_lock": ELECTION_LOCK}
            ).fetchone()
            while elected and elected[0] and not self._is_stopping.is_set():
                started = time.monotonic()
                for tenant_id, is_full in self._find_due(connection):
                    self._reconcile(tenant_id, is_full=is_full)
                took = time.monotonic() - started
                self._is_stopping.wait(max(self._every_seconds - took, took * RESTS))

    def _find_due(self, connection: psycopg.Connection[Any]) -> Iterator[tuple[uuid.UUID, bool]]:
        """Tenants with blocks that no run has read, or whose full proof is due (True). On the way,
        what of them is to be matched and folded."""
        tenants = connection.execute(sql("list_active_tenants").encode()).fetchall()
        for (tenant_id,) in tenants:
            if self._is_stopping.is_set():
                return
            with connection.transaction():
                connection.execute(sql("set_tenant").encode(), {"tenant_id": str(tenant_id)})
                due = connection.execute(
                    sql("read_reconciliation_due").encode(),
                    {"tenant_id": tenant_id, "full_every_seconds": self._full_every_seconds},
                ).fetchone()
                bank_is_due = connection.execute(
                    sql("read_bank_accounts_due").encode(), {"tenant_id": tenant_id}
                ).fetchone()
            if bank_is_due is not None:
                self._match(tenant_id)
            if due is not None:
                self._fold(tenant_id)
                yield tenant_id, due[0]

    def _match(self, tenant_id: uuid.UUID) -> None:
        """The tenant's bank accounts. What fails here fails no other tenant."""
        sessions = BankSessions(AdminRequests(self._database_url))
        try:
            asyncio.run(refresh_all(sessions, tenant_id.bytes))
        except TenantUnknown:
            return  # suspended meanwhile
        except Exception as error:  # the next round may do better
            logger.error("matching bank accounts of tenant %s: %r", tenant_id, error)

    def _fold(self, tenant_id: uuid.UUID) -> None:
        """What was posted since the last round, so that no read of what was known is far behind."""
        deadline = time.monotonic() + FOLD_SECONDS_MAX
        try:
            while time.monotonic() < deadline and not self._is_stopping.is_set():
                if not asyncio.run(fold_some(self._database_url, tenant_id.bytes)):
                    return
        except TenantUnknown:
            return  # suspended meanwhile
        except Exception as error:  # reconciling needs none of it; the next round may do better
            logger.error("folding totals by posting of tenant %s: %r", tenant_id, error)

    def _reconcile(self, tenant_id: uuid.UUID, *, is_full: bool) -> None:
        try:
            result = reconcile(self._database_url, tenant_id, None, is_full=is_full)
        except (TenantUnknown, ReconciliationBusy):
            return  # suspended meanwhile, or somebody else is at it
        if not result.is_sound:
            logger.error("tenant %s has drifted: %s", tenant_id, describe_drift(result))


def describe_drift(result: Reconciliation) -> str:
    """In a line: the accounts, the loans, and where it began."""
    accounts = sorted({f"{drift.account_code:04d}" for drift in result.drifts})
    blocks = [drift.first_block for drift in result.drifts if drift.first_block is not None]
    loans = [drift.loan_id for drift in result.loan_drifts]
    parts = []
    if accounts:
        parts.append(f"accounts {', '.join(accounts)}")
    if loans:
        more = ", ..." if len(loans) > LOANS_SHOWN_MAX else ""
        parts.append(f"loans {', '.join(loans[:LOANS_SHOWN_MAX])}{more}")
    if result.altered_block is not None:
        parts.append(f"block {result.altered_block} is not what was posted")
    elif blocks:
        parts.append(f"from block {min(blocks)} on")
    return "; ".join(parts) or "principal by currency"
