# cython: boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: auto_pickle=False, autotestdict=False
"""The posting kernel: int64 money arithmetic of one batch, from lines to PostgreSQL columns.

It knows amounts, accounts, loans and columns; it knows no lending rule except the waterfall, no
SQL, no clock and no event loop. An entry takes effect whole in `end_entry` or leaves nothing.
Invariants: every line positive; per currency and layer debits equal credits; no sum ever wraps.
"""

from hashlib import sha256

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, int32_t, int64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

from hpts._buffers cimport Buffer, resized_for
from hpts._canonical cimport put_entry
from hpts._columns cimport (
    Column, add_element, free_column, free_columns, read_int32_cell, read_int64_cell, start_column,
    take_column, take_columns,
)
from hpts._effects cimport Books, apply_lines, find_totals, undo_lines
from hpts._lines cimport (
    FEES, INTEREST, LINES_BALANCE, LINES_NOT_POSITIVE, LINES_ONE_SIDED, LINES_OVERFLOW,
    LINES_PER_ENTRY_MAX, LINES_TOO_MIXED, LINES_UNBALANCED, NO_LOAN, PRINCIPAL, SETTLED,
    Allocation, Line, LinesVerdict, allocate_amount, check_lines,
)
from hpts._loans cimport (
    NO_DAY, AccrualMarks, Loan, check_loans, components_match, mark_loan, touch_loans, undo_marks,
    write_loan,
)
from hpts._rows cimport (
    ENTRY_COLUMNS, ENTRY_LOAN_COLUMNS, LINE_COLUMNS, LOAN_COLUMNS, TOTAL_COLUMNS,
    add_entry_loan_row, add_entry_row, add_line_row, add_loan_row, add_total_row,
    reserve_entry_row, start_entry_columns, start_entry_loan_columns, start_line_columns,
    start_loan_columns, start_total_columns, write_entry_id,
)
from hpts._totals cimport Total, free_totals

cpdef enum:
    POSTED = 0
    AMOUNT_OVERFLOW = 1
    NEGATIVE_BALANCE = 2

cdef enum:
    ENTRIES_PER_BATCH_MAX = 65536  # positions that the last 16 bits of an identifier can number

cdef int[3] LOANS_STATUS = [POSTED, AMOUNT_OVERFLOW, NEGATIVE_BALANCE]  # by LoansVerdict

cdef dict LINES_MESSAGES = {
    <int>LINES_NOT_POSITIVE: "an amount must be above zero",
    <int>LINES_ONE_SIDED: "a line is a debit or a credit",
    <int>LINES_TOO_MIXED: "too many currencies and layers",
    <int>LINES_UNBALANCED: "debits and credits differ",
}


class PostingError(Exception):
    """A broken invariant: the caller built an entry that no rule should have built."""


