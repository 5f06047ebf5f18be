"""The order of steps of every command and query. Read this file first.

A posting waits in its tenant's lane, then a batch of them goes through two pipelines:
    open    claim the keys, find what was posted under them, lock and read the loans, read the clock
    decide  in memory, posting by posting: replay, refuse, or lines through a rule and the kernel
    write   entries, lines, loans, totals, block, COMMIT; only then is anybody answered
What was refused left no trace; what failed is tried again posting by posting; after a lost
connection the same batch runs again, and the idempotency keys make that safe.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial

from hpts.batch_meters import FAILED, BatchTimes, meter_of
from hpts.decisions import Decisions, audit_event_of
from hpts.domain import limits
from hpts.domain.accounts import Chart
from hpts.domain.accrual import Accrual
from hpts.domain.rejections import Refusal, Rejection
from hpts.domain.reversal import Reversal
from hpts.posting import (
    DATABASE_UNAVAILABLE,
    OVERLOADED,
    SHUTTING_DOWN,
    TRAVEL_ALONE,
    Command,
    Outcome,
    Posted,
    Posting,
)
from hpts.store.accounting_reads import AccountingReads
from hpts.store.append import confirm_earlier, open_batch, roll_back, write_batch
from hpts.store.audit_reads import AuditReads
from hpts.store.feed import Feed
from hpts.store.heads import Heads
from hpts.store.known_fold import fold_all
from hpts.store.known_reads import KnownReads
from hpts.store.lanes import LaneFull, Lanes
from hpts.store.pool import Connect, Pool, PoolBusy, PoolState
from hpts.store.proofs import Proofs
from hpts.store.reads import Reads
from hpts.store.seen_blocks import SeenBlocks
from hpts.store.standby import StandbyReads
from hpts.store.statements import WRITER_STATEMENTS
from hpts.store.tenancy import RunForTenant, TenantUnknown, run_for_tenant
from hpts.store.webhooks import WebhookReads
from hpts.store.wire import (
    SNAPSHOT_SESSION,
    ConnectFailed,
    ConnectionLost,
    StatementFailed,
    Wire,
)
from hpts.telemetry import logger

PERIOD_CLOSED_MEANWHILE = "HP001"
"""By append_block.sql: a day of the batch is closed since the batch read what is."""
TRY_AGAIN = frozenset(("23505", "40001", "40P01", "55P03", PERIOD_CLOSED_MEANWHILE))
"""Somebody else was first (unique, serialization, deadlock, lock): what is there now decides."""
OUT_OF_RANGE = "22003"
LOCK_TIMEOUT = "55P03"
STATEMENT_TIMEOUT = "57014"
CONCERNS_ALL = frozenset((LOCK_TIMEOUT, STATEMENT_TIMEOUT, PERIOD_CLOSED_MEANWHILE))
READ_ONLY = "25006"


class Ledger:
    """All tenants of one database, as one worker serves them."""

    def __init__(
        self,
        database_url: str,
        *,
        read_database_url: str | None = None,
        seen: SeenBlocks | None = None,
        queue_max: int = limits.QUEUE_POSTINGS_MAX,
        connect: Connect = Wire.connect,
    ) -> None:
        """`read_database_url` is a standby's, for reads; `seen` is then what all workers share."""
        readers = _readers(database_url, connect)
        self._readers = readers
        self._standby: StandbyReads | None = None
        run: RunForTenant = partial(run_for_tenant, readers)
        if read_database_url is not None:
            snapshots = partial(Wire.connect, session=SNAPSHOT_SESSION)
            self._standby = StandbyReads(
                readers, _readers(read_database_url, snapshots), seen or SeenBlocks()
            )
            run = self._standby.run
        self.reads = Reads(readers, run)
        self.known = KnownReads(partial(run_for_tenant, readers), partial(fold_all, database_url))
        self.accounting = AccountingReads(run, self.known)
        self.proofs = Proofs(run)
        self.audit = AuditReads(readers)
        self.feed = Feed(readers)
        self.heads = Heads(readers)
        self.webhooks = WebhookReads(readers)
        self._writers = Pool(
            database_url,
            WRITER_STATEMENTS,
            size=limits.WRITERS_PER_WORKER + limits.BULK_WRITERS_PER_WORKER,
            waiters_max=limits.WRITERS_PER_WORKER + limits.BULK_WRITERS_PER_WORKER,
            owns_stripes=True,
            connect=connect,
        )
        self._lanes = self._lanes_of(
            limits.WRITERS_PER_WORKER, 1, limits.BATCH_POSTINGS_MAX, queue_max
        )
        # Accruals and reversals know their size only when they are read, or are large: each goes
        # alone, on writers of its own, so that payments never wait behind one.
        self._bulk_lanes = self._lanes_of(
            limits.BULK_WRITERS_PER_WORKER, limits.BULK_WRITERS_PER_WORKER, 1, queue_max
        )
        self._in_flight: set[tuple[bytes, bytes]] = set()
        self._charts: dict[bytes, Chart] = {}
        self._is_closing = False

    def _lanes_of(
        self, writers: int, per_tenant: int, batch_max: int, queue_max: int
    ) -> Lanes[Posting]:
        return Lanes(
            self._post_batch,
            writers=writers,
            per_tenant=per_tenant,
            batch_max=batch_max,
            queue_max=queue_max,
            retry_seconds=limits.BUSY_RETRY_MS / 1000,
        )

    @property
    def has_standby(self) -> bool | None:
        """Whether reads go to a standby at the moment; None where there is none to read from."""
        return None if self._standby is None else not self._standby.is_away

    async def reach(self, tenant_id: bytes, block_number: int) -> None:
        """See to it that the tenant's reads from here on are no older than that block, where the
        ledger has it. Raises TenantUnknown, ConnectionLost, StatementFailed, PoolBusy."""
        if self._standby is not None:
            await self._standby.reach(tenant_id, block_number)

    @property
    def is_closing(self) -> bool:
        return self._is_closing

    @property
    def pools(self) -> dict[str, PoolState]:
        return {"writers": self._writers.state, "readers": self._readers.state}

    @property
    def lane_depths(self) -> Counter[bytes]:
        """How many postings of each tenant wait, on both kinds of lanes."""
        return Counter(self._lanes.depths()) + Counter(self._bulk_lanes.depths())

    async def close(self) -> None:
        """Refuse new postings, finish those accepted, close the connections."""
        self._is_closing = True
        self.heads.close()
        await self._lanes.drain()
        await self._bulk_lanes.drain()
        self._writers.close()
        await self.known.close()
        self.reads.close()
        if self._standby is not None:
            self._standby.close()

    async def post(self, tenant_id: bytes, posting: Posting) -> Outcome:
        """Post a command; its outcome once it is durable, refused or given up."""
        if self._is_closing:
            return SHUTTING_DOWN
        place = (tenant_id, posting.idempotency_key)
        if place in self._in_flight:
            return Refusal(Rejection.IDEMPOTENCY_IN_PROGRESS)
        lanes = self._bulk_lanes if _travels_alone(posting.command) else self._lanes
        try:
            lanes.submit(tenant_id, posting)
        except LaneFull:
            return OVERLOADED
        self._in_flight.add(place)
        try:
            outcome = await posting.outcome
            if self._standby is not None and isinstance(outcome, Posted):
                self._standby.note(tenant_id, posting.block_number)
            return outcome
        finally:
            # Also when the client has hung up, which cancels the outcome: what waits is then
            # dropped, what is in the database is finished, and its key tells a retry which.
            self._in_flight.discard(place)

    async def _post_batch(self, tenant_id: bytes, postings: Sequence[Posting]) -> Sequence[Posting]:
        """Answer every posting of a batch but those returned, which are to be tried again."""
        postings = _still_waited_for(postings)
        if not postings:
            return ()
        try:
            chart = await self.chart(tenant_id)
            async with self._writers.lease() as wire:
                return await _run_batch(wire, tenant_id, chart, postings)
        except TenantUnknown:
            refusal = Refusal(Rejection.TENANT_UNKNOWN)
            for posting in postings:
                posting.answer(refusal)
        except PoolBusy:
            for posting in postings:
                posting.answer(OVERLOADED)
        except ConnectionLost as error:
            logger.warning("database connection lost: %s", error)
            FAILED.add(FAILED.cell_of("connection"))
            return await _after_loss(postings, is_away=isinstance(error, ConnectFailed))
        except Exception as error:
            for posting in postings:
                posting.fail(error)
        return ()

    async def chart(self, tenant_id: bytes) -> Chart:
        """The tenant's account codes by role. Raises TenantUnknown, ConnectionLost."""
        chart = self._charts.get(tenant_id)
        if chart is None:
            chart = self._charts[tenant_id] = await self.reads.chart(tenant_id)
        return chart


