"""The client's end of a simulated connection: what the pool opens and the ledger runs on."""

import asyncio
from collections.abc import Sequence

from hpts.store.wire import ConnectFailed, ConnectionLost, Rows, StatementFailed, Step

from .database import Database
from .session import Session

CONNECT_SECONDS_MAX = 3.0


class SimulatedWire:
    """Behaves as hpts.store.wire.Wire does; one run at a time."""

    def __init__(self, database: Database, ledger: int, stripe: int) -> None:
        self.ledger = ledger
        self.stripe = max(stripe, 0)
        self.is_broken = False
        self.is_new = True  # until its first batch
        self._database = database
        self._done: asyncio.Future[tuple[list[Rows], tuple[str, str] | None]] | None = None
        self.session = Session(database, self, stripe)

    async def run(self, steps: Sequence[Step]) -> list[Rows]:
        """Raises StatementFailed, ConnectionLost."""
        database, loop = self._database, self._database.loop
        database.witness.sent(self, steps)
        if self.is_broken:
            database.witness.lost(self)
            raise ConnectionLost("the connection is closed")
        if self._done is not None:
            loop.complain("two runs at a time on one connection")
        self._done = loop.create_future()
        plan, fault = database.faults.plan(steps)
        if fault:
            loop.note(fault, steps[0].statement)
        loop.call_later(plan.there, self.session.arrive, steps, plan)
        if plan.lost_after is not None:
            loop.call_later(plan.lost_after, self.lose, plan.notice)
        try:
            rows, failure = await self._done
        except BaseException:
            self.close()
            raise
        finally:
            self._done = None
        if failure is not None:
            raise StatementFailed(*failure, "simulated")
        return rows

    def deliver(self, rows: list[Rows], failure: tuple[str, str] | None) -> None:
        """The answer has arrived."""
        if self.is_broken or self._done is None:
            return
        if failure is None:
            self._database.witness.delivered(self)
        else:
            self._database.witness.failed(self, failure[1])
        self._done.set_result((rows, failure))

    def lose(self, notice: float) -> None:
        """The connection breaks; the database notices later."""
        if self.is_broken:
            return
        self.is_broken = True
        self.session.orphan(notice)
        if self._done is not None and not self._done.done():
            self._database.witness.lost(self)
            self._done.set_exception(ConnectionLost("simulated"))

    def hear_of_loss(self) -> None:
        """The database has gone; the client hears of it a little later."""
        loop = self._database.loop
        loop.call_later(loop.draw.random() * 0.002, self.lose, 0.0)

    def close(self) -> None:
        self.lose(self._database.loop.draw.random() * 0.002)


class Connector:
    """Opens the wires of one ledger."""

    def __init__(self, database: Database, ledger: int) -> None:
        self._database = database
        self._ledger = ledger

    async def __call__(
        self, database_url: str, statements: Sequence[str], stripe_lock: int | None
    ) -> SimulatedWire:
        """Raises ConnectFailed."""
        database, draw = self._database, self._database.loop.draw
        delay = 0.001 + draw.random() * 0.002
        fails = draw.random() < database.faults.connect_rate
        if fails and draw.random() < 0.02:
            delay = CONNECT_SECONDS_MAX
        await asyncio.sleep(delay)
        if fails or database.is_away:
            database.loop.note("connect failed")
            database.witness.connect_failed(self._ledger)
            raise ConnectFailed("simulated")
        database.loop.note("connected")
        stripe = -1 if stripe_lock is None else database.free_stripe()
        return SimulatedWire(database, self._ledger, stripe)
