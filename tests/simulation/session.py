"""A session of the simulated database: runs what arrives in order, waits for locks, ends."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hpts.store.wire import Rows, Step

from .books import BatchNote
from .database import Blocked, Database, Lock, Refused, Tenant, Writes
from .faults import Plan
from .requests import Attempt
from .statements import STATEMENTS

if TYPE_CHECKING:
    from .wire import SimulatedWire

LOCK_TIMEOUT = 2.0
"""As the package sets it for its connections."""
IN_FAILED_TRANSACTION = "25P02"


class Session:
    """One backend. Its client may be gone long before it notices."""

    def __init__(self, database: Database, wire: "SimulatedWire", stripe: int) -> None:
        self.database = database
        self.wire = wire
        self.stripe = stripe
        self.held: list[Lock] = []
        self.waits_for: Lock | None = None
        self.tenant: Tenant | None = None
        self.writes = Writes()
        self.seen: list[bytes] | None = None  # the loans of a statement that waits for them
        self.batch: BatchNote | None = None  # what the model knows of the transaction
        self.group: list[Attempt] = []  # what is posted one by one after a failure
        self.found_suspended: bytes | None = None  # the tenant whose chart is not to be read
        self.in_transaction = False
        self.lock_timeout = LOCK_TIMEOUT
        self._is_failed = False
        self._is_alive = True
        self._is_orphan = False
        self._is_running = False
        self._steps: Sequence[Step] = ()
        self._position = 0
        self._rows: list[Rows] = []
        self._plan: Plan
        self._timer: asyncio.TimerHandle | None = None
        database.sessions.append(self)

    def arrive(self, steps: Sequence[Step], plan: Plan) -> None:
        """Statements have come in over the wire, or as many of them as got through."""
        if not self._is_alive:
            return
        self._steps, self._plan = steps, plan
        self._position, self._rows = 0, []
        self._is_running = True
        self._go_on()

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        def act() -> None:
            if self._is_alive:
                action()

        self._timer = self.database.loop.call_later(seconds, act)

    def _go_on(self) -> None:
        plan = self._plan
        while self._position < plan.arrived:
            if self._position == plan.pause_at:
                plan.pause_at = -1
                self._later(plan.pause, self._go_on)
                return
            step = self._steps[self._position]
            try:
                self._rows.append(self._execute(step))
            except Blocked as blocked:
                self._wait_for(blocked.lock)
                return
            except Refused as refused:
                self._fail(step.statement, refused.sqlstate)
                return
            self.seen = None
            self._position += 1
        self._finish(None)

    def _execute(self, step: Step) -> Rows:
        if self._position == self._plan.fail_at:
            raise Refused(self._plan.sqlstate)
        if self._is_failed and step.statement not in ("roll_back", "commit"):
            raise Refused(IN_FAILED_TRANSACTION)
        rows = STATEMENTS[step.statement](self, step.parameters)
        if self.waits_for is not None:
            self._stop_waiting()
        return rows

    def _wait_for(self, lock: Lock) -> None:
        if self.waits_for != lock:
            self._stop_waiting()
            self.waits_for = lock
            self.database.loop.note("waited for a lock")
            self._later(self.lock_timeout, self._give_up_waiting)
        self.database.wait_for(self, lock)

    def wake(self, lock: Lock) -> None:
        """The lock was released."""
        if self._is_alive and self.waits_for == lock:
            self._go_on()

    def _give_up_waiting(self) -> None:
        if self.waits_for is not None:
            self.database.loop.note("lock wait timed out")
            self._fail(self._steps[self._position].statement, "55P03")

    def _stop_waiting(self) -> None:
        if self._timer is not None and self.waits_for is not None:
            self._timer.cancel()
        self.waits_for = None

    def _fail(self, statement: str, sqlstate: str) -> None:
        self._stop_waiting()
        self.database.loop.note(f"failed with {sqlstate}", statement)
        if self.in_transaction:
            self.undo()
            self._is_failed = statement != "commit"  # a COMMIT that fails ends the transaction
            self.in_transaction = self._is_failed
        self._finish((statement, sqlstate))

    def _finish(self, failure: tuple[str, str] | None) -> None:
        self._is_running = False
        if self._is_orphan and self._plan.notice <= 0:
            self.end()
        elif not self._plan.is_deaf:
            rows = self._rows
            self.database.loop.call_later(self._plan.back, self.wire.deliver, rows, failure)

    def begin(self) -> None:
        if self.in_transaction:
            self.database.loop.complain("a transaction begins inside another")
        self.in_transaction = True
        self.writes = Writes()

    def commit(self) -> None:
        """COMMIT takes effect: durable, visible and unlocked in one moment."""
        if self._is_failed or not self.in_transaction:
            self.roll_back()
            return
        if self.tenant is not None and (self.writes.entries or self.writes.audit_events):
            self.database.apply(self.tenant, self.writes)
            self.database.witness.durable(self)
        self.in_transaction = False
        self.undo()

    def roll_back(self) -> None:
        self._is_failed = self.in_transaction = False
        self.undo()

    def undo(self) -> None:
        """Forget what was written and release every lock."""
        self.writes = Writes()
        self.tenant = self.seen = None
        self.lock_timeout = LOCK_TIMEOUT
        if self.held:
            self.database.release(self)

    def orphan(self, notice: float) -> None:
        """The client is gone; the database notices after a while, when nothing runs."""
        self._is_orphan = True
        if self._is_alive:
            self.database.loop.call_later(notice, self._notice)

    def _notice(self) -> None:
        if self._is_running:
            self._plan.notice = 0.0  # ends with its last statement
        elif self._is_alive:
            self.end()

    def end(self) -> None:
        """The session is over; what was open is rolled back."""
        if self._is_alive:
            if self.in_transaction and not self._is_failed:
                self.database.loop.note("rolled back with its session")
            self._is_alive = self._is_running = False
            self.roll_back()
            self.database.sessions.remove(self)

    @property
    def is_at_commit(self) -> bool:
        """Whether COMMIT has arrived and has not yet taken effect."""
        is_under_way = self._is_running and self._position < self._plan.arrived
        return is_under_way and self._steps[self._position].statement == "commit"

    def kill(self, *, keeps_commit: bool) -> None:
        """Stop at once. A COMMIT that has arrived may be kept, though nobody is told."""
        if keeps_commit and self.is_at_commit:
            self.database.loop.note("committed in a crash")
            self.commit()
        self._stop_waiting()
        self.end()
        self.wire.hear_of_loss()
