# Lines of an entry in C: their shape, the check that they balance, and the payment waterfall.
#
# Leaves only: no Python object is touched, every function returns a value or a verdict.

from libc.stdint cimport int16_t, int32_t, int64_t

cdef extern from *:
    bint __builtin_add_overflow(int64_t, int64_t, int64_t*) nogil

cdef enum:
    DEBIT = 68  # 'D'
    CREDIT = 67  # 'C'
    SETTLED = 83  # 'S'
    LINES_PER_ENTRY_MAX = 32767
    SIDES_PER_ENTRY_MAX = 64  # distinct (currency, layer) pairs that one entry may balance
    NO_LOAN = -1
    PRINCIPAL = 0
    INTEREST = 1
    FEES = 2

cdef struct Line:
    int32_t entry
    int16_t sequence
    int16_t account
    char direction
    char layer
    char currency[3]
    int64_t amount
    int32_t loan
    int32_t total  # index of the account total it adds to
    int64_t outstanding_principal  # what an accrual was computed on; -1 elsewhere

cdef struct Side:  # of an entry: the lines of one currency and layer
    int32_t first_line
    int64_t debit
    int64_t credit

cdef struct Allocation:
    int64_t fees
    int64_t interest
    int64_t principal
    int64_t suspense

cdef enum LinesVerdict:
    LINES_BALANCE
    LINES_OVERFLOW
    LINES_NOT_POSITIVE
    LINES_ONE_SIDED
    LINES_TOO_MIXED
    LINES_UNBALANCED


cdef inline Allocation allocate_amount(int64_t amount, const int64_t* owed) noexcept nogil:
    """The waterfall: fees, then interest, then principal, the rest to suspense. Never overpays."""
    cdef Allocation parts
    parts.fees = min(amount, owed[FEES])
    amount -= parts.fees
    parts.interest = min(amount, owed[INTEREST])
    amount -= parts.interest
    parts.principal = min(amount, owed[PRINCIPAL])
    parts.suspense = amount - parts.principal
    return parts


cdef inline bint currencies_differ(const char* one, const char* other) noexcept nogil:
    return one[0] != other[0] or one[1] != other[1] or one[2] != other[2]


cdef inline LinesVerdict check_lines(const Line* lines, int32_t count) noexcept nogil:
    """Positive amounts, known directions, and debits equal to credits per currency and layer.

    Debits and credits are summed apart, so that the verdict depends neither on the order of the
    lines nor on which of the two is which: an entry that fits has a reversal that fits.
    """
    cdef Side[SIDES_PER_ENTRY_MAX] sides
    cdef Side* side
    cdef int64_t* sum_after
    cdef int side_count = 0
    cdef bint overflowed = False
    cdef bint unbalanced = False
    cdef int32_t at
    cdef int found
    for at in range(count):
        if lines[at].amount <= 0:
            return LINES_NOT_POSITIVE
        if lines[at].direction != DEBIT and lines[at].direction != CREDIT:
            return LINES_ONE_SIDED
        found = find_side(sides, side_count, lines, at)
        if found == SIDES_PER_ENTRY_MAX:
            return LINES_TOO_MIXED
        side = &sides[found]
        if found == side_count:
            side.first_line = at
            side.debit = side.credit = 0
            side_count += 1
        sum_after = &side.debit if lines[at].direction == DEBIT else &side.credit
        if __builtin_add_overflow(sum_after[0], lines[at].amount, sum_after):
            overflowed = True
    for found in range(side_count):
        if sides[found].debit != sides[found].credit:
            unbalanced = True
    if overflowed:
        return LINES_OVERFLOW
    return LINES_UNBALANCED if unbalanced else LINES_BALANCE


cdef inline int find_side(
    const Side* sides, int side_count, const Line* lines, int32_t at
) noexcept nogil:
    """The side that a line belongs to, or the number of sides when it is the first of its kind."""
    cdef const Line* first
    cdef int found
    for found in range(side_count):
        first = &lines[sides[found].first_line]
        if (first.layer == lines[at].layer
                and not currencies_differ(first.currency, lines[at].currency)):
            return found
    return side_count
