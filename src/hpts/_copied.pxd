# Rows as COPY sends them in binary format, and whether one is what an entry, a line or a row of
# entry_loans can be. Nothing outside of a row is read, whatever it says of itself.
#
# A row begins with the number of its columns (2 bytes); each has its length (4 bytes, -1 for NULL)
# before it. Integers are in network byte order. The first column is the identifier of an entry.

from libc.stdint cimport int16_t, int32_t

from hpts._buffers cimport read_int32
from hpts._hashing cimport DIGEST_BYTES, ID_BYTES

cdef enum:
    COUNT_BYTES = 2
    LENGTH_BYTES = 4
    KEY_AT = COUNT_BYTES + LENGTH_BYTES
    KEY_END = KEY_AT + ID_BYTES
    ENTRY_COLUMNS = 13
    LINE_COLUMNS = 8
    ENTRY_LOAN_COLUMNS = 4

cdef struct Entry:
    const unsigned char* key
    const unsigned char* fields  # from event_type on, each with its length, as the form has them
    size_t fields_size
    const unsigned char* event_type  # with its length
    const unsigned char* loan_id  # NULL for an entry of many loans
    const unsigned char* details  # with its length
    const unsigned char* entry_hash
    int32_t day


cdef inline bint has(const unsigned char* at, int32_t length) noexcept:
    """Whether a column of that length begins there."""
    return read_int32(at) == length


cdef inline bint read_entry(Entry* entry, const unsigned char* row, Py_ssize_t size) noexcept:
    """Whether a row of walk_entries.sql is one that an entry can have, and where its columns are."""
    cdef const unsigned char* columns[ENTRY_COLUMNS]
    cdef Py_ssize_t at = COUNT_BYTES
    cdef Py_ssize_t column
    cdef int32_t length
    if read_int16(row) != ENTRY_COLUMNS:
        return False
    for column in range(ENTRY_COLUMNS):
        if size - at < LENGTH_BYTES:
            return False
        columns[column] = row + at
        length = read_int32(row + at)
        at += LENGTH_BYTES
        if length < -1 or length > size - at:
            return False
        at += max(length, 0)
    entry.key = columns[0] + LENGTH_BYTES
    entry.fields = entry.event_type = columns[3]
    entry.fields_size = columns[12] - columns[3]
    entry.loan_id = columns[6] + LENGTH_BYTES if has(columns[6], ID_BYTES) else NULL
    entry.details = columns[10]
    entry.entry_hash = columns[12] + LENGTH_BYTES
    entry.day = read_int32(columns[1] + LENGTH_BYTES) if has(columns[1], 4) else 0
    return (
        at == size and has(columns[0], ID_BYTES) and has(columns[1], 4) and has(columns[2], 8)
        and (entry.loan_id != NULL or has(columns[6], -1)) and read_int32(columns[10]) >= 0
        and has(columns[12], DIGEST_BYTES)
    )


cdef inline bint is_line(const unsigned char* row, Py_ssize_t size) noexcept:
    """Whether a row of walk_lines.sql has columns of the lengths that a line's have."""
    return (
        size >= 67 and read_int16(row) == LINE_COLUMNS and has(row + 22, 2) and has(row + 28, 2)
        and has(row + 34, 1) and has(row + 39, 1) and has(row + 44, 3) and has(row + 51, 8)
        and (
            (size == 67 and has(row + 63, -1)) or (size == 67 + ID_BYTES and has(row + 63, ID_BYTES))
        )
    )


cdef inline bint is_entry_loan(const unsigned char* row, Py_ssize_t size) noexcept:
    """Whether a row of walk_entry_loans.sql has columns of the lengths that one can have."""
    return (
        size >= 52 and read_int16(row) == ENTRY_LOAN_COLUMNS and has(row + 22, 2)
        and has(row + 28, ID_BYTES)
        and ((size == 52 and has(row + 48, -1)) or (size == 60 and has(row + 48, 8)))
    )


cdef inline int16_t read_int16(const unsigned char* at) noexcept:
    return <int16_t>((at[0] << 8) | at[1])
