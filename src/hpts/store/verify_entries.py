"""The walk over every entry of a tenant beside its lines, its map of loans and its block.

Everything is computed again; neither the kernel nor the database's sums take part. Most entries are
vouched for in C; what is not vouched for is examined in plain Python, which has the last word.
"""

import struct
from collections import defaultdict
from collections.abc import Callable
from hashlib import sha256

import msgspec

from hpts._vouching import Rows, Walk, unpack
from hpts.domain.blocks import canonical_entry, principals_digest
from hpts.store.verify_blocks import Cover
from hpts.store.verify_snapshot import Findings, Row, Snapshot, name_of

LINES_PER_ENTRY_MIN = 2
ENTRIES_PER_PROGRESS = 10_000
DEBIT = b"D"
ENTRY_INTEGERS = frozenset((1, 2))
LINE_INTEGERS = frozenset((1, 2, 6))
ENTRY_LOAN_INTEGERS = frozenset((1, 3))
"""Columns of walk_entries.sql, walk_lines.sql and walk_entry_loans.sql that are numbers."""

Tally = defaultdict[tuple[int, bytes, bytes, int, bytes], int]
"""Amounts of lines by account, currency, layer, day of effect and direction."""


def check_entries(
    snapshot: Snapshot,
    findings: Findings,
    progress: Callable[[str, int], None],
    tally: Tally,
    *,
    after_block: int = 0,
) -> dict[str, int]:
    """Walk the entries; how many entries and lines were walked. The lines of entries that stand in
    blocks after `after_block`, or in none, are added to `tally`."""
    return _Entries(snapshot, findings, tally, after_block).check(progress)


class _KeptDetails(msgspec.Struct, frozen=True):
    principals_digest: str | None = None