def _readers(database_url: str, connect: Connect) -> Pool:
    return Pool.of_readers(
        database_url,
        limits.READERS_PER_WORKER,
        waiters_max=limits.READ_WAITERS_MAX,
        connect=connect,
    )


def _travels_alone(command: Command) -> bool:
    return isinstance(command, TRAVEL_ALONE)


def _still_waited_for(postings: Sequence[Posting]) -> Sequence[Posting]:
    """Those to run now. One whose deadline has passed is answered, unless its COMMIT may have taken
    effect: then it is run, to learn its outcome."""
    now = time.monotonic()
    for posting in postings:
        if posting.deadline < now and not posting.attempted_entry_ids:
            posting.answer(OVERLOADED)
    return [posting for posting in postings if not posting.outcome.done()]


async def _after_loss(postings: Sequence[Posting], *, is_away: bool) -> Sequence[Posting]:
    """Postings to run again. Where the database cannot be reached at all, only those whose COMMIT
    may have taken effect wait for it; the others are answered at once."""
    retry = []
    for posting in postings:
        if posting.outcome.done():
            continue  # answered before the loss: run again, what was refused might be posted
        posting.may_hold_key = posting.may_hold_key or not is_away
        may_be_posted = bool(posting.attempted_entry_ids)
        if time.monotonic() < posting.deadline and (may_be_posted or not is_away):
            retry.append(posting)
        else:
            posting.answer(DATABASE_UNAVAILABLE)
    if is_away and retry:
        await asyncio.sleep(limits.RECONNECT_MS / 1000)
    return retry


