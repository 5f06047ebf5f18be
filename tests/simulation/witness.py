"""Predicts every reply: what was durable when a batch looked, and what was done to its connection.

It sees what the simulated database did, in its order, and what each client's end of a connection
was told. It knows nothing of lanes, batches or retries but what ARCHITECTURE.md promises of them.
"""

import datetime
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpts.store.wire import Step

from .books import BatchNote, Books
from .loop import SimulatedLoop
from .requests import Answer, Attempt
from .rules import Planned, judge

if TYPE_CHECKING:
    from .session import Session
    from .wire import SimulatedWire

PERIOD_CLOSED_MEANWHILE = "HP001"
TRY_AGAIN = ("23505", "40001", "40P01", "55P03", PERIOD_CLOSED_MEANWHILE)
CONCERNS_ALL = ("55P03", "57014", PERIOD_CLOSED_MEANWHILE)
READ_ONLY, OUT_OF_RANGE = "25006", "22003"
NO_CODE = "XX000"
"""What PostgreSQL has no code for, a file that may not grow among it."""
BULK_BATCHES_MAX = 2
"""Accruals and reversals of one tenant that a ledger has in the database."""
OVERLOADED: Answer = ("unavailable", "overloaded")
DATABASE_UNAVAILABLE: Answer = ("unavailable", "database_unavailable")
SHUTTING_DOWN: Answer = ("unavailable", "shutting_down")
IN_PROGRESS: Answer = ("refused", "idempotency_in_progress")
TENANT_UNKNOWN: Answer = ("refused", "tenant_unknown")
EPOCH = datetime.datetime(2000, 1, 1)