class _Entries:
    def __init__(
        self, snapshot: Snapshot, findings: Findings, tally: Tally, after_block: int
    ) -> None:
        self._tally = tally
        self._after_block = after_block
        self._cover = Cover(snapshot, findings)
        self._findings = findings
        self._tenant_id = snapshot.tenant_id.bytes
        self._walk = Walk(
            self._tenant_id,
            Rows(snapshot.copy("walk_entries")),
            Rows(snapshot.copy("walk_lines"), self._note_stray_line),
            Rows(snapshot.copy("walk_entry_loans"), self._note_stray_entry_loan),
            leaves=self._cover.leaves,
            reach=self._cover.reach,
            is_computed_on=_is_computed_on,
            tally=tally,
            after_block=after_block,
        )

    def check(self, progress: Callable[[str, int], None]) -> dict[str, int]:
        entries = self._walk.entries
        while entries.row is not None:
            wanted = ENTRIES_PER_PROGRESS - entries.count % ENTRIES_PER_PROGRESS
            if self._walk.pass_vouched(wanted) < wanted and entries.row is not None:
                self._check_doubtful(entries.row)
                entries.skip()
            if entries.count % ENTRIES_PER_PROGRESS == 0:
                progress("entries", entries.count)
        self._walk.finish()
        self._cover.finish()
        return {"entries": entries.count, "lines": self._walk.lines.count}

    def _check_doubtful(self, row: memoryview) -> None:
        """An entry that was not vouched for, with all that was taken of it."""
        entry = unpack(row, ENTRY_INTEGERS)
        lines = [unpack(line, LINE_INTEGERS) for line in self._walk.lines.taken]
        entry_loans = [unpack(row, ENTRY_LOAN_INTEGERS) for row in self._walk.entry_loans.taken]
        entry_id, entry_hash = entry[0], entry[12]
        block_number = self._cover.add(entry_id, entry_hash or b"", entry[1])
        try:
            self._examine(entry, lines)
            self._check_entry_loans(entry, lines, entry_loans)
            if block_number is None or block_number > self._after_block:
                self._add_up(entry[1], lines)
        except (AttributeError, TypeError, struct.error) as error:
            # A value that the tables refuse, which somebody had to change first.
            message = f"the entry or its lines hold a value that no entry has: {error}"
            self._findings.note("entry_hash", _entry(entry_id), message)

    def _add_up(self, day: int, lines: list[Row]) -> None:
        for _, _, account_code, direction, layer, currency, amount_minor, _ in lines:
            self._tally[account_code, currency, layer, day, direction] += amount_minor

    def _examine(self, entry: Row, lines: list[Row]) -> None:
        self._check_sequence(entry[0], lines)
        self._check_balance(entry[0], lines)
        self._check_hash(entry, lines)

    def _check_sequence(self, entry_id: bytes, lines: list[Row]) -> None:
        count = len(lines)
        if count < LINES_PER_ENTRY_MIN:
            message = f"has {count} lines; an entry has at least {LINES_PER_ENTRY_MIN}"
            self._findings.note("line_sequence", _entry(entry_id), message)
        if count and lines[-1][1] == count and lines[0][1] == 1:
            return  # they are sorted and the key allows none twice
        for wanted, line in enumerate(lines, 1):
            if line[1] != wanted:
                message = f"stands where line {wanted} should; lines run from 1 without a gap"
                self._findings.note("line_sequence", _line(entry_id, line[1]), message)
                return

    def _check_balance(self, entry_id: bytes, lines: list[Row]) -> None:
        nets: dict[tuple[bytes, bytes], int] = {}
        for _, _, _, direction, layer, currency, amount_minor, _ in lines:
            side = (currency, layer)
            signed = amount_minor if direction == DEBIT else -amount_minor
            nets[side] = nets.get(side, 0) + signed
        if not any(nets.values()):
            return
        for (currency, layer), net in nets.items():
            if net:
                message = (
                    f"debits less credits are {net} {currency.decode()} on layer {layer.decode()}"
                )
                self._findings.note("entry_balance", _entry(entry_id), message)

    def _check_hash(self, entry: Row, lines: list[Row]) -> None:
        (
            entry_id,
            effective_day,
            posted_at,
            event_type,
            correlation_id,
            reverses_entry_id,
            loan_id,
            actor,
            idempotency_key,
            request_digest,
            details,
            reply,
            entry_hash,
        ) = entry
        try:
            form = canonical_entry(
                tenant_id=self._tenant_id,
                effective_day=effective_day,
                posted_at=posted_at,
                journal_entry_id=entry_id,
                event_type=event_type,
                correlation_id=correlation_id,
                reverses_entry_id=reverses_entry_id,
                loan_id=loan_id,
                actor=actor,
                idempotency_key=idempotency_key,
                request_digest=request_digest,
                details=details,
                reply=reply,
                lines=[line[1:] for line in lines],
            )
        except ValueError as error:
            self._findings.note("entry_hash", _entry(entry_id), str(error))
            return
        if sha256(form).digest() != entry_hash:
            message = "the entry or its lines are not what was hashed when they were posted"
            self._findings.note("entry_hash", _entry(entry_id), message)

    def _check_entry_loans(self, entry: Row, lines: list[Row], rows: list[Row]) -> None:
        entry_id, loan_id = entry[0], entry[6]
        found = [row[:3] for row in rows]
        if loan_id is None:
            wanted = [(entry_id, line[1], line[7]) for line in lines if line[7] is not None]
        else:
            wanted = []
            for line in lines:
                if line[7] is not None and line[7] != loan_id:
                    message = f"names another loan than its entry, {name_of(line[7])}"
                    self._findings.note("entry_loans", _line(entry_id, line[1]), message)
        if found != wanted:
            _, sequence, named = min(set(found).symmetric_difference(wanted))
            is_extra = (entry_id, sequence, named) in found
            message = f"maps loan {name_of(named)}, which " + (
                "that line does not name" if is_extra else "that line names; the row is missing"
            )
            self._findings.note("entry_loans", _entry_loan(entry_id, sequence), message)
        elif rows and not _are_principals_right(rows, entry[3] == b"accrual", details=entry[10]):
            message = "an outstanding_principal_minor is not what was posted"
            self._findings.note("entry_loans", f"entry_loans {name_of(entry_id)}", message)

    def _note_stray_line(self, row: memoryview) -> None:
        line = unpack(row, LINE_INTEGERS)
        self._findings.note("line_entry", _line(line[0], line[1]), "belongs to no entry")

    def _note_stray_entry_loan(self, row: memoryview) -> None:
        entry_id, sequence, *_ = unpack(row, ENTRY_LOAN_INTEGERS)
        self._findings.note("entry_loans", _entry_loan(entry_id, sequence), "belongs to no entry")


def _are_principals_right(rows: list[Row], is_accrual: bool, *, details: bytes) -> bool:
    """Whether an accrual's rows hold what it was computed on, as its hashed details say, and those
    of others nothing."""
    accrued = [(row[2], row[3]) for row in rows if row[3] is not None]
    if not is_accrual:
        return not accrued
    is_whole = len(accrued) == len(rows) and min(principal for _, principal in accrued) >= 0
    return _is_computed_on(details, principals_digest(accrued) if is_whole else "")


def _is_computed_on(details: bytes, digest: str) -> bool:
    """Whether an accrual's details name that digest of principals, or none."""
    try:
        kept = msgspec.json.decode(details, type=_KeptDetails).principals_digest
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return kept is None or kept == digest  # none: posted before details carried it


def _entry(entry_id: bytes) -> str:
    return f"journal_entries {name_of(entry_id)}"


def _line(entry_id: bytes, sequence: int) -> str:
    return f"journal_lines {name_of(entry_id)} line {sequence}"


def _entry_loan(entry_id: bytes, sequence: int) -> str:
    return f"entry_loans {name_of(entry_id)} line {sequence}"
