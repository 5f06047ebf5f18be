# What the lines of an entry do to loans and account totals, and the undoing of it.
#
# Totals are found before anything is applied, because finding one may need memory; from there on
# nothing can fail but an overflow, which stops between two lines.

from libc.stdint cimport int16_t, int32_t, int64_t

from hpts._lines cimport DEBIT, Line
from hpts._loans cimport NO_COMPONENT, Loan, add_to_component, component_of
from hpts._totals cimport Total, TotalTable, add_to_total, find_total

cdef struct Books:
    Loan* loans
    TotalTable totals
    int16_t component_accounts[3]


cdef inline int find_totals(Books* books, Line* lines, int32_t count, int32_t day) except -1:
    cdef int32_t at
    for at in range(count):
        lines[at].total = find_total(&books.totals, &lines[at], day)
    return 0


cdef inline int32_t apply_lines(Books* books, const Line* lines, int32_t count) noexcept nogil:
    """Apply the lines, credits first; the steps made, 2 * count unless one would overflow.

    Neither side of an entry passes int64, so after all credits a component may be below zero but
    has not wrapped, and a debit overflows only where the end result would: the order of the lines
    does not matter.
    """
    cdef int32_t step
    for step in range(2 * count):
        if is_due(lines, count, step) and apply_line(
            books, &lines[step % count], lines[step % count].amount
        ):
            return step
    return 2 * count


cdef inline void undo_lines(
    Books* books, const Line* lines, int32_t count, int32_t steps
) noexcept nogil:
    """Undo steps that were made, the last first: no amount takes a value that it did not have."""
    cdef int32_t step = steps
    while step > 0:
        step -= 1
        if is_due(lines, count, step):
            apply_line(books, &lines[step % count], -lines[step % count].amount)


cdef inline bint is_due(const Line* lines, int32_t count, int32_t step) noexcept nogil:
    """Whether a step is its line's: the first half is for credits, the second for debits."""
    return (lines[step % count].direction == DEBIT) == (step >= count)


cdef inline bint apply_line(Books* books, const Line* line, int64_t amount) noexcept nogil:
    """Add a line's amount (or minus it) to its total and loan; True, and nothing, on overflow."""
    cdef Total* total = &books.totals.totals[line.total]
    cdef int component = component_of(books.component_accounts, line)
    if add_to_total(total, line, amount):
        return True
    if component == NO_COMPONENT:
        return False
    if add_to_component(&books.loans[line.loan], component, line, amount):
        add_to_total(total, line, -amount)
        return True
    return False
