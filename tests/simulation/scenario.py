"""One scenario: its clients, its ledgers, and what happens to them. A seed decides all of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hpts.domain import limits
from hpts.ledger import Ledger
from hpts.posting import Outcome, Posted, Unavailable
from hpts.store.wire import StatementFailed

from .books import Books
from .checks import check_closed, check_database
from .database import DAY_MICROSECONDS, FIRST_DAY, TABLE, Database, Intruder, Tenant
from .drawing import Errand, Portfolio, draw_errands, draw_portfolio
from .faults import Faults
from .loop import SimulatedLoop, Stuck
from .requests import Answer, Attempt, Request, Sent
from .rules import ModelLoan
from .witness import Witness

MakeLedger = Callable[..., Ledger]
AUDITOR_TRIES = 20
LONG_RETRY_MS = 120
LATE_SECONDS, LATE_SECONDS_IF_SILENT = 30.0, 120.0
"""How long after its deadline a posting may be answered: pipelines that began before it end."""


class Scenario:
    """The world of one seed."""

    def __init__(self, loop: SimulatedLoop, make_ledger: MakeLedger) -> None:
        draw = loop.draw
        self.loop = loop
        self.draw = draw
        self.faults = Faults(draw, has_long_ones=limits.BUSY_RETRY_MS == LONG_RETRY_MS)
        self.queue_max = draw.choice((2, 5, 50, 50))
        late = LATE_SECONDS_IF_SILENT if self.faults.silent_rate else LATE_SECONDS
        self.witness = Witness(
            loop,
            queue_max=self.queue_max,
            batch_max=limits.BATCH_POSTINGS_MAX,
            late_max=late,
        )
        self.database = Database(loop, self.faults, self.witness)
        if draw.random() < 0.05:  # shortly before midnight
            self.database.clock_starts += DAY_MICROSECONDS // 2 - draw.randrange(400_000)
        self.seconds = draw.choice((0.02, 0.1, 0.4))
        self.portfolios = [draw_portfolio(draw, number) for number in range(1, draw.randint(2, 4))]
        for portfolio in self.portfolios:
            self._settle(portfolio)
        self.ledger_count = 2 if draw.random() < 0.4 else 1
        self.errands = draw_errands(
            draw, self.portfolios, seconds=self.seconds, ledgers=self.ledger_count
        )
        self.opened: list[Ledger] = []
        self.closing: set[int] = set()
        self._make_ledger = make_ledger
        self._serving: list[int] = []  # by place, the number of the ledger that serves there

    def _settle(self, portfolio: Portfolio) -> None:
        tenant = Tenant(portfolio.tenant_id, portfolio.codes)
        books = Books()
        for loan_id, row in portfolio.existing.items():
            tenant.open_loan(loan_id, row)
            owed = [row.principal, row.interest, row.fees]
            books.loans[loan_id] = ModelLoan(row.borrower_id, row.currency, owed)
        self.database.tenants[portfolio.tenant_id] = tenant
        self.witness.books[portfolio.tenant_id] = books

    async def run(self) -> None:
        """Everything, to the end: no request unanswered, no retry untold, nothing left over."""
        for _ in range(self.ledger_count):
            self._serving.append(self._open())
        happenings = [asyncio.ensure_future(each) for each in self._happenings()]
        clients = [asyncio.ensure_future(self._client(errand)) for errand in self.errands]
        await asyncio.gather(*clients, *happenings)
        for number in self._serving:
            await self._close(number)
        await self._audit()
        await asyncio.sleep(100)  # whatever the database still has to notice
        check_database(self.database, self.witness)
        left = len(asyncio.all_tasks()) - 1
        if left:
            self.loop.complain(f"{left} tasks are left over")

    def _open(self) -> int:
        number = len(self.opened)
        connect = self._connector(number)
        self.opened.append(self._make_ledger("", queue_max=self.queue_max, connect=connect))
        return number

    def _connector(self, number: int) -> Any:
        from .wire import Connector

        return Connector(self.database, number)

    async def _close(self, number: int) -> None:
        if number in self.closing:
            return
        self.closing.add(number)
        self.loop.say("ledger", number, "closes")
        await self.opened[number].close()
        self.loop.say("ledger", number, "is closed")
        await asyncio.sleep(0)  # whoever was answered last notices it
        check_closed(self.loop, self.opened[number])

    # Clients

    async def _client(self, errand: Errand) -> None:
        await asyncio.sleep(errand.at)
        request = errand.request
        if errand.reverses is not None and errand.reverses.entry_id is not None:
            request = replace(request, reverses=errand.reverses.entry_id)
        errand.request = request
        for turn in range(errand.tries):
            answer = await self._send(request, self._serving[errand.ledger], errand.patience)
            if answer is not None and answer[0] == "posted":
                errand.entry_id = answer[1]  # type: ignore[assignment]
            if answer is not None and not _is_worth_a_retry(answer):
                return
            if turn:
                errand.patience = None
            await asyncio.sleep(self.draw.choice((0.0, 0.003, 0.05, 1.0)))
            errand.ledger = self.draw.randrange(self.ledger_count)

    async def _send(
        self, request: Request, ledger: int, patience: float | None = None
    ) -> Answer | None:
        """The answer, or None when the client has hung up before."""
        told = self._told(request, ledger)
        if patience is None:
            return await told
        task = asyncio.ensure_future(told)
        await asyncio.wait((task,), timeout=patience)
        task.cancel()
        await asyncio.wait((task,))
        return None if task.cancelled() else task.result()

    async def _told(self, request: Request, ledger: int) -> Answer:
        wait = limits.QUEUE_WAIT_MS_MAX / 1000
        number = len(self.witness.attempts) + 1
        attempt = Attempt(number, request, ledger, self.loop.time(), wait)
        self.loop.note(f"sent a {request.kind}", attempt.name, request.key, "to", ledger)
        posting = Sent(attempt, self.witness.starting)
        self.witness.arrives(attempt, is_closing=ledger in self.closing)
        try:
            answer = await _outcome_of(self.opened[ledger].post(request.tenant_id, posting))
        except asyncio.CancelledError:
            self.loop.note("hung up", attempt.name)
            self.witness.hangs_up(attempt)
            raise
        kind = "posted again" if answer[0] == "posted" and answer[3] else answer[0]
        code = answer[1] if answer[0] != "posted" else ""
        self.loop.note(f"{kind} {code}".strip(), attempt.name)
        self.witness.answered(attempt, answer)
        return answer

    # What happens meanwhile

    def _happenings(self) -> Iterator[Any]:
        draw = self.draw
        if draw.random() < 0.15:
            yield self._suspend()
        if draw.random() < 0.2:
            yield self._restart(draw.randrange(self.ledger_count))
        if draw.random() < 0.25:
            yield self._close_periods()
        if self.faults.rate == 0.0:
            return
        if draw.random() < 0.15:
            yield self._crash()
        if draw.random() < 0.3:
            yield self._intrude()
        if draw.random() < (0.5 if self.faults.has_long_ones else 0.05):
            yield self._lock_table()
        yield self._calm_down()

    async def _some_time(self) -> None:
        await asyncio.sleep(self.draw.random() * self.seconds * 2)

    async def _suspend(self) -> None:
        tenant_id = self.draw.choice(self.portfolios).tenant_id
        await self._some_time()
        self._set_active(tenant_id, False)
        if self.draw.random() < 0.6:
            await self._some_time()
            self._set_active(tenant_id, True)

    def _set_active(self, tenant_id: bytes, is_active: bool) -> None:
        self.database.tenants[tenant_id].is_active = is_active
        self.witness.books[tenant_id].is_active = is_active
        self.loop.note("tenant resumed" if is_active else "tenant suspended")

    async def _close_periods(self) -> None:
        """The books are closed and reopened, as it happens right between two statements of a batch;
        a tenant wants late postings refused or moved."""
        tenant_id = self.draw.choice(self.portfolios).tenant_id
        tenant, books = self.database.tenants[tenant_id], self.witness.books[tenant_id]
        tenant.moves_late = books.moves_late = self.draw.random() < 0.5
        for _ in range(self.draw.choice((1, 1, 2, 4))):
            await self._some_time()
            controller = Intruder()
            for _ in range(1_000_000):  # it waits for whoever commits
                if self.database.take(controller, ("head", tenant_id)):
                    break
                await asyncio.sleep(0.0003)
            through = FIRST_DAY - self.draw.choice((0, 1, 1, 2, FIRST_DAY + 1))
            tenant.closed_through = books.closed_through = through
            self.database.release(controller)
            self.loop.note("period closed" if through >= 0 else "period reopened")

    async def _restart(self, place: int) -> None:
        """A worker stops in the middle; clients go to it until another has taken its place."""
        await self._some_time()
        self.loop.note("shutdown")
        closing = asyncio.ensure_future(self._close(self._serving[place]))
        await asyncio.sleep(self.draw.random() * 0.01)
        self._serving[place] = self._open()
        await closing

    async def _crash(self) -> None:
        """The server is killed and recovers, or a standby that is read-only takes its place."""
        await self._some_time()
        database = self.database
        for _ in range(self.draw.choice((0, 100))):  # perhaps just when a COMMIT is under way
            if any(session.is_at_commit for session in database.sessions):
                break
            await asyncio.sleep(0.0005)
        self.loop.note("crash")
        database.kill()
        database.is_away = True
        await asyncio.sleep(self.faults.long_pause())
        database.is_away = False
        if self.draw.random() < 0.4:
            self.loop.note("read-only")
            database.is_read_only = True
            await asyncio.sleep(self.faults.long_pause())
            database.is_read_only = False

    async def _intrude(self) -> None:
        """Somebody else locks a loan for a while."""
        await self._some_time()
        portfolio = self.draw.choice(self.portfolios)
        for loan_id in portfolio.existing:
            intruder = Intruder()
            if self.database.take(intruder, ("loan", portfolio.tenant_id, loan_id)):
                self.loop.note("loan locked by somebody else")
                await asyncio.sleep(self.faults.long_pause())
                self.database.release(intruder)

    async def _lock_table(self) -> None:
        """Somebody else locks the table of loans for a while."""
        await self._some_time()
        intruder = Intruder()
        if self.database.take(intruder, TABLE):
            self.loop.note("table locked by somebody else")
            pause = self.faults.long_pause()
            before = min(pause, self.draw.choice((0.0, 2.5)))
            await asyncio.sleep(before)
            self.faults.fails_next = self.draw.random() < 0.7
            await asyncio.sleep(pause - before)
            self.database.release(intruder)

    async def _calm_down(self) -> None:
        await asyncio.sleep(20)
        self.faults.calm_down()

    # Afterwards

    async def _audit(self) -> None:
        """Send again, to a ledger of its own, whatever was not told its outcome: it learns it."""
        self.faults.calm_down()
        for tenant_id in self.database.tenants:
            self._set_active(tenant_id, True)
        number = self._open()
        for request in self._untold():
            for _ in range(AUDITOR_TRIES):
                answer = await self._send(request, number)
                if answer is not None and not _is_worth_a_retry(answer):
                    break
                await asyncio.sleep(1)
            else:
                self.loop.complain(f"{request.key!r} is still not told its outcome")
        await self._close(number)

    def _untold(self) -> list[Request]:
        last = {
            (attempt.request.tenant_id, attempt.request.key, attempt.digest): attempt
            for attempt in self.witness.attempts
        }
        return [
            attempt.request
            for attempt in last.values()
            if attempt.outcome is None or _is_worth_a_retry(attempt.outcome)
        ]


async def _outcome_of(waiting: Awaitable[Outcome]) -> Answer:
    try:
        outcome = await waiting
    except StatementFailed as error:
        return ("failed", error.sqlstate)
    except Exception as error:
        return ("failed", repr(error))
    if isinstance(outcome, Posted):
        return ("posted", outcome.journal_entry_id, outcome.reply, outcome.is_replay)
    if isinstance(outcome, Unavailable):
        return ("unavailable", outcome.code)
    return ("refused", outcome.rejection.value)


def _is_worth_a_retry(answer: Answer) -> bool:
    return answer[0] in ("unavailable", "failed") or answer[1] in (
        "idempotency_in_progress",
        "tenant_unknown",
    )


@contextmanager
def _small_limits(loop: SimulatedLoop) -> Iterator[None]:
    """Batches so small that a scenario fills them, and pauses that bear a long one."""
    kept = limits.BATCH_POSTINGS_MAX, limits.BUSY_RETRY_MS
    limits.BATCH_POSTINGS_MAX = loop.draw.choice((2, 5, kept[0]))
    limits.BUSY_RETRY_MS = loop.draw.choice((kept[1], kept[1], LONG_RETRY_MS))
    try:
        yield
    finally:
        limits.BATCH_POSTINGS_MAX, limits.BUSY_RETRY_MS = kept


def play(seed: int, *, make_ledger: MakeLedger = Ledger, is_traced: bool = False) -> SimulatedLoop:
    """Run the scenario of a seed; whatever was wrong stands in the loop's complaints."""
    loop = SimulatedLoop(seed, is_traced=is_traced)
    try:
        with _small_limits(loop):
            scenario = Scenario(loop, make_ledger)
            _run(loop, scenario)
    finally:
        loop.close()
    return loop


def _run(loop: SimulatedLoop, scenario: Scenario) -> None:
    try:
        loop.run_until_complete(scenario.run())
    except Exception as error:  # whoever is stuck gives up, or would do so after the loop's end
        loop.complain(str(error) if isinstance(error, Stuck) else repr(error))
        loop.start_again()
        waiting = asyncio.all_tasks(loop)
        for task in waiting:
            task.cancel()
        loop.run_until_complete(asyncio.wait(waiting, timeout=1))


def failure_of(seed: int, loop: SimulatedLoop) -> str | None:
    """What was wrong with the scenario of a seed, and how to see it again."""
    if not loop.complaints:
        return None
    more = f" (and {len(loop.complaints) - 1} more)" if len(loop.complaints) > 1 else ""
    return f"{loop.complaints[0]}{more}\nseed {seed}: python -m tests.simulation {seed}"
