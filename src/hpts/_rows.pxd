# Rows of the tables that a batch writes: how an entry, a line, a loan or a total becomes one
# element a column.
#
# The order of the columns is that of the INSERT which takes them; nothing is computed here.

from libc.stdint cimport int16_t, int32_t, uint32_t
from libc.string cimport memcpy

from hpts._buffers cimport buffer_reserve, write_int16
from hpts._columns cimport (
    OID_BYTEA, OID_CHAR, OID_DATE, OID_INT2, OID_INT8, OID_TEXT, OID_UUID, Column, add_bytes,
    add_char, add_element, add_int16, add_int32, add_int64, add_null, reserve_element,
    start_columns,
)
from hpts._lines cimport Line
from hpts._loans cimport NO_DAY, Loan, loan_id_of
from hpts._totals cimport Total

cdef enum:
    ENTRY_COLUMNS = 12
    LINE_COLUMNS = 8
    ENTRY_LOAN_COLUMNS = 4
    LOAN_COLUMNS = 7
    TOTAL_COLUMNS = 6
    ENTRY_FIELDS = 10  # as the canonical form has them; the day stands among them, the hash behind
    DAY_COLUMN = 2
    HASH_COLUMN = 11


cdef inline void start_entry_columns(Column* columns) noexcept nogil:
    cdef uint32_t[ENTRY_COLUMNS] types = [
        OID_UUID, OID_TEXT, OID_DATE, OID_UUID, OID_UUID, OID_UUID,
        OID_TEXT, OID_TEXT, OID_BYTEA, OID_TEXT, OID_BYTEA, OID_BYTEA,
    ]
    start_columns(columns, types, ENTRY_COLUMNS)


cdef inline void start_line_columns(Column* columns) noexcept nogil:
    cdef uint32_t[LINE_COLUMNS] types = [
        OID_UUID, OID_INT2, OID_INT2, OID_CHAR, OID_CHAR, OID_TEXT, OID_INT8, OID_UUID,
    ]
    start_columns(columns, types, LINE_COLUMNS)


cdef inline void start_entry_loan_columns(Column* columns) noexcept nogil:
    cdef uint32_t[ENTRY_LOAN_COLUMNS] types = [OID_UUID, OID_UUID, OID_INT2, OID_INT8]
    start_columns(columns, types, ENTRY_LOAN_COLUMNS)


cdef inline void start_loan_columns(Column* columns) noexcept nogil:
    cdef uint32_t[LOAN_COLUMNS] types = [
        OID_UUID, OID_UUID, OID_TEXT, OID_INT8, OID_INT8, OID_INT8, OID_DATE,
    ]
    start_columns(columns, types, LOAN_COLUMNS)


cdef inline void start_total_columns(Column* columns) noexcept nogil:
    cdef uint32_t[TOTAL_COLUMNS] types = [
        OID_INT2, OID_TEXT, OID_CHAR, OID_DATE, OID_INT8, OID_INT8,
    ]
    start_columns(columns, types, TOTAL_COLUMNS)


cdef inline int column_of_field(int field) noexcept nogil:
    return field if field < DAY_COLUMN else field + 1


cdef inline int reserve_entry_row(Column* columns, tuple fields) except -1:
    """Room for an entry's row, so that `add_entry_row` of it cannot fail halfway."""
    cdef int field
    for field in range(ENTRY_FIELDS):
        reserve_element(&columns[column_of_field(field)], fields[field])
    buffer_reserve(&columns[DAY_COLUMN].buffer, 8)
    return buffer_reserve(&columns[HASH_COLUMN].buffer, 36)


cdef inline int add_entry_row(
    Column* columns, tuple fields, int32_t effective_day, bytes entry_hash
) except -1:
    cdef int field
    for field in range(ENTRY_FIELDS):
        add_element(&columns[column_of_field(field)], fields[field])
    add_int32(&columns[DAY_COLUMN], effective_day)
    return add_element(&columns[HASH_COLUMN], entry_hash)


cdef inline void write_entry_id(
    unsigned char* at, const unsigned char* first_entry_id, int32_t position
) noexcept nogil:
    """The first identifier of a batch plus a position, which is its last 16 bits."""
    memcpy(at, first_entry_id, 14)
    write_int16(at + 14, <int16_t>position)


cdef inline int add_identifier(Column* column, const unsigned char* identifier) except -1 nogil:
    """16 bytes, or NULL for none."""
    if identifier == NULL:
        return add_null(column)
    return add_bytes(column, identifier, 16)


cdef inline int add_line_row(
    Column* columns, const unsigned char* first_entry_id, const Line* line, const Loan* loans
) except -1 nogil:
    cdef unsigned char[16] entry_id
    write_entry_id(entry_id, first_entry_id, line.entry)
    add_identifier(&columns[0], entry_id)
    add_int16(&columns[1], line.sequence)
    add_int16(&columns[2], line.account)
    add_char(&columns[3], line.direction)
    add_char(&columns[4], line.layer)
    add_bytes(&columns[5], line.currency, 3)
    add_int64(&columns[6], line.amount)
    add_identifier(&columns[7], loan_id_of(loans, line))
    return 0


cdef inline int add_entry_loan_row(
    Column* columns, const unsigned char* first_entry_id, const Line* line, const Loan* loans
) except -1 nogil:
    cdef unsigned char[16] entry_id
    write_entry_id(entry_id, first_entry_id, line.entry)
    add_identifier(&columns[0], loan_id_of(loans, line))
    add_identifier(&columns[1], entry_id)
    add_int16(&columns[2], line.sequence)
    if line.outstanding_principal < 0:
        add_null(&columns[3])
    else:
        add_int64(&columns[3], line.outstanding_principal)
    return 0


cdef inline int add_loan_row(Column* columns, const Loan* loan) except -1 nogil:
    cdef int component
    add_identifier(&columns[0], loan.loan_id)
    add_identifier(&columns[1], loan.borrower_id)
    add_bytes(&columns[2], loan.currency, 3)
    for component in range(3):
        add_int64(&columns[3 + component], loan.components[component])
    if loan.accrued_through == NO_DAY:
        add_null(&columns[6])
    else:
        add_int32(&columns[6], loan.accrued_through)
    return 0


cdef inline int add_total_row(Column* columns, const Total* total) except -1 nogil:
    add_int16(&columns[0], total.account)
    add_bytes(&columns[1], total.currency, 3)
    add_char(&columns[2], total.layer)
    add_int32(&columns[3], total.day)
    add_int64(&columns[4], total.debit)
    add_int64(&columns[5], total.credit)
    return 0
