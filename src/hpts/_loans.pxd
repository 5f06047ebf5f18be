# Loans of a batch in C: what each owes by component, and what a line does to it.

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int16_t, int32_t, int64_t
from libc.string cimport memcpy, memset

from hpts._buffers cimport resized_for
from hpts._lines cimport (
    CREDIT, Line, NO_LOAN, SETTLED, __builtin_add_overflow, currencies_differ,
)

cdef struct Loan:
    unsigned char loan_id[16]
    unsigned char borrower_id[16]
    char currency[3]
    int64_t components[3]
    int32_t accrued_through
    bint is_new
    bint is_touched

cdef struct AccrualMark:  # what marking a loan as accrued replaced
    int32_t loan
    int32_t accrued_through

cdef struct AccrualMarks:  # of one entry, in the order they were set
    AccrualMark* marks
    int32_t count
    size_t capacity

cdef enum:
    NO_COMPONENT = -1
    NO_DAY = -2147483648  # accrued through no day yet

cdef enum LoansVerdict:
    LOANS_FIT
    LOANS_OVERFLOW
    LOANS_NEGATIVE


cdef inline void write_loan(
    Loan* loan, bytes loan_id, bytes borrower_id, bytes currency
) noexcept:
    """A loan that owes nothing; the caller has checked the sizes."""
    memset(loan, 0, sizeof(Loan))
    memcpy(loan.loan_id, PyBytes_AS_STRING(loan_id), 16)
    memcpy(loan.borrower_id, PyBytes_AS_STRING(borrower_id), 16)
    memcpy(loan.currency, PyBytes_AS_STRING(currency), 3)
    loan.accrued_through = NO_DAY


cdef inline const unsigned char* loan_id_of(const Loan* loans, const Line* line) noexcept nogil:
    """The 16 bytes of a line's loan, NULL for none."""
    if line.loan == NO_LOAN:
        return NULL
    return loans[line.loan].loan_id


cdef inline int mark_loan(AccrualMarks* marks, Loan* loans, int32_t loan, int32_t day) except -1:
    """Accrue a loan through `day`, unless it is through a later one already."""
    marks.marks = <AccrualMark*>resized_for(
        marks.marks, marks.count, &marks.capacity, sizeof(AccrualMark)
    )
    marks.marks[marks.count].loan = loan
    marks.marks[marks.count].accrued_through = loans[loan].accrued_through
    marks.count += 1
    loans[loan].accrued_through = max(loans[loan].accrued_through, day)
    return 0


cdef inline void undo_marks(AccrualMarks* marks, Loan* loans) noexcept nogil:
    cdef const AccrualMark* mark
    while marks.count > 0:
        marks.count -= 1
        mark = &marks.marks[marks.count]
        loans[mark.loan].accrued_through = mark.accrued_through


cdef inline int component_of(const int16_t* component_accounts, const Line* line) noexcept nogil:
    """The component that a line changes: of its loan, by its account, in the settled layer only."""
    cdef int component
    if line.loan == NO_LOAN or line.layer != SETTLED:
        return NO_COMPONENT
    for component in range(3):
        if component_accounts[component] == line.account:
            return component
    return NO_COMPONENT


cdef inline bint components_match(
    const Loan* loans, const int16_t* component_accounts, const Line* lines, int32_t count
) noexcept nogil:
    """Whether every line that changes a loan's component is in the loan's currency."""
    cdef int32_t at
    for at in range(count):
        if component_of(component_accounts, &lines[at]) == NO_COMPONENT:
            continue
        if currencies_differ(loans[lines[at].loan].currency, lines[at].currency):
            return False
    return True


cdef inline bint add_to_component(
    Loan* loan, int component, const Line* line, int64_t amount
) noexcept nogil:
    """Add a line's amount (or minus it, to undo) to a component; True, and nothing, on overflow."""
    cdef int64_t owed_after
    if __builtin_add_overflow(
        loan.components[component], -amount if line.direction == CREDIT else amount, &owed_after
    ):
        return True
    loan.components[component] = owed_after
    return False


cdef inline LoansVerdict check_loans(
    const Loan* loans, const Line* lines, int32_t count
) noexcept nogil:
    """Whether every loan of the lines ends with an exposure that fits into int64 and without a
    component below zero; the first is reported before the second."""
    cdef LoansVerdict verdict = LOANS_FIT
    cdef int64_t exposure
    cdef const Loan* loan
    cdef int32_t at
    for at in range(count):
        if lines[at].loan == NO_LOAN:
            continue
        loan = &loans[lines[at].loan]
        if loan.components[0] < 0 or loan.components[1] < 0 or loan.components[2] < 0:
            verdict = LOANS_NEGATIVE
        elif __builtin_add_overflow(
            loan.components[0], loan.components[1], &exposure
        ) or __builtin_add_overflow(exposure, loan.components[2], &exposure):
            return LOANS_OVERFLOW
    return verdict


cdef inline void touch_loans(Loan* loans, const Line* lines, int32_t count) noexcept nogil:
    """Mark the loans of the lines as changed."""
    cdef int32_t at
    for at in range(count):
        if lines[at].loan != NO_LOAN:
            loans[lines[at].loan].is_touched = True
