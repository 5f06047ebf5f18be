# Columns in PostgreSQL's binary array format, written straight into a C buffer that grows.
#
# A column becomes one parameter of `INSERT ... SELECT FROM unnest($1, ...)`. The format is
# array_recv's: dimensions, null flag, element type, length, lower bound, then each element as its
# length and its bytes.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, int32_t, int64_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from hpts._buffers cimport (
    Buffer, buffer_extend, buffer_reserve, read_int32, read_int64, write_int16, write_int32,
    write_int64,
)

cdef enum ElementType:  # object identifiers of pg_type, fixed by PostgreSQL for ever
    OID_BYTEA = 17
    OID_CHAR = 18
    OID_INT8 = 20
    OID_INT2 = 21
    OID_TEXT = 25
    OID_DATE = 1082
    OID_UUID = 2950

cdef enum:
    HEADER_BYTES = 20
    NULL_ELEMENT = -1
    ELEMENT_BYTES_MAX = 0x3FFFFFFF  # PostgreSQL's largest value

cdef struct Column:
    Buffer buffer
    int32_t count
    int32_t has_null
    uint32_t element_type


cdef inline int add_bytes(Column* column, const void* data, int32_t size) except -1 nogil:
    cdef unsigned char* at = buffer_extend(&column.buffer, 4 + <size_t>size)
    write_int32(at, size)
    if size:
        memcpy(at + 4, data, size)
    column.count += 1
    return 0


cdef inline int add_null(Column* column) except -1 nogil:
    write_int32(buffer_extend(&column.buffer, 4), NULL_ELEMENT)
    column.count += 1
    column.has_null = 1
    return 0


cdef inline int reserve_element(Column* column, bytes element) except -1:
    """Room for an element, so that `add_element` of it cannot fail."""
    if element is not None and len(element) > ELEMENT_BYTES_MAX:
        raise ValueError(f"an element has at most {ELEMENT_BYTES_MAX} bytes")
    return buffer_reserve(&column.buffer, 4 if element is None else 4 + len(element))


cdef inline int add_element(Column* column, bytes element) except -1:
    """Ready-made bytes, or NULL for None."""
    reserve_element(column, element)
    if element is None:
        return add_null(column)
    return add_bytes(column, PyBytes_AS_STRING(element), <int32_t>len(element))


cdef inline int add_char(Column* column, char value) except -1 nogil:
    return add_bytes(column, &value, 1)


cdef inline int add_int16(Column* column, int16_t value) except -1 nogil:
    cdef unsigned char* at = buffer_extend(&column.buffer, 6)
    write_int32(at, 2)
    write_int16(at + 4, value)
    column.count += 1
    return 0


cdef inline int add_int32(Column* column, int32_t value) except -1 nogil:
    cdef unsigned char* at = buffer_extend(&column.buffer, 8)
    write_int32(at, 4)
    write_int32(at + 4, value)
    column.count += 1
    return 0


cdef inline int add_int64(Column* column, int64_t value) except -1 nogil:
    cdef unsigned char* at = buffer_extend(&column.buffer, 12)
    write_int32(at, 8)
    write_int64(at + 4, value)
    column.count += 1
    return 0


cdef inline bytes take_column(Column* column):
    """The finished parameter; the column is freed."""
    cdef bint empty = column.count == 0
    cdef bytes made = PyBytes_FromStringAndSize(
        NULL, 12 if empty else HEADER_BYTES + <Py_ssize_t>column.buffer.size
    )
    cdef unsigned char* at = <unsigned char*>PyBytes_AS_STRING(made)
    write_int32(at, 0 if empty else 1)
    write_int32(at + 4, column.has_null)
    write_int32(at + 8, <int32_t>column.element_type)
    if not empty:
        write_int32(at + 12, column.count)
        write_int32(at + 16, 1)
        memcpy(at + HEADER_BYTES, column.buffer.data, column.buffer.size)
    free_column(column)
    return made


cdef inline void free_column(Column* column) noexcept nogil:
    free(column.buffer.data)
    memset(&column.buffer, 0, sizeof(Buffer))
    column.count = 0
    column.has_null = 0


cdef inline void start_column(Column* column, uint32_t element_type) noexcept nogil:
    memset(column, 0, sizeof(Column))
    column.element_type = element_type


cdef inline void start_columns(
    Column* columns, const uint32_t* element_types, int count
) noexcept nogil:
    cdef int at
    for at in range(count):
        start_column(&columns[at], element_types[at])


cdef inline void free_columns(Column* columns, int count) noexcept nogil:
    cdef int at
    for at in range(count):
        free_column(&columns[at])


cdef inline list take_columns(Column* columns, int count):
    """The finished parameters; the columns are freed."""
    return [take_column(&columns[at]) for at in range(count)]


cdef inline int64_t read_int64_cell(bytes cell) except? -1:
    """A bigint as the database sent it."""
    if len(cell) != 8:
        raise ValueError("a bigint is 8 bytes")
    return read_int64(<const unsigned char*>PyBytes_AS_STRING(cell))


cdef inline int32_t read_int32_cell(bytes cell) except? -1:
    """A date as the database sent it."""
    if len(cell) != 4:
        raise ValueError("a date is 4 bytes")
    return read_int32(<const unsigned char*>PyBytes_AS_STRING(cell))
