"""The model's books of a tenant: what is durable, by the order in which it became so."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from .database import EntryRow, Tenant
from .requests import Answer, Attempt
from .rules import INT64_MAX, ModelEntry, ModelLoan, Planned, RuleLine, View, add_line

EVENT_TYPES = {
    "payment": b"payment_received",
    "disbursement": b"disbursement",
    "accrual": b"accrual",
    "reversal": b"reversal",
}


class BatchNote:
    """What a batch saw of the books, statement by statement, and what must become of it."""

    def __init__(self, attempts: list[Attempt]) -> None:
        self.attempts = attempts
        self.refused: frozenset[int] = frozenset()
        self.earlier: dict[bytes, ModelEntry] = {}
        self.busy: frozenset[bytes] = frozenset()
        self.view = View({}, 0)
        self.is_active = False
        self.posted_at = 0
        self.is_decided = False
        self.is_writing = False
        self.sqlstate = ""
        self.decisions: list[tuple[Attempt, Planned | Answer | None]] = []
        self.doubtful: list[tuple[Attempt, Answer]] = []
        """Those that may hold their key themselves, and their answer if somebody else does."""
        self.planned: list[tuple[Attempt, Planned]] = []


class Books:
    """Loans, entries by key, and which loans are accrued for which day by how many entries."""

    def __init__(self) -> None:
        self.is_active = True
        self.closed_through = -1
        self.moves_late = False
        self.loans: dict[bytes, ModelLoan] = {}
        self.entries: dict[bytes, ModelEntry] = {}
        self.by_key: dict[bytes, ModelEntry] = {}
        self.accrued: dict[tuple[bytes, int], int] = {}
        self._last_posted: dict[bytes, str] = {}
        self._totals: dict[tuple[str, str, bytes], int] = {}

    def copy_of(self, loan_ids: Iterable[bytes]) -> dict[bytes, ModelLoan]:
        """The loans as they are now."""
        return {
            loan_id: replace(self.loans[loan_id], owed=list(self.loans[loan_id].owed))
            for loan_id in loan_ids
        }

    def seen(self, entry_id: bytes) -> ModelEntry | None:
        """An entry as it is now."""
        entry = self.entries.get(entry_id)
        return None if entry is None else replace(entry)

    def post(
        self, tenant: Tenant, rows: Sequence[EntryRow], note: BatchNote, posted_at: str
    ) -> str | None:
        """Keep what a transaction made durable, which must be what was planned; else why not."""
        if len(rows) != len(note.planned):
            return f"{len(rows)} entries are durable of {len(note.planned)}"
        for row, (attempt, planned) in zip(rows, note.planned, strict=True):
            request = attempt.request
            if request.key in self.by_key:
                return f"{attempt.name} was posted under a key that was used"
            original = self.entries.get(request.reverses)
            result = planned.result
            expected_lines = [
                (tenant.codes[role], side.encode(), b"S", currency, amount, loan_id)
                for role, side, amount, currency, loan_id in planned.lines
            ]
            if row.lines != expected_lines:
                return f"{attempt.name} has the lines {row.lines}, expected {expected_lines}"
            reverses = b"" if original is None else original.entry_id
            correlation = row.correlation_id if original is None else original.correlation_id
            reply = (
                f"{row.journal_entry_id.hex()} {correlation.hex()} {reverses.hex()} {posted_at}"
                f" {result!r}"
            ).encode()
            # The first day that was open when the batch looked. If the books were reopened since,
            # an earlier one is open as well; if they were closed further, nothing may be durable.
            seen = note.view.closed_through
            day = request.day if request.day > seen else seen + 1
            if row.effective_day <= self.closed_through:
                return f"{attempt.name} stands in a closed period, on {row.effective_day}"
            facts = (EVENT_TYPES[request.kind], day, b"%d" % attempt.number, request.key)
            kept = (row.event_type, row.effective_day, row.actor, row.idempotency_key)
            if row.own_day != request.day:
                return f"{attempt.name} says that it was asked for as of {row.own_day}"
            if kept != facts or row.request_digest != attempt.digest or row.reply != reply:
                return (
                    f"{attempt.name} is kept as {kept}, {row.reply!r}, expected {facts}, {reply!r}"
                )
            if (row.reverses_entry_id or b"") != reverses or row.correlation_id != correlation:
                return f"{attempt.name} reverses another entry, or leaves its flow"
            planned.entry = ModelEntry(
                row.journal_entry_id,
                attempt.digest,
                attempt.number,
                request.kind,
                row.correlation_id,
                reply,
                planned.lines,
                request.day,
            )
            self._keep(attempt, planned.entry, original)
            for loan_id in {line[4] for line in planned.lines if line[4] is not None}:
                if posted_at < self._last_posted.get(loan_id, ""):
                    return f"{attempt.name} was posted before an earlier entry of its loan"
                self._last_posted[loan_id] = posted_at
        if max(self._totals.values(), default=0) > INT64_MAX:
            return "an account's total has passed int64"
        return None

    def _keep(self, attempt: Attempt, entry: ModelEntry, original: ModelEntry | None) -> None:
        request = attempt.request
        self.entries[entry.entry_id] = self.by_key[request.key] = entry
        for line in entry.lines:
            loan_id, currency = line[4], line[3]
            if loan_id is not None and loan_id not in self.loans:
                self.loans[loan_id] = ModelLoan(request.borrower_id, currency)
            add_line(self.loans, line)
            place = (line[0], line[1], currency)
            self._totals[place] = self._totals.get(place, 0) + line[2]
        if request.kind == "accrual":
            self._count_accruals(entry.lines, request.day, 1)
        if original is not None:
            original.is_reversed = True
            if original.kind == "accrual":
                self._count_accruals(original.lines, original.day, -1)

    def _count_accruals(self, lines: Iterable[RuleLine], day: int, by: int) -> None:
        for role, _, _, _, loan_id in lines:
            if role == "interest_receivable" and loan_id is not None:
                self.accrued[loan_id, day] = self.accrued.get((loan_id, day), 0) + by
