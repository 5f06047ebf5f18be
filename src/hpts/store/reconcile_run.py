"""One run over a tenant's lines: the new ones, or all of them (a full proof), and what it found.

It works inside the snapshot that its caller opened under the tenant's reconciliation lock, and
keeps there how far it came, so that the next run goes on. Much that is new may be added in steps
before, each in a snapshot of its own, that compare nothing.
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


COMPARES_EVERYTHING = (
    *(setting.replace("off", "on") for setting in READS_LITTLE),
    *READS_EVERYTHING,
)
"""Of what stands, not of the journal: where all loans are to be held against their lines."""
AHEAD_LOANS_MAX = 200_000
"""Loans that are remembered from step to step, in some 30 MB; with more a run compares all."""
STEP_BLOCKS_MAX = 4_096
"""Of a step: blocks of a payment each cost little more than their payments."""


class Known(msgspec.Struct, frozen=True):
    """What a run leaves to the next: principal of all loans by currency, the block up to which
    everything was read anew, and what was found wrong."""

    compared: dict[str, str]
    full_block: int
    drifts: tuple[Drift, ...] = ()
    drifted_loans: tuple[str, ...] = ()


class Progress(msgspec.Struct, frozen=True):
    """How far a tenant's lines were read, and compared, which is less while steps are under way;
    `full_at` is when everything was last read anew."""

    block_number: int
    compared_block: int
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


class Ahead:
    """What steps have added since block `after_block`, as whoever took them remembers it: a run
    that is told need not compare every day and loan. It knows nothing (`after_block` None) when
    others took some of the steps, or when it would be too much."""

    def __init__(self) -> None:
        self.after_block: int | None = None
        self.through_block = 0
        self.days: set[datetime.date] = set()
        self.loan_ids: set[uuid.UUID] = set()

    def add(
        self,
        progress: Progress,
        through_block: int,
        days: set[datetime.date],
        loan_ids: set[uuid.UUID],
    ) -> None:
        """A step from `progress` through a block touched these."""
        if not self.covers(progress):
            is_first = progress.compared_block == progress.block_number
            self.after_block = progress.block_number if is_first else None
            self.days, self.loan_ids = set(), set()
        self.through_block = through_block
        self.days |= days
        self.loan_ids |= loan_ids
        if len(self.loan_ids) > AHEAD_LOANS_MAX:
            self.after_block = None

    def covers(self, progress: Progress) -> bool:
        """Whether it knows all that was added and not compared."""
        return (
            self.after_block is not None
            and self.after_block == progress.compared_block
            and self.through_block == progress.block_number
        )


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

    def step(self, ahead: Ahead, *, lines_max: int) -> bool:
        """Add the next blocks, until they have about so many lines, and compare nothing; whether
        that was done. What is no more than a step is left to `run`, as is the first time, and what
        is so much that it reads everything."""
        progress = self._read_progress()
        if progress is None or self._is_too_much(progress, ahead):
            return False
        self._set(READS_LITTLE)
        blocks = self._fetch(
            "read_blocks_to_fold",
            after_block=progress.block_number,
            blocks_max=STEP_BLOCKS_MAX,
            lines_max=lines_max,
        )
        ((last_block, *_),) = self._fetch("read_head")
        if not blocks or blocks[-1][0] >= last_block:
            return False
        through_block = blocks[-1][0]
        days, loan_ids = self._add(progress, through_block)
        ahead.add(progress, through_block, days, loan_ids)
        self._keep_progress(msgspec.structs.replace(progress, block_number=through_block))
        return True

    def run(self, *, is_full: bool, ahead: Ahead) -> Found:
        """Go on from the last run, or read everything: if wanted, the first time, and where so much
        is new that it is faster."""
        progress = self._read_progress()
        after_block = 0 if progress is None else progress.block_number
        ((through_block, new_count),) = self._fetch("read_backlog", after_block=after_block)
        if progress is None or is_full or new_count > RECONCILED_ENTRIES_MAX:
            return self._read_everything(progress, through_block)
        return self._go_on(progress, through_block, int(new_count), ahead)

    def _is_too_much(self, progress: Progress, ahead: Ahead) -> bool:
        """Asked once, before the first step: steps in vain would be added to reading everything."""
        if ahead.covers(progress):
            return False
        ((_, new_count),) = self._fetch("read_backlog", after_block=progress.block_number)
        return bool(new_count > RECONCILED_ENTRIES_MAX)

    def _read_everything(self, progress: Progress | None, through_block: int) -> Found:
        self._set(READS_EVERYTHING)
        ((_, entry_count),) = self._fetch("read_backlog", after_block=0)
        add_all_lines(self._connection, self._tenant_id)
        add_all_loan_lines(self._connection, self._tenant_id)
        found = self._compare(progress, days=None, loan_ids=None, compared={})
        return self._keep(
            msgspec.structs.replace(
                found, is_full=True, through_block=through_block, entry_count=int(entry_count)
            ),
            full_at=self._checked_at,
            full_block=through_block,
        )

    def _go_on(
        self, progress: Progress, through_block: int, entry_count: int, ahead: Ahead
    ) -> Found:
        self._set(READS_LITTLE)
        known = progress.known
        days: set[datetime.date] | None
        loan_ids: set[uuid.UUID] | None
        days, loan_ids = self._add(progress, through_block)
        if progress.compared_block == progress.block_number or ahead.covers(progress):
            days |= ahead.days
            loan_ids |= ahead.loan_ids
            days |= {drift.period for drift in known.drifts if drift.kept == "D"}
            loan_ids |= {uuid.UUID(loan_id) for loan_id in known.drifted_loans}
        else:  # somebody took steps and went: what they touched is not known
            days = loan_ids = None
            self._set(COMPARES_EVERYTHING)
        found = self._compare(progress, days=days, loan_ids=loan_ids, compared=known.compared)
        return self._keep(
            msgspec.structs.replace(found, through_block=through_block, entry_count=entry_count),
            full_at=progress.full_at,
            full_block=known.full_block,
        )

    def _add(
        self, progress: Progress, through_block: int
    ) -> tuple[set[datetime.date], set[uuid.UUID]]:
        """The lines of the blocks since; the days and loans that they touch."""
        blocks = {"after_block": progress.block_number, "through_block": through_block}
        return (
            add_new_lines(self._connection, self._tenant_id, **blocks),
            add_new_loan_lines(self._connection, self._tenant_id, **blocks),
        )

    def _compare(
        self,
        progress: Progress | None,
        *,
        days: Iterable[datetime.date] | None,
        loan_ids: Iterable[uuid.UUID] | None,
        compared: dict[str, str],
    ) -> Found:
        earlier, agreed_block, agreed_day_block = {}, 0, 0
        if progress is not None:
            earlier = {one.place: one for one in progress.known.drifts}
            agreed_block = progress.compared_block
            agreed_day_block = progress.known.full_block
        drifts = find_drift(
            self._connection,
            self._tenant_id,
            days=days,
            agreed_block=agreed_block,
            agreed_day_block=agreed_day_block,
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
                    self._connection, self._tenant_id, loan_ids=loan_ids, compared=compared
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
        through = found.through_block
        self._keep_progress(Progress(through, through, full_at, known))
        return found

    def _keep_progress(self, progress: Progress) -> None:
        self._connection.execute(
            sql("keep_reconciliation_progress").encode(),
            {
                "tenant_id": self._tenant_id,
                "block_number": progress.block_number,
                "compared_block": progress.compared_block,
                "checked_at": self._checked_at,
                "full_at": progress.full_at,
                "known": msgspec.json.encode(progress.known).decode(),
            },
        )

    def _read_progress(self) -> Progress | None:
        rows = self._fetch("read_reconciliation_progress")
        if not rows:
            return None
        block_number, compared_block, full_at, known = rows[0]
        return Progress(
            block_number, compared_block, full_at, msgspec.json.decode(known, type=Known)
        )

    def _fetch(self, statement: str, **parameters: Any) -> Sequence[tuple[Any, ...]]:
        wanted = {"tenant_id": self._tenant_id, **parameters}
        return self._connection.execute(sql(statement).encode(), wanted).fetchall()

    def _set(self, settings: Iterable[str]) -> None:
        for setting in settings:
            self._connection.execute(setting.encode())