async def _run_batch(
    wire: Wire, tenant_id: bytes, chart: Chart, postings: Sequence[Posting]
) -> Sequence[Posting]:
    try:
        return await _open_decide_write(wire, tenant_id, chart, postings)
    except ConnectionLost:
        raise
    except Exception as error:  # PostgreSQL refused a statement, or a rule broke an invariant
        if isinstance(error, StatementFailed) and error.sqlstate == READ_ONLY:
            wire.close()  # a standby since a failover: the next connection may find the primary
            raise ConnectFailed("the server is read-only") from error
        FAILED.add(FAILED.cell_of("statement"))
        await roll_back(wire)
        for posting in postings:
            if not posting.may_hold_key:  # else an earlier COMMIT may still take effect
                posting.attempted_entry_ids = ()
        if len(postings) == 1 or _concerns_all(error):
            return [posting for posting in postings if _tries_again(posting, error)]
        logger.warning("batch of %d failed, posting one by one: %s", len(postings), error)
    retry: list[Posting] = []
    for posting in postings:
        if _still_waited_for([posting]):
            retry += await _run_batch(wire, tenant_id, chart, [posting])
    return retry


def _concerns_all(error: Exception) -> bool:
    """Whether the batch met something that concerns the database or the tenant, not one posting."""
    return isinstance(error, StatementFailed) and error.sqlstate in CONCERNS_ALL


def _tries_again(posting: Posting, error: Exception) -> bool:
    """Whether a failed posting is to run again; if not it is answered."""
    if not isinstance(error, StatementFailed):
        posting.fail(error)
    elif error.sqlstate == OUT_OF_RANGE:
        posting.answer(Refusal(Rejection.AMOUNT_OVERFLOW))
    elif error.sqlstate in TRY_AGAIN and time.monotonic() < posting.deadline:
        return True
    elif error.sqlstate == LOCK_TIMEOUT:
        posting.answer(OVERLOADED)
    elif error.is_passing or error.sqlstate in TRY_AGAIN:
        logger.warning("the database refuses a posting: %s", error)
        posting.answer(DATABASE_UNAVAILABLE)
    else:
        posting.fail(error)
    return False


async def _open_decide_write(
    wire: Wire, tenant_id: bytes, chart: Chart, postings: Sequence[Posting]
) -> Sequence[Posting]:
    started_at = time.monotonic()
    for posting in postings:
        posting.database_started_at = started_at
    command = postings[0].command
    opened = await open_batch(
        wire,
        tenant_id,
        idempotency_keys=[posting.idempotency_key for posting in postings],
        loan_ids=_loan_ids(postings),
        alone=command if isinstance(command, TRAVEL_ALONE) else None,
        wait_ms=max(1, int((postings[0].deadline - started_at) * 1000)),
    )
    opened_at = time.monotonic()
    decided = Decisions(tenant_id, chart, opened)
    for position, posting in enumerate(postings, 1):
        decided.decide(posting, position not in opened.keys_in_use)
    decided_at = time.monotonic()
    if decided.has_entries:
        block_number = await write_batch(
            wire,
            tenant_id,
            decided.batch,
            first_entry_id=decided.first_entry_id,
            posted_at=opened.posted_at,
            has_many_loans=decided.has_many_loans,
            # What is recorded travels alone, so it is the first posting or none.
            audit_event=audit_event_of(postings[0], decided.first_entry_id),
            moved_accrual_day=decided.moved_accrual_day,
        )
    elif decided.has_earlier:
        block_number = await confirm_earlier(wire, tenant_id)
    else:
        block_number = 0
        await roll_back(wire)
    ended_at = time.monotonic()
    for posting, outcome in decided.outcomes:
        posting.kernel_seconds = decided_at - opened_at
        posting.block_number = block_number
        posting.answer(outcome)
    meter_of(postings[0]).note(
        tenant_id,
        BatchTimes(started_at, opened_at, decided_at, ended_at),
        decided.outcomes,
        len(decided.retry),
        is_written=decided.has_entries,
    )
    return decided.retry


def _loan_ids(postings: Sequence[Posting]) -> list[bytes]:
    """The loans that the batch names, each once."""
    found: dict[bytes, None] = {}
    for posting in postings:
        command = posting.command
        if isinstance(command, Accrual):
            found.update((loan.loan_id, None) for loan in command.loans)
        elif not isinstance(command, Reversal):
            found[command.loan_id] = None
    return list(found)