@cython.final
cdef class Batch:
    """The postings of one database transaction of one tenant.

    Amounts are minor units, days count from 2000-01-01, times are microseconds from 2000-01-01 UTC
    (PostgreSQL's epoch), identifiers are 16 bytes. Loans are named by their index in the batch.
    Every number is checked where it comes in: OverflowError if it does not fit, nothing changed.
    """

    cdef Books books
    cdef Line* lines
    cdef AccrualMarks marks  # of the open entry
    cdef size_t loan_capacity, line_capacity
    cdef int32_t loan_count, line_count, entry_count
    cdef int32_t entry_first_line, entry_first_loan, entry_day
    cdef int32_t entry_steps  # of the open entry that `apply_lines` made
    cdef unsigned char[16] tenant_id
    cdef unsigned char[16] first_entry_id
    cdef int64_t posted_at
    cdef bint entry_open
    cdef Column[ENTRY_COLUMNS] entry_columns
    cdef Column[LINE_COLUMNS] taken_columns  # as many as the widest of the tables but the entries
    cdef Buffer canonical
    cdef dict loan_index
    cdef readonly list entry_hashes

    def __cinit__(
        self, bytes tenant_id, bytes first_entry_id, int64_t posted_at,
        int16_t principal_account, int16_t interest_account, int16_t fees_account,
    ):
        if len(tenant_id) != 16 or len(first_entry_id) != 16:
            raise PostingError("identifiers are 16 bytes")
        if not first_entry_id.endswith(b"\0\0"):
            raise PostingError("the first identifier of a batch ends in position 0, in 16 bits")
        memcpy(self.tenant_id, PyBytes_AS_STRING(tenant_id), 16)
        memcpy(self.first_entry_id, PyBytes_AS_STRING(first_entry_id), 16)
        self.posted_at = posted_at
        self.books.component_accounts = [principal_account, interest_account, fees_account]
        self.loan_index = {}
        self.entry_hashes = []
        start_entry_columns(self.entry_columns)

    def __dealloc__(self):
        free(self.books.loans)
        free(self.lines)
        free(self.marks.marks)
        free_totals(&self.books.totals)
        free(self.canonical.data)
        free_columns(self.entry_columns, ENTRY_COLUMNS)
        free_columns(self.taken_columns, LINE_COLUMNS)

    # Loans

    def load_loans(self, list rows not None):
        """Loans as the database has them: (loan_id, borrower_id, currency, principal, interest,
        fees, accrued_through or None), each cell in PostgreSQL's binary format."""
        cdef int64_t[3] components
        cdef int32_t through
        cdef Loan* loan
        self._require(is_open=False)
        for loan_id, borrower_id, currency, principal, interest, fees, accrued_through in rows:
            components[PRINCIPAL] = read_int64_cell(principal)
            components[INTEREST] = read_int64_cell(interest)
            components[FEES] = read_int64_cell(fees)
            if min(components[PRINCIPAL], components[INTEREST], components[FEES]) < 0:
                raise PostingError("a loan's component is never below zero")
            through = NO_DAY if accrued_through is None else read_int32_cell(accrued_through)
            loan = &self.books.loans[self._add_loan(loan_id, borrower_id, currency)]
            loan.components = components
            loan.accrued_through = through

    def open_loan(self, bytes loan_id, bytes borrower_id, bytes currency):
        """Index of a loan that the open entry creates; dropping the entry forgets it."""
        self._require(is_open=True)
        cdef int32_t index = self._add_loan(loan_id, borrower_id, currency)
        self.books.loans[index].is_new = True
        return index

    def find_loan(self, bytes loan_id):
        """Index of a loan, or -1 when the batch has none of that id."""
        return self.loan_index.get(loan_id, NO_LOAN)

    def loan_terms(self, int32_t loan):
        """(borrower_id, currency): what the first disbursement fixed."""
        cdef Loan* at = self._loan(loan)
        return at.borrower_id[:16], at.currency[:3]

    def loan_components(self, int32_t loan):
        """(principal, interest, fees) owed at this point of the batch."""
        cdef Loan* at = self._loan(loan)
        return at.components[PRINCIPAL], at.components[INTEREST], at.components[FEES]

    def mark_accrued(self, int32_t loan, int32_t day):
        """Note that the open entry accrues the loan for `day`; the latest such day is kept."""
        self._loan(loan)
        self._require(is_open=True)
        mark_loan(&self.marks, self.books.loans, loan, day)

    def allocate(self, int32_t loan, int64_t amount):
        """(fees, interest, principal, suspense) of a payment: what is owed now, in that order."""
        if amount <= 0:
            raise PostingError("an amount to allocate must be above zero")
        cdef Allocation parts = allocate_amount(amount, self._loan(loan).components)
        return parts.fees, parts.interest, parts.principal, parts.suspense

    cdef Loan* _loan(self, int32_t loan) except NULL:
        if not 0 <= loan < self.loan_count:
            raise PostingError(f"loan {loan} is not in this batch of {self.loan_count}")
        return &self.books.loans[loan]

    cdef int32_t _add_loan(self, bytes loan_id, bytes borrower_id, bytes currency) except -1:
        if loan_id in self.loan_index:
            raise PostingError("a loan stands in a batch once")
        if len(loan_id) != 16 or len(borrower_id) != 16 or len(currency) != 3:
            raise PostingError("a loan has two 16-byte identifiers and a 3-letter currency")
        self.books.loans = <Loan*>resized_for(
            self.books.loans, self.loan_count, &self.loan_capacity, sizeof(Loan)
        )
        write_loan(&self.books.loans[self.loan_count], loan_id, borrower_id, currency)
        self.loan_index[loan_id] = self.loan_count
        self.loan_count += 1
        return self.loan_count - 1

    # Entries

    def next_entry_id(self):
        """Id of the entry that `end_entry` posts next: the first id plus its position."""
        cdef unsigned char[16] made
        write_entry_id(made, self.first_entry_id, self.entry_count)
        return made[:16]

    def begin_entry(self, int32_t effective_day):
        """Start an entry; every line until `end_entry` belongs to it."""
        self._require(is_open=False)
        if self.entry_count == ENTRIES_PER_BATCH_MAX:
            raise PostingError("a batch has at most 65,536 entries")
        self.entry_open = True
        self.entry_day = effective_day
        self.entry_first_line = self.line_count
        self.entry_first_loan = self.loan_count
        self.entry_steps = 0
        self.marks.count = 0

    def line(
        self, int16_t account, char direction, int64_t amount, bytes currency,
        int32_t loan=NO_LOAN, char layer=SETTLED, int64_t outstanding_principal=-1,
    ):
        """Add a line to the open entry; it is checked in `end_entry`."""
        cdef Line* line
        if not self.entry_open or len(currency) != 3 or not -1 <= loan < self.loan_count:
            raise PostingError("a line needs an open entry, a 3-letter currency and a known loan")
        if self.line_count - self.entry_first_line >= LINES_PER_ENTRY_MAX:
            raise PostingError("an entry has at most 32,767 lines")
        self.lines = <Line*>resized_for(
            self.lines, self.line_count, &self.line_capacity, sizeof(Line)
        )
        line = &self.lines[self.line_count]
        line.entry = self.entry_count
        line.sequence = <int16_t>(self.line_count - self.entry_first_line + 1)
        line.account = account
        line.direction = direction
        line.layer = layer
        line.amount = amount
        line.loan = loan
        line.outstanding_principal = outstanding_principal
        memcpy(line.currency, PyBytes_AS_STRING(currency), 3)
        self.line_count += 1

    def drop_entry(self):
        """Forget the open entry: its lines, what they did, and the loans that it opened."""
        self._require(is_open=True)
        cdef Line* lines = self.lines + self.entry_first_line
        undo_lines(&self.books, lines, self.line_count - self.entry_first_line, self.entry_steps)
        undo_marks(&self.marks, self.books.loans)
        self.line_count = self.entry_first_line
        while self.loan_count > self.entry_first_loan:
            del self.loan_index[self.books.loans[self.loan_count - 1].loan_id[:16]]
            self.loan_count -= 1
        self.entry_open = False

    def end_entry(
        self, *, bytes event_type not None, bytes correlation_id not None, bytes reverses_entry_id,
        bytes loan_id, bytes actor not None, bytes idempotency_key not None,
        bytes request_digest not None, bytes details not None, bytes reply not None,
    ):
        """Check the open entry and make it part of the batch.

        Returns POSTED, or AMOUNT_OVERFLOW or NEGATIVE_BALANCE with nothing changed. `reply` is the
        body that replays answer, `loan_id` the loan of a single-loan entry (else None). Raises
        PostingError, with nothing changed either, when the lines do not form an entry at all.
        """
        cdef int status
        self._require(is_open=True)
        try:
            status = self._check()
            if status == POSTED:
                status = self._apply()
            if status == POSTED:
                self._record((
                    self.next_entry_id(), event_type, correlation_id, reverses_entry_id, loan_id,
                    actor, idempotency_key, request_digest, details, reply,
                ))
        except BaseException:
            self.drop_entry()
            raise
        if status != POSTED:
            self.drop_entry()
            return status
        self.entry_open = False
        return POSTED

    cdef int _require(self, bint is_open) except -1:
        if self.entry_open != is_open:
            raise PostingError("an entry is open" if self.entry_open else "no entry is open")
        return 0

    cdef int _check(self) except -1:
        """POSTED or AMOUNT_OVERFLOW, before anything has changed."""
        cdef const Line* lines = self.lines + self.entry_first_line
        cdef int32_t count = self.line_count - self.entry_first_line
        cdef LinesVerdict verdict
        if count < 2:
            raise PostingError(f"an entry has at least 2 lines, not {count}")
        verdict = check_lines(lines, count)
        if verdict != LINES_BALANCE and verdict != LINES_OVERFLOW:
            raise PostingError(f"{LINES_MESSAGES[<int>verdict]}, in an entry of {count} lines")
        if not components_match(self.books.loans, self.books.component_accounts, lines, count):
            raise PostingError("a loan's component is in the loan's currency")
        return AMOUNT_OVERFLOW if verdict == LINES_OVERFLOW else POSTED

    cdef int _apply(self) except -1:
        """The entry's effect on loans and totals, or a status; `drop_entry` undoes it."""
        cdef Line* lines = self.lines + self.entry_first_line
        cdef int32_t count = self.line_count - self.entry_first_line
        find_totals(&self.books, lines, count, self.entry_day)
        self.entry_steps = apply_lines(&self.books, lines, count)
        if self.entry_steps < 2 * count:
            return AMOUNT_OVERFLOW
        return LOANS_STATUS[<int>check_loans(self.books.loans, lines, count)]

    cdef int _record(self, tuple fields) except -1:
        """The entry's row and hash: once the list of hashes has grown, nothing can fail."""
        cdef Line* lines = self.lines + self.entry_first_line
        cdef int32_t count = self.line_count - self.entry_first_line
        cdef bytes entry_hash
        reserve_entry_row(self.entry_columns, fields)
        put_entry(
            &self.canonical, self.tenant_id, self.entry_day, self.posted_at, fields,
            lines, count, self.books.loans,
        )
        entry_hash = sha256(
            PyBytes_FromStringAndSize(<char*>self.canonical.data, self.canonical.size)
        ).digest()
        self.entry_hashes.append(entry_hash)
        add_entry_row(self.entry_columns, fields, self.entry_day, entry_hash)
        touch_loans(self.books.loans, lines, count)
        self.entry_count += 1
        return 0

    # Columns, one PostgreSQL array each, in the order of the INSERT that takes them

    @property
    def size(self):
        """(entries, lines) of the batch, without those of an open entry."""
        return self.entry_count, self.entry_first_line if self.entry_open else self.line_count

    def take_entries(self):
        """Columns of journal_entries; they can be taken once."""
        self._require(is_open=False)
        if self.entry_columns[0].count != self.entry_count:
            raise PostingError("the entries of a batch are taken once")
        return take_columns(self.entry_columns, ENTRY_COLUMNS)

    def take_lines(self):
        """Columns of journal_lines: entry, sequence, account, direction, layer, currency,
        amount, loan."""
        cdef Column* columns = self._fresh_columns()
        start_line_columns(columns)
        for at in range(self.line_count):
            add_line_row(columns, self.first_entry_id, &self.lines[at], self.books.loans)
        return take_columns(columns, LINE_COLUMNS)

    def take_entry_loans(self):
        """Columns of entry_loans (loan, entry, sequence, outstanding principal), for an entry of
        many loans: the lines of the batch that name a loan."""
        cdef Column* columns = self._fresh_columns()
        start_entry_loan_columns(columns)
        for at in range(self.line_count):
            if self.lines[at].loan != NO_LOAN:
                add_entry_loan_row(columns, self.first_entry_id, &self.lines[at], self.books.loans)
        return take_columns(columns, ENTRY_LOAN_COLUMNS)

    def take_loans(self, bint is_new):
        """Columns of the loans that were opened (is_new) or changed: loan, borrower, currency,
        principal, interest, fees, accrued through."""
        cdef Column* columns = self._fresh_columns()
        cdef Loan* loan
        start_loan_columns(columns)
        for at in range(self.loan_count):
            loan = &self.books.loans[at]
            if loan.is_touched and loan.is_new == is_new:
                add_loan_row(columns, loan)
        return take_columns(columns, LOAN_COLUMNS)

    def take_totals(self):
        """Columns of what the batch adds to the totals of an account and day: account, currency,
        layer, effective day, debit, credit."""
        cdef Column* columns = self._fresh_columns()
        cdef Total* total
        start_total_columns(columns)
        for at in range(self.books.totals.count):
            total = &self.books.totals.totals[at]
            if total.debit or total.credit:  # else every entry that touched it was refused
                add_total_row(columns, total)
        return take_columns(columns, TOTAL_COLUMNS)

    cdef Column* _fresh_columns(self) except NULL:
        """Columns to fill and take; a take that failed left its own to be freed here."""
        self._require(is_open=False)
        free_columns(self.taken_columns, LINE_COLUMNS)
        return self.taken_columns


def array_of(unsigned int element_type, list elements not None):
    """A one-dimensional PostgreSQL array of ready-made binary elements (None is NULL)."""
    cdef Column column
    cdef bytes element
    start_column(&column, element_type)
    try:
        for element in elements:
            add_element(&column, element)
        return take_column(&column)
    finally:
        free_column(&column)
