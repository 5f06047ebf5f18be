# The canonical form of an entry: the bytes that its hash covers.
#
# Integers are in network byte order. In this order, with nothing between:
#   tenant id                16 bytes
#   effective day             4, days from 2000-01-01
#   posted at                 8, microseconds from 2000-01-01 UTC
#   ten fields                each a 4-byte length and its bytes, -1 and no bytes for none:
#                             entry id, event type, correlation id, reversed entry id, loan id,
#                             actor, idempotency key, request digest, details, reply
#   each line                33: sequence 2, account 2, direction 1, layer 1, currency 3, amount 8,
#                             loan id 16 (zero for none)
# The form is for ever: hashes in the journal were computed over it.

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

from hpts._buffers cimport Buffer, buffer_extend, write_int16, write_int32, write_int64
from hpts._lines cimport Line
from hpts._loans cimport Loan, loan_id_of

cdef enum:
    NO_FIELD = -1
    CANONICAL_LINE_BYTES = 33


cdef inline int put_entry(
    Buffer* buffer, const unsigned char* tenant_id, int32_t effective_day, int64_t posted_at,
    tuple fields, const Line* lines, int32_t count, const Loan* loans,
) except -1:
    """The form of one entry, in place of what the buffer held."""
    cdef unsigned char* at
    cdef bytes field
    cdef int32_t line
    buffer.size = 0
    at = buffer_extend(buffer, 28)
    memcpy(at, tenant_id, 16)
    write_int32(at + 16, effective_day)
    write_int64(at + 20, posted_at)
    for field in fields:
        put_field(buffer, field)
    at = buffer_extend(buffer, count * <size_t>CANONICAL_LINE_BYTES)
    for line in range(count):
        write_line(at, &lines[line], loan_id_of(loans, &lines[line]))
        at += CANONICAL_LINE_BYTES
    return 0


cdef inline int put_field(Buffer* buffer, bytes field) except -1:
    """The caller has checked the size."""
    cdef int32_t size = NO_FIELD if field is None else <int32_t>len(field)
    write_int32(buffer_extend(buffer, 4), size)
    if size > 0:
        memcpy(buffer_extend(buffer, size), PyBytes_AS_STRING(field), size)
    return 0


cdef inline void write_line(
    unsigned char* at, const Line* line, const unsigned char* loan_id
) noexcept nogil:
    write_int16(at, line.sequence)
    write_int16(at + 2, line.account)
    at[4] = <unsigned char>line.direction
    at[5] = <unsigned char>line.layer
    memcpy(at + 6, line.currency, 3)
    write_int64(at + 9, line.amount)
    if loan_id == NULL:
        memset(at + 17, 0, 16)
    else:
        memcpy(at + 17, loan_id, 16)