class Witness:
    """What must be answered, by what happened."""

    def __init__(
        self, loop: SimulatedLoop, *, queue_max: int, batch_max: int, late_max: float
    ) -> None:
        self.loop = loop
        self.books: dict[bytes, Books] = {}
        self.attempts: list[Attempt] = []
        self.starting: list[Attempt] = []
        self._queue_max = queue_max
        self._in_batches_max = {False: batch_max, True: BULK_BATCHES_MAX}
        self._late_max = late_max
        self._in_flight: dict[tuple[int, bytes, bytes], Attempt] = {}
        self._may_wait: Counter[tuple[int, bytes, bool]] = Counter()  # hung up or not
        self._unanswered_of: Counter[tuple[int, bytes, bool]] = Counter()
        self._trouble: dict[int, tuple[float, bool]] = {}
        self._charted: set[tuple[int, bytes]] = set()
        self._notes: dict[Session, BatchNote] = {}

    # What clients do and are told

    def arrives(self, attempt: Attempt, *, is_closing: bool) -> None:
        """A client sends a request."""
        self.attempts.append(attempt)
        request = attempt.request
        place = (attempt.ledger, request.tenant_id, request.key)
        if is_closing:
            attempt.expected = (SHUTTING_DOWN, attempt.arrived)
        elif place in self._in_flight:
            attempt.expected = (IN_PROGRESS, attempt.arrived)
        else:
            self._in_flight[place] = attempt
            lane = attempt.lane
            in_batches = self._in_batches_max[request.travels_alone]
            if self._unanswered_of[lane] >= self._queue_max + in_batches:
                attempt.expected = (OVERLOADED, attempt.arrived)
            elif self._may_wait[lane] >= self._queue_max:
                attempt.tolerated = (OVERLOADED, attempt.arrived)
            self._may_wait[lane] += 1
            self._unanswered_of[lane] += 1

    def hangs_up(self, attempt: Attempt) -> None:
        """A client no longer waits. What it asked may be in a batch; its place in the lane may
        still be taken."""
        attempt.is_cancelled = True
        self._leave(attempt)

    def answered(self, attempt: Attempt, answer: Answer) -> None:
        """A client is told an outcome."""
        now = self.loop.time()
        if attempt.outcome is not None or attempt.is_cancelled:
            self.loop.complain(f"{attempt.name} was answered twice")
        attempt.outcome = answer
        if self._leave(attempt):
            self._may_wait[attempt.lane] -= 1
        if now > attempt.deadline + self._late_max:
            self.loop.complain(f"{attempt.name} was answered {now - attempt.deadline:.1f} s late")
        if attempt.expected is not None:
            if attempt.expected != (answer, now):
                self._disagree(attempt, answer)
        elif (answer, now) != attempt.tolerated and not self._may_give_up(attempt, answer, now):
            self._disagree(attempt, answer)

    def _leave(self, attempt: Attempt) -> bool:
        place = (attempt.ledger, attempt.request.tenant_id, attempt.request.key)
        if self._in_flight.get(place) is attempt:
            del self._in_flight[place]
            self._unanswered_of[attempt.lane] -= 1
            return True
        return False

    def _disagree(self, attempt: Attempt, answer: Answer) -> None:
        expected = "nothing yet"
        if attempt.expected is not None:
            expected = f"{attempt.expected[0]} at {attempt.expected[1]:.6f}"
        self.loop.complain(f"{attempt.name} was answered {answer}, expected was {expected}")

    def _may_give_up(self, attempt: Attempt, answer: Answer, now: float) -> bool:
        """Whether a request may be given up of which no batch has told the outcome."""
        if answer == OVERLOADED:
            return now >= attempt.deadline
        trouble = attempt.trouble
        if trouble is None or trouble[0] != now:
            trouble = self._trouble.get(attempt.ledger)
        if answer != DATABASE_UNAVAILABLE or trouble is None or trouble[0] != now:
            return False
        is_away = trouble[1]
        return now >= attempt.deadline or (is_away and not attempt.may_be_posted)

    # What the clients' ends of the connections see

    def sent(self, wire: "SimulatedWire", steps: Sequence[Step]) -> None:
        """A run of statements is under way."""
        if steps[0].statement == "begin_writing":
            note = self._notes[wire.session] = BatchNote(self.starting[:])
            wire.session.batch = note
            if not all(attempt in wire.session.group for attempt in note.attempts):
                wire.session.group = []
            self.loop.say("batch of", *(attempt.name for attempt in self.starting))
            self.starting.clear()
            self._check_in_time(note, wire)
        elif steps[-1].statement == "commit":
            self._notes[wire.session].is_writing = True
            for attempt, _ in self._notes[wire.session].planned:
                attempt.may_be_posted = True

    def _check_in_time(self, note: BatchNote, wire: "SimulatedWire") -> None:
        """A posting past its deadline goes to the database only to learn its outcome, after a lost
        connection. A batch that waited for a connection, or for its tenant's chart, began before.
        """
        place = (wire.ledger, note.attempts[0].request.tenant_id)
        may_have_waited = wire.is_new or place not in self._charted
        self._charted.add(place)
        wire.is_new = False
        for attempt in note.attempts:
            if attempt.outcome is not None:
                self.loop.complain(f"{attempt.name} is run again though it was answered")
            is_late = self.loop.time() > attempt.deadline and not may_have_waited
            may_be_posted = attempt.may_hold_key or attempt.is_doubtful
            if is_late and not may_be_posted and not attempt.is_cancelled:
                self.loop.complain(f"{attempt.name} goes to the database after its deadline")

    def delivered(self, wire: "SimulatedWire") -> None:
        """A run has ended well, and its client knows."""
        note = self._notes.get(wire.session)
        if note is None:
            self._read_chart(wire.session)
            return
        if not note.is_decided:
            note.is_decided = True
            note.decisions = [
                (attempt, self._decide(note, attempt, position))
                for position, attempt in enumerate(note.attempts, 1)
            ]
            return
        del self._notes[wire.session]
        if note.sqlstate:
            self._settle_failure(wire, note, note.sqlstate)
            return
        if note.planned and not note.is_writing:
            self.loop.complain("a batch with entries was rolled back")
        for attempt, answer in note.doubtful:
            attempt.tolerated = (answer, self.loop.time())
        for attempt, decision in note.decisions:
            if isinstance(decision, Planned):
                self._expect(attempt, self._posted(attempt, decision))
            elif decision is not None:
                self._expect(attempt, decision)

    def _read_chart(self, session: "Session") -> None:
        """A ledger reads the chart of a tenant once, for the tenant's first batch."""
        if session.found_suspended:
            for attempt in self._unanswered(session.wire.ledger):
                if attempt.request.tenant_id == session.found_suspended:
                    attempt.tolerated = (TENANT_UNKNOWN, self.loop.time())

    def _posted(self, attempt: Attempt, planned: Planned) -> Answer:
        if planned.entry is None:
            self.loop.complain(f"{attempt.name} is answered, and nothing of it is durable")
            return ("nothing",)
        attempt.may_be_posted = False
        return ("posted", planned.entry.entry_id, planned.entry.reply, False)

    def _expect(self, attempt: Attempt, answer: Answer) -> None:
        if attempt.expected is None:
            attempt.expected = (answer, self.loop.time())

    def failed(self, wire: "SimulatedWire", sqlstate: str) -> None:
        """A statement has failed, and the client knows."""
        note = self._notes.get(wire.session)
        now = self.loop.time()
        if note is None:
            for attempt in self._unanswered(wire.ledger):
                attempt.tolerated = (("failed", sqlstate), now)
            return
        note.is_decided, note.sqlstate = True, sqlstate
        if note.is_writing:
            for attempt, _ in note.planned:
                attempt.may_be_posted = False
        if sqlstate == READ_ONLY:
            self._notes.pop(wire.session)
            self._note_trouble(wire, note, (now, True))

    def _settle_failure(self, wire: "SimulatedWire", note: BatchNote, sqlstate: str) -> None:
        """The failed batch is rolled back: one posting is told, several are posted one by one."""
        if len(note.attempts) > 1 and sqlstate not in CONCERNS_ALL:
            self.loop.counts["batch posted one by one"] += 1
            wire.session.group = note.attempts
            return
        now = self.loop.time()
        for attempt in note.attempts:
            if sqlstate == OUT_OF_RANGE:
                self._expect(attempt, ("refused", "amount_overflow"))
            elif sqlstate in TRY_AGAIN and now < attempt.deadline:
                continue
            elif sqlstate == "55P03":
                self._expect(attempt, OVERLOADED)
            elif sqlstate[:2] in ("53", "57") or sqlstate in (NO_CODE, *TRY_AGAIN):
                self._expect(attempt, DATABASE_UNAVAILABLE)
            else:
                self._expect(attempt, ("failed", sqlstate))

    def lost(self, wire: "SimulatedWire") -> None:
        """A connection broke while its client waited for an answer."""
        note = self._notes.pop(wire.session, None)
        trouble = (self.loop.time(), False)
        if note is None:
            self._trouble[wire.ledger] = trouble
            for attempt in self._unanswered(wire.ledger):
                attempt.is_doubtful = True
            return
        self._note_trouble(wire, note, trouble)
        for attempt in note.attempts:
            attempt.may_hold_key = True

    def _note_trouble(
        self, wire: "SimulatedWire", note: BatchNote, trouble: tuple[float, bool]
    ) -> None:
        """Of the batch, and of those that were to follow one by one."""
        for attempt in note.attempts:
            attempt.trouble = trouble
        for attempt in wire.session.group:
            attempt.trouble = trouble
            attempt.is_doubtful = True

    def connect_failed(self, ledger: int) -> None:
        """No connection could be opened."""
        self._trouble[ledger] = (self.loop.time(), True)

    def _unanswered(self, ledger: int) -> list[Attempt]:
        return [
            attempt
            for attempt in self._in_flight.values()
            if attempt.ledger == ledger and attempt.expected is None
        ]

    # What the database does

    def claimed(self, session: "Session", refused: Sequence[int]) -> None:
        self._notes_of(session).refused = frozenset(refused)

    def looked_up(self, session: "Session") -> None:
        note = self._notes_of(session)
        books = self._books_of(session)
        note.earlier = {
            attempt.request.key: books.by_key[attempt.request.key]
            for attempt in note.attempts
            if attempt.request.key in books.by_key
        }

    def locked(self, session: "Session", found: Sequence[bytes], busy: Sequence[bytes]) -> None:
        note = self._notes_of(session)
        note.busy = frozenset(busy)
        note.view.loans = self._books_of(session).copy_of(found)
        if busy:
            self.loop.counts["busy loan"] += 1

    def looked_for_accruals(self, session: "Session") -> None:
        note = self._notes_of(session)
        accrued = self._books_of(session).accrued
        request = note.attempts[0].request
        note.view.accrued = {
            loan_id for loan_id, _ in request.interest if accrued.get((loan_id, request.day))
        }

    def looked_for_original(self, session: "Session") -> None:
        note = self._notes_of(session)
        note.view.original = self._books_of(session).seen(note.attempts[0].request.reverses)

    def told(self, session: "Session", posted_at: int) -> None:
        note = self._notes_of(session)
        note.is_active = self._books_of(session).is_active
        note.posted_at = posted_at
        note.view.today = posted_at // 86_400_000_000
        note.view.closed_through = self._books_of(session).closed_through
        note.view.moves_late = self._books_of(session).moves_late

    def durable(self, session: "Session") -> None:
        """A transaction has become durable: it must hold what was planned and nothing else."""
        note = self._notes_of(session)
        assert session.tenant is not None
        posted_at = (EPOCH + datetime.timedelta(microseconds=note.posted_at)).isoformat(
            timespec="microseconds"
        )
        self.loop.say("durable:", *(attempt.name for attempt, _ in note.planned))
        complaint = self._books_of(session).post(
            session.tenant, session.writes.entries, note, f"{posted_at}Z"
        )
        if complaint:
            self.loop.complain(complaint)

    def _notes_of(self, session: "Session") -> BatchNote:
        assert session.batch is not None
        return session.batch

    def _books_of(self, session: "Session") -> Books:
        assert session.tenant is not None
        return self.books[session.tenant.tenant_id]

    # What must become of a request

    def _decide(self, note: BatchNote, attempt: Attempt, position: int) -> Planned | Answer | None:
        """Planned to be posted, or an answer; None where it is to be tried again."""
        request, now = attempt.request, self.loop.time()
        wait = None if now < attempt.deadline else OVERLOADED
        is_claimed = position not in note.refused
        if not is_claimed and attempt.may_hold_key:
            self.loop.counts["own lost connection holds the key"] += 1
            return wait
        earlier = note.earlier.get(request.key)
        if is_claimed:
            attempt.may_be_posted = False
        if earlier is not None and earlier.attempt == attempt.number:
            self.loop.counts["found its own entry after a loss"] += 1
            return ("posted", earlier.entry_id, earlier.reply, False)
        if not note.is_active or not is_claimed:
            answer = IN_PROGRESS if note.is_active else TENANT_UNKNOWN
            if is_claimed or not attempt.is_doubtful:
                return answer
            note.doubtful.append((attempt, answer))
            return None  # past its deadline it may be given up all the same
        if earlier is not None:
            if earlier.digest != attempt.digest:
                return ("refused", "idempotency_mismatch")
            return ("posted", earlier.entry_id, earlier.reply, True)
        if request.loan_id in note.busy:
            return wait
        planned = judge(request, note.view)
        if isinstance(planned, str):
            return ("refused", planned)
        note.planned.append((attempt, planned))
        return planned
