"""What becomes of each posting of an opened batch: memory only, in the order they came.

Replay, refuse, wait for a busy loan, or lines through a rule of `domain/` and the kernel. Nothing
here awaits, and what is refused leaves nothing in the batch.
"""

import secrets
import time

import msgspec

from hpts._posting import AMOUNT_OVERFLOW, POSTED, Batch
from hpts.domain.accounts import Chart
from hpts.domain.accrual import Accrual, write_accrual
from hpts.domain.audit import Action, AuditEvent
from hpts.domain.disbursement import Disbursement, write_disbursement
from hpts.domain.entries import EntryFacts, format_timestamp
from hpts.domain.identifiers import RANDOM_BITS, first_identifier, format_identifier
from hpts.domain.payment import Payment, write_payment
from hpts.domain.periods import tag_moved
from hpts.domain.rejections import Refusal, Rejection
from hpts.domain.reversal import Reversal, write_reversal
from hpts.posting import OVERLOADED, TRAVEL_ALONE, Command, Outcome, Posted, Posting, Receipt
from hpts.store.append import Earlier, Opened


class Decisions:
    """What becomes of each posting of an opened batch, decided in the order they came."""

    def __init__(self, tenant_id: bytes, chart: Chart, opened: Opened) -> None:
        drawn = secrets.randbits(2 * RANDOM_BITS)
        first = first_identifier(opened.posted_at, drawn >> RANDOM_BITS)
        self.first_entry_id = first.to_bytes(16, "big")
        self.batch = Batch(
            tenant_id,
            self.first_entry_id,
            opened.posted_at,
            chart.principal_receivable,
            chart.interest_receivable,
            chart.fees_receivable,
        )
        self.batch.load_loans(opened.loans)
        self.outcomes: list[tuple[Posting, Outcome]] = []
        self.retry: list[Posting] = []
        self.has_entries = False
        self.has_many_loans = False
        self.moved_accrual_day: int | None = None
        self.has_earlier = False
        self._chart = chart
        self._opened = opened
        self._posted_at = format_timestamp(opened.posted_at)
        self._next_event_id = first_identifier(opened.posted_at, drawn % 2**RANDOM_BITS)

    def decide(self, posting: Posting, is_claimed: bool) -> None:
        """Note the outcome of a posting, or that it is to be tried again."""
        earlier = self._opened.earlier.get(posting.idempotency_key)
        if posting.may_hold_key and not is_claimed:
            self._try_again(posting)  # our own lost connection still holds the key
        elif earlier and earlier.journal_entry_id in posting.attempted_entry_ids:
            self._note_earlier(posting, earlier, is_replay=False)
        elif not self._opened.tenant_is_active:
            self._note(posting, Refusal(Rejection.TENANT_UNKNOWN))
        elif not is_claimed:
            self._note(posting, Refusal(Rejection.IDEMPOTENCY_IN_PROGRESS))
        elif earlier and earlier.request_digest != posting.request_digest:
            self._note(posting, Refusal(Rejection.IDEMPOTENCY_MISMATCH))
        elif earlier:
            self._note_earlier(posting, earlier, is_replay=True)
        elif self._is_busy(posting.command):
            self._try_again(posting)
        else:
            self._note(posting, self._post(posting))

    def _note(self, posting: Posting, outcome: Outcome) -> None:
        self.outcomes.append((posting, outcome))

    def _note_earlier(self, posting: Posting, earlier: Earlier, *, is_replay: bool) -> None:
        self.has_earlier = True
        self._note(posting, Posted(earlier.journal_entry_id, earlier.reply, is_replay))

    def _try_again(self, posting: Posting) -> None:
        if time.monotonic() < posting.deadline:
            self.retry.append(posting)
        else:
            self._note(posting, OVERLOADED)

    def _is_busy(self, command: Command) -> bool:
        if isinstance(command, TRAVEL_ALONE):
            return False  # they have waited for their loans
        return command.loan_id in self._opened.busy_loans

    def _post(self, posting: Posting) -> Outcome:
        written = self._write_lines(posting.command)
        if isinstance(written, Refusal):
            return written
        requested_day = posting.command.effective_day
        is_moved = written.effective_day != requested_day
        details = written.details
        if is_moved:
            details = tag_moved(details, requested_day)
        entry_id = self.batch.next_entry_id()
        event_id = self._next_event_id.to_bytes(16, "big")
        receipt = Receipt(
            entry_id,
            written.correlation_id or event_id,
            self._posted_at,
            written.result,
            written.reverses_entry_id,
            written.effective_day,
            requested_day,
        )
        reply = posting.render(receipt)
        status = self.batch.end_entry(
            event_type=written.event_type,
            correlation_id=receipt.event_id,
            reverses_entry_id=written.reverses_entry_id,
            loan_id=written.loan_id,
            actor=posting.actor,
            idempotency_key=posting.idempotency_key,
            request_digest=posting.request_digest,
            details=details,
            reply=reply,
        )
        if status != POSTED:
            overflow = status == AMOUNT_OVERFLOW
            return Refusal(Rejection.AMOUNT_OVERFLOW if overflow else Rejection.NEGATIVE_BALANCE)
        if is_moved and isinstance(posting.command, Accrual):
            self.moved_accrual_day = requested_day
        self._next_event_id += 1
        self.has_entries = True
        self.has_many_loans |= written.has_many_loans
        posting.attempted_entry_ids += (entry_id,)
        return Posted(entry_id, reply, False)

    def _write_lines(self, command: Command) -> EntryFacts | Refusal:
        if isinstance(command, Payment):
            return write_payment(self.batch, self._chart, command, self._opened.calendar)
        if isinstance(command, Disbursement):
            return write_disbursement(self.batch, self._chart, command, self._opened.calendar)
        if isinstance(command, Accrual):
            accrued = self._opened.accrued_loans
            return write_accrual(self.batch, self._chart, command, self._opened.calendar, accrued)
        return write_reversal(
            self.batch, self._chart, command, self._opened.original, self._opened.calendar
        )


def audit_event_of(posting: Posting, entry_id: bytes) -> AuditEvent | None:
    """What is recorded with the entry of a posting; None where anybody may post it who may post."""
    command = posting.command
    if not isinstance(command, Reversal):
        return None
    return AuditEvent(
        action=Action.REVERSAL_POST,
        is_allowed=True,
        actor=posting.actor.decode(),
        origin=posting.origin,
        subject=format_identifier(command.reverses_entry_id),
        details=msgspec.json.encode({"journal_entry_id": format_identifier(entry_id)}),
    )
