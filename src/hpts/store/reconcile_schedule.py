"""Reconciles every tenant now and then, by one worker of all that share the database.

On the way it folds what was posted into the totals by posting (known_fold.py) and matches bank
accounts, so that a payment posted after its statement line is found. An advisory lock decides which
worker it is; when that one ends another takes its place. It works in short steps with rests between
them, in a thread of its own.
"""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import psycopg

from hpts.store.admin_requests import AdminRequests
from hpts.store.bank_matches import refresh_all
from hpts.store.bank_session import BankSessions
from hpts.store.connecting import connect
from hpts.store.known_fold import fold_some
from hpts.store.reconcile import (
    Reconciliation,
    ReconciliationBusy,
    reconcile,
    step_ahead,
)
from hpts.store.reconcile_run import Ahead
from hpts.store.statements import sql
from hpts.store.tenancy import TenantUnknown
from hpts.store.wire import ConnectionLost, StatementFailed
from hpts.telemetry import logger

ELECTION_LOCK = 0x5245434F4E  # "RECON"
CONNECT_SECONDS_MAX = 3
LOANS_SHOWN_MAX = 3
RESTS = 4
"""After every step it rests so many times as long as that took: where much is new it takes a fifth
of one core, a tenth of a second at a time. Taken at once, payments waited behind it for 2 s."""
STEP_LINES, STEP_SLICES = 16_384, 4
"""What a step reads, and what it folds: some 3,500 payments, in 60 to 110 ms where nothing else
runs. A step less long would pay for its connection more than for its lines."""
REST_SECONDS_MAX = 60.0
"""After what was no short step: a full proof."""
STEPS_SECONDS_MAX = 120
"""For one tenant in a round to fold, and as long again to read; what is left waits for the next
round, or for a read that needs it."""


Result = TypeVar("Result")


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
        """Begin no other step or tenant. What runs ends with the process, and loses nothing."""
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
        with connect(
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
                for (tenant_id,) in connection.execute(
                    sql("list_active_tenants").encode()
                ).fetchall():
                    if self._is_stopping.is_set():
                        return
                    self._serve(connection, tenant_id)
                took = time.monotonic() - started
                self._is_stopping.wait(max(0, self._every_seconds - took))

    def _serve(self, connection: psycopg.Connection[Any], tenant_id: uuid.UUID) -> None:
        """What of the tenant is due: matching, folding, and reconciling where it has blocks that no
        run has read, or its full proof is due."""
        due, bank_is_due = self._paced(partial(self._find_due, connection, tenant_id))
        if bank_is_due:
            self._paced(partial(self._match, tenant_id))
        if due is not None:
            self._fold(tenant_id)
            self._reconcile(tenant_id, is_full=due)

    def _paced(self, step: Callable[[], Result]) -> Result:
        """Take a step, and rest in proportion; one that fails is followed by no rest."""
        started = time.monotonic()
        result = step()
        took = time.monotonic() - started
        self._is_stopping.wait(min(took * RESTS, REST_SECONDS_MAX))
        return result

    def _find_due(
        self, connection: psycopg.Connection[Any], tenant_id: uuid.UUID
    ) -> tuple[bool | None, bool]:
        """(whether a full proof is due, or None where no reconciliation is; whether bank accounts
        are to be matched)."""
        with connection.transaction():
            connection.execute(sql("set_tenant").encode(), {"tenant_id": str(tenant_id)})
            due = connection.execute(
                sql("read_reconciliation_due").encode(),
                {"tenant_id": tenant_id, "full_every_seconds": self._full_every_seconds},
            ).fetchone()
            bank_is_due = connection.execute(
                sql("read_bank_accounts_due").encode(), {"tenant_id": tenant_id}
            ).fetchone()
        return (None if due is None else due[0], bank_is_due is not None)

    def _keeps_on(self, step: Callable[[], bool | int]) -> bool:
        """Take paced steps while there is something to do; False where time is up before, or the
        worker stops."""
        deadline = time.monotonic() + STEPS_SECONDS_MAX
        while time.monotonic() < deadline and not self._is_stopping.is_set():
            if not self._paced(step):
                return True
        return False

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

        def step() -> int:
            return asyncio.run(
                fold_some(self._database_url, tenant_id.bytes, slices_max=STEP_SLICES)
            )

        try:
            self._keeps_on(step)
        except TenantUnknown:
            return  # suspended meanwhile
        except Exception as error:  # reconciling needs none of it; the next round may do better
            logger.error("folding totals by posting of tenant %s: %r", tenant_id, error)

    def _reconcile(self, tenant_id: uuid.UUID, *, is_full: bool) -> None:
        """What fails here fails no other tenant."""
        ahead = Ahead()
        step = partial(step_ahead, self._database_url, tenant_id, ahead, lines_max=STEP_LINES)
        run = partial(
            reconcile,
            self._database_url,
            tenant_id,
            None,
            is_full=is_full,
            ahead=ahead,
            on_one_core=True,
        )
        try:
            is_behind = not is_full and not self._keeps_on(step)
            if self._is_stopping.is_set():
                return
            if is_behind:
                logger.info("tenant %s has more new entries than a round reads", tenant_id)
                return
            result = self._paced(run)
        except (TenantUnknown, ReconciliationBusy):
            return  # suspended meanwhile, or somebody else is at it
        except (psycopg.Error, ConnectionLost) as error:
            logger.warning("reconciliation of tenant %s by schedule: %s", tenant_id, error)
            return
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
