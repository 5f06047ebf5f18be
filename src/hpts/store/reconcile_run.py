"""One run over a tenant's lines: the new ones, or all of them (a full proof), and what it found.

It works inside the snapshot that its caller opened under the tenant's reconciliation lock, and
keeps there how far it came, so that the next run goes on.
"""

import datetime
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import psycopg

from hpts.domain.limits import RECONCILED_ENTRIES_MAX
from hpts.store.reconcile_lines import Drift, add_all_lines, add_new_lines, find_drift
from hpts.store.reconcile_loans import (
    LoanDrift,
    Principal,
    add_all_loan_lines,
    add_new_loan_lines,
    compare_principal,
    find_loan_drift,
)
from hpts.store.statements import sql

READS_EVERYTHING = ("SET LOCAL enable_nestloop = off", "SET LOCAL work_mem = '64MB'")
"""As in verify_snapshot.py: a planner that has not seen the tables grow would probe an index for
every line."""
READS_LITTLE = (
    "SET LOCAL enable_seqscan = off",
    "SET LOCAL enable_hashjoin = off",
    "SET LOCAL enable_mergejoin = off",
    "SET LOCAL enable_material = off",
)
"""And one that has seen them small would read all of a large one."""


class Known(msgspec.Struct, frozen=True):
    """What a run leaves to the next: principal of all loans by currency, the block up to which
    everything was read anew, and what was found wrong."""

    compared: dict[str, str]
    full_block: int
    drifts: tuple[Drift, ...] = ()
    drifted_loans: tuple[str, ...] = ()


class Progress(msgspec.Struct, frozen=True):
    """How far a tenant is reconciled; `full_at` is when everything was last read anew."""

    block_number: int
    full_at: datetime.datetime
    known: Known


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found, through a block, having read `entry_count` entries."""

    is_full: bool
    through_block: int
    entry_count: int
    drifts: tuple[Drift, ...]
    loan_drifts: tuple[LoanDrift, ...]
    principal: tuple[Principal, ...]


class Run:
    """One run; `checked_at` is its snapshot's time."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        tenant_id: uuid.UUID,
        checked_at: datetime.datetime,
    ) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._checked_at = checked_at

    def run(self, *, is_full: bool) -> Found:
        """Go on from the last run, or read everything: if wanted, the first time, and where so much
        is new that it is faster."""
        progress = self._read_progress()
        after_block = 0 if progress is None else progress.block_number
        ((through_block, new_count),) = self._fetch("read_backlog", after_block=after_block)
        if progress is None or is_full or new_count > RECONCILED_ENTRIES_MAX:
            return self._read_everything(progress, through_block)
        return self._go_on(progress, through_block, int(new_count))

    def _read_everything(self, progress: Progress | None, through_block: int) -> Found:
        self._set(READS_EVERYTHING)
        ((_, entry_count),) = self._fetch("read_backlog", after_block=0)
        add_all_lines(self._connection, self._tenant_id)
        add_all_loan_lines(self._connection, self._tenant_id)
        found = self._compare(progress, days=None, loan_ids=None)
        return self._keep(
            msgspec.structs.replace(
                found, is_full=True, through_block=through_block, entry_count=int(entry_count)
            ),
            full_at=self._checked_at,
            full_block=through_block,
        )

    def _go_on(self, progress: Progress, through_block: int, entry_count: int) -> Found:
        self._set(READS_LITTLE)
        known = progress.known
        days = add_new_lines(self._connection, self._tenant_id, progress.block_number)
        days |= {drift.period for drift in known.drifts if drift.kept == "D"}
        loan_ids = add_new_loan_lines(self._connection, self._tenant_id, progress.block_number)
        loan_ids |= {uuid.UUID(loan_id) for loan_id in known.drifted_loans}
        found = self._compare(progress, days=days, loan_ids=loan_ids)
        return self._keep(
            msgspec.structs.replace(found, through_block=through_block, entry_count=entry_count),
            full_at=progress.full_at,
            full_block=known.full_block,
        )

    def _compare(
        self,
        progress: Progress | None,
        *,
        days: Iterable[datetime.date] | None,
        loan_ids: Iterable[uuid.UUID] | None,
    ) -> Found:
        earlier = {} if progress is None else {one.place: one for one in progress.known.drifts}
        drifts = find_drift(
            self._connection,
            self._tenant_id,
            days=days,
            agreed_block=0 if progress is None else progress.block_number,
            agreed_day_block=0 if progress is None else progress.known.full_block,
            earlier=earlier,
        )
        return Found(
            is_full=False,
            through_block=0,
            entry_count=0,
            drifts=tuple(drifts),
            loan_drifts=tuple(find_loan_drift(self._connection, self._tenant_id, loan_ids)),
            principal=tuple(
                compare_principal(
                    self._connection,
                    self._tenant_id,
                    loan_ids=loan_ids,
                    compared={}
                    if progress is None or loan_ids is None
                    else progress.known.compared,
                )
            ),
        )

    def _keep(self, found: Found, *, full_at: datetime.datetime, full_block: int) -> Found:
        known = Known(
            compared={one.currency: one.by_loans_minor for one in found.principal},
            full_block=full_block,
            drifts=found.drifts,
            drifted_loans=tuple(one.loan_id for one in found.loan_drifts),
        )
        self._connection.execute(
            sql("keep_reconciliation_progress").encode(),
            {
                "tenant_id": self._tenant_id,
                "block_number": found.through_block,
                "checked_at": self._checked_at,
                "full_at": full_at,
                "known": msgspec.json.encode(known).decode(),
            },
        )
        return found

    def _read_progress(self) -> Progress | None:
        rows = self._fetch("read_reconciliation_progress")
        if not rows:
            return None
        block_number, full_at, known = rows[0]
        return Progress(block_number, full_at, msgspec.json.decode(known, type=Known))

    def _fetch(self, statement: str, **parameters: Any) -> Sequence[tuple[Any, ...]]:
        wanted = {"tenant_id": self._tenant_id, **parameters}
        return self._connection.execute(sql(statement).encode(), wanted).fetchall()

    def _set(self, settings: Iterable[str]) -> None:
        for setting in settings:
            self._connection.execute(setting.encode())
