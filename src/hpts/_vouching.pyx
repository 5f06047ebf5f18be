# cython: auto_pickle=False, autotestdict=False, nonecheck=True
"""What `hpts verify` does for every entry: it vouches for most of them, quickly.

An entry that is not vouched for is not wrong yet: store/verify_entries.py examines it in plain
Python and names what is. So this may refuse what is rare, and must never vouch for what is wrong.
It takes rows as COPY sends them in binary format, whatever somebody has put into them, and makes no
objects of them. It has the canonical form from docs/PROOFS.md and shares no code with the posting
kernel but the writing of integers.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int16_t, int32_t, int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from hpts._buffers cimport Buffer, buffer_extend, read_int32, read_int64, write_int64
from hpts._copied cimport (
    COUNT_BYTES, KEY_AT, KEY_END, LENGTH_BYTES, Entry, has, is_entry_loan, is_line, read_entry,
    read_int16,
)
from hpts._hashing cimport DIGEST_BYTES, ID_BYTES, Leaves, digest_of

cdef extern from "Python.h":
    bint PyMemoryView_Check(object row)
    Py_buffer* PyMemoryView_GET_BUFFER(object row)

cdef enum:
    LINES_MIN = 2
    LINES_MAX = 32767  # a sequence is a smallint
    LINE_BYTES = 33
    AMOUNT_BITS_MAX = 47  # so that LINES_MAX of them are less than 63 bits
    ACCRUED_BYTES = 32  # a loan and what it owed, in what an accrual's details hold the digest of
    SUMS_FIRST = 256

cdef int64_t SUM_MAX = <int64_t>1 << 62


@cython.final
cdef class Rows:
    """Rows in the order of their first column, the identifier of an entry."""

    cdef readonly Py_ssize_t count
    """Those that were passed."""
    cdef readonly object row
    """The one to come, a memoryview; None behind the last."""
    cdef readonly list taken
    """Those of the entry that was asked for last."""
    cdef object source, on_stray
    cdef const unsigned char* key  # NULL behind the last
    cdef const unsigned char* data
    cdef Py_ssize_t size

    def __init__(self, source, on_stray=None):
        """`on_stray` gets the first row of every entry that nobody asked for."""
        self.source = iter(source)
        self.on_stray = on_stray
        self.taken = []
        self.read()

    def skip(self):
        """Pass one row."""
        if self.row is not None:
            self.count += 1
            self.read()

    def finish(self):
        """Report what is left behind the last entry."""
        while self.key != NULL:
            self.pass_strays()

    cdef int read(self) except -1:
        self.row = next(self.source, None)
        self.key = NULL
        if self.row is None:
            return 0
        self.data = bytes_of(self.row, &self.size)
        if self.size < KEY_END or read_int32(self.data + COUNT_BYTES) != ID_BYTES:
            raise ValueError("a row does not begin with an identifier")
        self.key = self.data + KEY_AT
        return 0

    cdef int take(self, const unsigned char* key) except -1:
        """Entries are asked for in ascending order."""
        self.taken = []
        while self.key != NULL and memcmp(self.key, key, ID_BYTES) < 0:
            self.pass_strays()
        while self.key != NULL and memcmp(self.key, key, ID_BYTES) == 0:
            self.taken.append(self.row)
            self.count += 1
            self.read()
        return 0

    cdef int pass_strays(self) except -1:
        cdef object first = self.row
        cdef const unsigned char* key = self.key
        self.on_stray(first)
        while self.key != NULL and memcmp(self.key, key, ID_BYTES) == 0:
            self.count += 1
            self.read()
        return 0


cdef const unsigned char* bytes_of(row, Py_ssize_t* size) except NULL:
    """Of a memoryview, which must be kept as long as they are used."""
    cdef Py_buffer* buffer
    if not PyMemoryView_Check(row):
        raise TypeError("a row is a memoryview")
    buffer = PyMemoryView_GET_BUFFER(row)
    size[0] = buffer.len
    return <const unsigned char*>buffer.buf


def unpack(row, integers):
    """The columns of a row as bytes, those of the numbers in `integers` as integers, NULL as None.
    Raises ValueError for what is no row."""
    cdef Py_ssize_t size
    cdef const unsigned char* data = bytes_of(row, &size)
    cdef Py_ssize_t at = COUNT_BYTES
    cdef int32_t length
    cdef list columns = []
    while at < size:
        length = read_int32(data + at) if size - at >= LENGTH_BYTES else -2
        at += LENGTH_BYTES
        if length < -1 or length > size - at:
            raise ValueError("a row is cut off")
        if length == -1:
            columns.append(None)
            continue
        column = PyBytes_FromStringAndSize(<const char*>data + at, length)
        if len(columns) in integers:
            column = int.from_bytes(column, "big", signed=True)
        columns.append(column)
        at += length
    return tuple(columns)


cdef struct Sum:
    uint64_t side  # account, direction, layer and currency as a line has them; 0 for an empty place
    int64_t day
    int64_t amount


@cython.final
cdef class _Sums:
    """Amounts of lines by account, direction, layer, currency and day: a hash table."""

    cdef Sum* places
    cdef size_t place_count  # a power of two
    cdef size_t taken_count
    cdef object tally

    def __cinit__(self, tally):
        self.tally = tally
        self.make_room(SUMS_FIRST)

    def __dealloc__(self):
        free(self.places)

    def settle(self):
        """Add what has been added up to `tally`, and begin anew."""
        cdef Sum* places = self.places
        cdef size_t count = self.place_count
        cdef size_t at
        cdef bytes side
        self.make_room(SUMS_FIRST)
        try:
            for at in range(count):
                if not places[at].side:
                    continue
                side = PyBytes_FromStringAndSize(<const char*>&places[at].side, 7)
                account = int.from_bytes(side[:2], "big", signed=True)
                key = (account, side[4:], side[3:4], places[at].day, side[2:3])
                self.tally[key] += places[at].amount
        finally:
            free(places)

    cdef int make_room(self, size_t place_count) except -1:
        cdef Sum* places = <Sum*>calloc(place_count, sizeof(Sum))
        if places == NULL:
            raise MemoryError
        self.places = places
        self.place_count = place_count
        self.taken_count = 0
        return 0

    cdef int add(self, const unsigned char* line, int32_t day) except -1:
        """A line of the canonical form; its amount is less than AMOUNT_BITS_MAX allow."""
        cdef uint64_t side = <uint64_t>1 << 56  # so that none is 0
        cdef Sum* place
        memcpy(&side, line + 2, 7)
        place = self.place_of(side, day)
        if place.side == 0:
            if 2 * (self.taken_count + 1) > self.place_count:
                self.grow()
                place = self.place_of(side, day)
            self.taken_count += 1
            place.side = side
            place.day = day
        place.amount += read_int64(line + 9)
        if place.amount >= SUM_MAX:
            self.settle()
        return 0

    cdef Sum* place_of(self, uint64_t side, int64_t day) noexcept:
        cdef uint64_t mixed = (side ^ (<uint64_t>day << 32)) * <uint64_t>0x9E3779B97F4A7C15
        cdef size_t at = (mixed >> 32) & (self.place_count - 1)
        while self.places[at].side and (self.places[at].side != side or self.places[at].day != day):
            at = (at + 1) & (self.place_count - 1)
        return &self.places[at]

    cdef int grow(self) except -1:
        cdef Sum* places = self.places
        cdef size_t count = self.place_count
        cdef size_t taken_count = self.taken_count
        cdef size_t at
        self.make_room(2 * count)
        for at in range(count):
            if places[at].side:
                self.place_of(places[at].side, places[at].day)[0] = places[at]
        self.taken_count = taken_count
        free(places)
        return 0


@cython.final
cdef class Walk:
    """Entries beside their lines, rows of entry_loans and the leaves of their block."""

    cdef readonly Rows entries, lines, entry_loans
    cdef readonly Leaves leaves
    cdef int64_t after_block
    cdef _Sums sums
    cdef Buffer form, accrued
    cdef bytes tenant_id
    cdef object reach, is_computed_on

    def __init__(
        self, bytes tenant_id not None, Rows entries not None, Rows lines not None,
        Rows entry_loans not None, *, Leaves leaves not None, reach, is_computed_on,
        tally, int64_t after_block
    ):
        """`reach(entry_id)` makes `leaves` those of the block where that entry stands, if any.
        `is_computed_on(details, digest)` says whether an accrual's details allow that digest.
        Lines of entries in blocks after `after_block` are added to `tally`."""
        if len(tenant_id) != ID_BYTES:
            raise ValueError("a tenant's identifier has 16 bytes")
        self.tenant_id = tenant_id
        self.entries, self.lines, self.entry_loans = entries, lines, entry_loans
        self.leaves, self.reach, self.is_computed_on = leaves, reach, is_computed_on
        self.sums, self.after_block = _Sums(tally), after_block

    def __dealloc__(self):
        free(self.form.data)
        free(self.accrued.data)

    def pass_vouched(self, Py_ssize_t most):
        """Pass at most so many entries that are beyond doubt what was hashed, with lines from 1
        without a gap, at least two, that balance, in an open period, and with the rows of entry_loans that the lines
        call for; how many. Where one is in doubt, which those of several currencies or layers or of
        huge amounts are, its lines and its rows of entry_loans have been taken, and nothing else."""
        cdef Py_ssize_t passed
        for passed in range(most):
            if self.entries.key == NULL:
                return passed
            self.lines.take(self.entries.key)
            self.entry_loans.take(self.entries.key)
            if not self.leaves.is_next(self.entries.key):
                self.reach(PyBytes_FromStringAndSize(<const char*>self.entries.key, ID_BYTES))
            if not (self.leaves.is_next(self.entries.key) and self.vouch()):
                return passed
            self.entries.skip()
        return most

    def finish(self):
        """Behind the last entry."""
        self.lines.finish()
        self.entry_loans.finish()
        self.sums.settle()

    cdef bint vouch(self) except -1:
        cdef Entry entry
        cdef unsigned char[DIGEST_BYTES] digest
        cdef Py_ssize_t line_count = len(self.lines.taken)
        cdef Py_ssize_t at
        if not (
            LINES_MIN <= line_count <= LINES_MAX
            and read_entry(&entry, self.entries.data, self.entries.size)
            and entry.day >= self.leaves.first_day
            and self.write_form(&entry)
        ):
            return False
        digest_of(self.form.data, self.form.size, digest)
        if memcmp(digest, entry.entry_hash, DIGEST_BYTES) != 0:
            return False
        if entry.loan_id == NULL and not self.are_loans_named(&entry):
            return False
        self.leaves.append(entry.entry_hash)
        if self.leaves.block_number > self.after_block:
            for at in range(1, line_count + 1):
                self.sums.add(self.form.data + self.form.size - at * LINE_BYTES, entry.day)
        return True

    cdef bint write_form(self, Entry* entry) except -1:
        """Write the canonical form; False for lines that are not vouched for."""
        cdef unsigned char* at
        self.form.size = 0
        at = buffer_extend(&self.form, 2 * ID_BYTES + LENGTH_BYTES + 12 + entry.fields_size)
        memcpy(at, PyBytes_AS_STRING(self.tenant_id), ID_BYTES)
        memcpy(at + 16, entry.key + ID_BYTES + LENGTH_BYTES, 4)  # the day
        memcpy(at + 20, entry.key + ID_BYTES + 2 * LENGTH_BYTES + 4, 8)  # posted at
        memcpy(at + 28, entry.key - LENGTH_BYTES, LENGTH_BYTES + ID_BYTES)
        memcpy(at + 48, entry.fields, entry.fields_size)
        return self.write_lines(entry)

    cdef bint write_lines(self, Entry* entry) except -1:
        cdef const unsigned char* line
        cdef Py_ssize_t size
        cdef unsigned char* at
        cdef unsigned char[4] kind  # layer and currency of the first
        cdef int16_t wanted = 0
        cdef int64_t amount
        cdef int64_t net = 0
        for row in self.lines.taken:
            line = bytes_of(row, &size)
            wanted += 1
            if not is_line(line, size) or read_int16(line + 26) != wanted:
                return False
            at = buffer_extend(&self.form, LINE_BYTES)
            memcpy(at, line + 26, 2)
            memcpy(at + 2, line + 32, 2)
            at[4] = line[38]
            at[5] = line[43]
            memcpy(at + 6, line + 48, 3)
            memcpy(at + 9, line + 55, 8)
            if has(line + 63, ID_BYTES):
                memcpy(at + 17, line + 67, ID_BYTES)
                if entry.loan_id != NULL and memcmp(entry.loan_id, line + 67, ID_BYTES) != 0:
                    return False
            else:
                memset(at + 17, 0, ID_BYTES)
            if wanted == 1:
                memcpy(kind, at + 5, 4)
            amount = read_int64(line + 55)
            if memcmp(kind, at + 5, 4) != 0 or amount < 0 or amount >> AMOUNT_BITS_MAX:
                return False
            net += amount if at[4] == c"D" else -amount
        # Rows that tell the loans belong to an entry of many.
        return net == 0 and (entry.loan_id == NULL or not self.entry_loans.taken)

    cdef bint are_loans_named(self, Entry* entry) except -1:
        """Whether entry_loans has the loans that the lines name, one by one, and says what an
        accrual was computed on."""
        cdef bint is_accrual = has(entry.event_type, 7) and memcmp(entry.event_type + 4, b"accrual", 7) == 0
        cdef const unsigned char* line
        cdef const unsigned char* named
        cdef unsigned char* at
        cdef Py_ssize_t size
        cdef Py_ssize_t used = 0
        cdef list rows = self.entry_loans.taken
        cdef unsigned char[DIGEST_BYTES] digest
        self.accrued.size = 0
        for row in self.lines.taken:
            line = bytes_of(row, &size)
            if not has(line + 63, ID_BYTES):
                continue
            if used == len(rows):
                return False
            named = bytes_of(rows[used], &size)
            used += 1
            if (
                not is_entry_loan(named, size) or memcmp(named + 26, line + 26, 2) != 0
                or memcmp(named + 32, line + 67, ID_BYTES) != 0
            ):
                return False
            if not is_accrual:
                if has(named + 48, 8):
                    return False
                continue
            if not has(named + 48, 8) or read_int64(named + 52) < 0:
                return False
            at = buffer_extend(&self.accrued, ACCRUED_BYTES)
            memcpy(at, named + 32, ID_BYTES)
            write_int64(at + 16, 0)
            memcpy(at + 24, named + 52, 8)
        if used != len(rows):
            return False
        if not is_accrual or not used:
            return True
        digest_of(self.accrued.data, self.accrued.size, digest)
        details = PyBytes_FromStringAndSize(
            <const char*>entry.details + LENGTH_BYTES, read_int32(entry.details)
        )
        return self.is_computed_on(
            details, PyBytes_FromStringAndSize(<const char*>digest, DIGEST_BYTES).hex()
        )
