# What a batch adds to each account, currency, layer and day: a small open-addressing hash table.

from libc.stdint cimport int16_t, int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from hpts._buffers cimport resized_for
from hpts._lines cimport DEBIT, Line, __builtin_add_overflow, currencies_differ

cdef struct Total:
    int16_t account
    char currency[3]
    char layer
    int32_t day
    int64_t debit
    int64_t credit

cdef struct TotalTable:
    Total* totals
    int32_t count
    size_t capacity
    int32_t* slots  # index into totals, or -1; twice as many as totals at least, a power of two
    int32_t slot_count


cdef inline int32_t find_slot(
    const TotalTable* table, int16_t account, const char* currency, char layer, int32_t day
) noexcept nogil:
    """The slot of a key, or the free slot where it belongs."""
    cdef uint64_t mixed = <uint64_t>account
    cdef const Total* total
    cdef int32_t slot
    cdef int letter
    for letter in range(3):
        mixed = mixed * 31 + <unsigned char>currency[letter]
    mixed = (mixed * 31 + <unsigned char>layer) * 1000003 + <uint32_t>day
    mixed *= <uint64_t>0x9E3779B97F4A7C15
    slot = <int32_t>((mixed >> 32) & <uint64_t>(table.slot_count - 1))
    while table.slots[slot] >= 0:
        total = &table.totals[table.slots[slot]]
        if (total.account == account and total.day == day and total.layer == layer
                and not currencies_differ(total.currency, currency)):
            return slot
        slot = (slot + 1) & (table.slot_count - 1)
    return slot


cdef inline int grow_slots(TotalTable* table) except -1:
    cdef size_t room = table.slot_count
    cdef Total* total
    cdef int32_t at
    table.slots = <int32_t*>resized_for(table.slots, room, &room, sizeof(int32_t))
    table.slot_count = <int32_t>room
    memset(table.slots, 0xFF, room * sizeof(int32_t))
    for at in range(table.count):
        total = &table.totals[at]
        table.slots[find_slot(table, total.account, total.currency, total.layer, total.day)] = at
    return 0


cdef inline int32_t find_total(TotalTable* table, const Line* line, int32_t day) except -1:
    """Index of the total that a line effective on `day` adds to, made when it is the first."""
    cdef int32_t slot
    cdef Total* total
    if table.count * 2 >= table.slot_count:
        grow_slots(table)
    slot = find_slot(table, line.account, line.currency, line.layer, day)
    if table.slots[slot] >= 0:
        return table.slots[slot]
    table.totals = <Total*>resized_for(table.totals, table.count, &table.capacity, sizeof(Total))
    total = &table.totals[table.count]
    memset(total, 0, sizeof(Total))
    total.account = line.account
    total.layer = line.layer
    total.day = day
    memcpy(total.currency, line.currency, 3)
    table.slots[slot] = table.count
    table.count += 1
    return table.count - 1


cdef inline bint add_to_total(Total* total, const Line* line, int64_t amount) noexcept nogil:
    """Add a line's amount (or minus it, to undo) to its side; True, and nothing, on overflow."""
    cdef int64_t* side = &total.debit if line.direction == DEBIT else &total.credit
    cdef int64_t side_after
    if __builtin_add_overflow(side[0], amount, &side_after):
        return True
    side[0] = side_after
    return False


cdef inline void free_totals(TotalTable* table) noexcept nogil:
    free(table.totals)
    free(table.slots)
