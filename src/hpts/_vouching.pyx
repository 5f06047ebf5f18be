# cython: auto_pickle=False, autotestdict=False, nonecheck=True
"""What `hpts verify` does for every entry: it vouches for most of them, quickly.

An entry that is not vouched for is not wrong yet: store/verify_entries.py examines it in plain
Python and names what is. So this may refuse what is rare, and must never vouch for what is wrong.
It takes rows as they are in the tables, whatever somebody has put there. It has the canonical form
from docs/PROOFS.md and shares no code with the posting kernel but the writing of integers.
"""

from hashlib import sha256

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int16_t, int32_t, int64_t
from libc.string cimport memcpy, memset

from hpts._buffers cimport write_int16, write_int32, write_int64

cdef enum:
    LINES_MIN = 2
    LINES_MAX = 32767  # a sequence is a smallint
    HEAD_BYTES = 28
    LENGTH_BYTES = 4
    NO_FIELD = -1
    ID_BYTES = 16
    LINE_BYTES = 33
    CURRENCY_BYTES = 3
    AMOUNT_BITS_MAX = 47  # so that LINES_MAX of them are less than 63 bits
    ENTRY_COLUMNS = 13
    LINE_COLUMNS = 8

cdef int32_t FIELD_BYTES_MAX = 1 << 24  # ten of them are far from what a size can say


@cython.final
cdef class Followers:
    """Rows that belong to entries (their first column says which), walked beside the entries."""

    cdef readonly Py_ssize_t count
    cdef object rows, on_stray
    cdef tuple row

    def __init__(self, rows, on_stray):
        """`on_stray` gets the first row of every entry that nobody asked for."""
        self.rows = iter(rows)
        self.on_stray = on_stray
        self.row = next(self.rows, None)

    def take(self, bytes entry_id not None):
        """The rows of an entry. Entries are asked for in ascending order."""
        cdef list taken = []
        while self.row is not None and self.row[0] < entry_id:
            self.skip()
        while self.row is not None and self.row[0] == entry_id:
            taken.append(self.row)
            self.row = next(self.rows, None)
        self.count += len(taken)
        return taken

    def finish(self):
        """Report what is left behind the last entry."""
        while self.row is not None:
            self.skip()

    cdef skip(self):
        entry_id = self.row[0]
        self.on_stray(self.row)
        while self.row is not None and self.row[0] == entry_id:
            self.count += 1
            self.row = next(self.rows, None)


def vouch(bytes tenant_id not None, tuple entry not None, list lines not None):
    """Whether an entry, a row of walk_entries.sql, and its lines, rows of walk_lines.sql, are
    beyond doubt what was hashed, with lines from 1 without a gap, at least two, that balance.

    False for what is not, and for entries of several currencies or layers or of huge amounts.
    """
    cdef bytes form
    try:
        form = form_of(tenant_id, entry, lines)
    except (TypeError, ValueError, IndexError, OverflowError):  # what no row of the tables is
        return False
    return form is not None and sha256(form).digest() == entry[ENTRY_COLUMNS - 1]


def is_of_one_loan(bytes loan_id, list lines not None):
    """Whether lines name that loan or none; False for those of an entry of many loans (None)."""
    cdef tuple line
    if loan_id is None:
        return False
    for line in lines:
        if line[7] is not None and line[7] != loan_id:
            return False
    return True


def add_up(tally, day, list lines not None):
    """Add the amounts of lines of that day to `tally`. Raises TypeError for one that is NULL."""
    cdef tuple line
    for line in lines:
        tally[line[2], line[5], line[4], day, line[3]] += line[6]


cdef bytes form_of(bytes tenant_id, tuple entry, list lines):
    """The canonical form; None for lines that are not vouched for."""
    cdef Py_ssize_t size = HEAD_BYTES
    cdef Py_ssize_t count = len(lines)
    cdef int32_t effective_day
    cdef int64_t posted_at
    cdef tuple fields
    cdef bytes field, form
    cdef unsigned char* at
    if len(tenant_id) != ID_BYTES or len(entry) != ENTRY_COLUMNS:
        raise TypeError
    if not LINES_MIN <= count <= LINES_MAX:
        return None
    effective_day, posted_at = entry[1], entry[2]
    fields = (entry[0], *entry[3 : ENTRY_COLUMNS - 1])
    for field in fields:
        size += LENGTH_BYTES
        if field is not None:
            if len(field) > FIELD_BYTES_MAX:
                return None
            size += len(field)
    form = PyBytes_FromStringAndSize(NULL, size + count * LINE_BYTES)
    at = <unsigned char*>PyBytes_AS_STRING(form)
    memcpy(at, PyBytes_AS_STRING(tenant_id), ID_BYTES)
    write_int32(at + 16, effective_day)
    write_int64(at + 20, posted_at)
    at += HEAD_BYTES
    for field in fields:
        at = put_field(at, field)
    return form if put_lines(at, lines) else None


cdef unsigned char* put_field(unsigned char* at, bytes field) noexcept:
    """Where the next field stands; the caller has made room."""
    cdef Py_ssize_t size
    if field is None:
        write_int32(at, NO_FIELD)
        return at + LENGTH_BYTES
    size = PyBytes_GET_SIZE(field)
    write_int32(at, <int32_t>size)
    memcpy(at + LENGTH_BYTES, PyBytes_AS_STRING(field), size)
    return at + LENGTH_BYTES + size


cdef bint put_lines(unsigned char* at, list lines) except -1:
    """Write the lines; False for lines that are not vouched for. The caller has made room."""
    cdef tuple line
    cdef bytes direction, layer, currency, loan_id
    cdef int16_t sequence, account
    cdef int16_t wanted = 0
    cdef int64_t amount
    cdef int64_t net = 0
    cdef bytes first_layer = lines[0][4]
    cdef bytes first_currency = lines[0][5]
    for line in lines:
        wanted += 1
        _, sequence, account, direction, layer, currency, amount, loan_id = line
        if (
            sequence != wanted or layer != first_layer or currency != first_currency
            or len(direction) != 1 or len(layer) != 1 or len(currency) != CURRENCY_BYTES
            or amount < 0 or amount >> AMOUNT_BITS_MAX
            or (loan_id is not None and len(loan_id) != ID_BYTES)
        ):
            return False
        write_int16(at, sequence)
        write_int16(at + 2, account)
        at[4] = PyBytes_AS_STRING(direction)[0]
        at[5] = PyBytes_AS_STRING(layer)[0]
        memcpy(at + 6, PyBytes_AS_STRING(currency), CURRENCY_BYTES)
        write_int64(at + 9, amount)
        if loan_id is None:
            memset(at + 17, 0, ID_BYTES)
        else:
            memcpy(at + 17, PyBytes_AS_STRING(loan_id), ID_BYTES)
        net += amount if at[4] == c"D" else -amount
        at += LINE_BYTES
    return net == 0
