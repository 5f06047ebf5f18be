# Memory that grows, and integers in network byte order.
#
# A failed allocation raises MemoryError and changes nothing: what was held is still held, and no
# capacity is claimed that was not obtained.

from libc.stdint cimport int16_t, int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy

cdef enum:
    CAPACITY_FIRST = 64

cdef struct Buffer:
    unsigned char* data
    size_t size
    size_t capacity

cdef extern from *:
    uint64_t __builtin_bswap64(uint64_t) nogil
    uint32_t __builtin_bswap32(uint32_t) nogil

# The kernel runs on little-endian machines only; setup.py's build fails elsewhere by this check.
cdef extern from *:
    """
    #if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "the posting kernel writes network byte order from little-endian integers"
    #endif
    """


cdef inline void* resized_for(
    void* items, size_t count, size_t* capacity, size_t item_bytes
) except NULL:
    """Where `items` stand with room for one more than `count`; the room doubles when it is full."""
    cdef size_t wanted
    cdef void* moved
    if count < capacity[0]:
        return items
    wanted = capacity[0] * 2 if capacity[0] else CAPACITY_FIRST
    moved = realloc(items, wanted * item_bytes)
    if moved == NULL:
        raise MemoryError
    capacity[0] = wanted
    return moved


cdef inline int buffer_reserve(Buffer* buffer, size_t extra) except -1 nogil:
    """Room for `extra` more bytes, so that the next `buffer_extend` of them cannot fail."""
    cdef size_t wanted = buffer.size + extra
    cdef size_t capacity = buffer.capacity
    cdef unsigned char* moved
    if wanted <= capacity:
        return 0
    capacity = capacity * 2 if capacity * 2 > wanted else wanted + 1024
    moved = <unsigned char*>realloc(buffer.data, capacity)
    if moved == NULL:
        with gil:
            raise MemoryError
    buffer.data = moved
    buffer.capacity = capacity
    return 0


cdef inline unsigned char* buffer_extend(Buffer* buffer, size_t extra) except NULL nogil:
    """Where `extra` new bytes may be written; the size already counts them."""
    buffer_reserve(buffer, extra)
    buffer.size += extra
    return buffer.data + buffer.size - extra


cdef inline void write_int16(unsigned char* at, int16_t value) noexcept nogil:
    at[0] = <unsigned char>((<uint32_t>value >> 8) & 0xFF)
    at[1] = <unsigned char>(<uint32_t>value & 0xFF)


cdef inline void write_int32(unsigned char* at, int32_t value) noexcept nogil:
    cdef uint32_t swapped = __builtin_bswap32(<uint32_t>value)
    memcpy(at, &swapped, 4)


cdef inline void write_int64(unsigned char* at, int64_t value) noexcept nogil:
    cdef uint64_t swapped = __builtin_bswap64(<uint64_t>value)
    memcpy(at, &swapped, 8)


cdef inline int64_t read_int64(const unsigned char* at) noexcept nogil:
    cdef uint64_t swapped
    memcpy(&swapped, at, 8)
    return <int64_t>__builtin_bswap64(swapped)


cdef inline int32_t read_int32(const unsigned char* at) noexcept nogil:
    cdef uint32_t swapped
    memcpy(&swapped, at, 4)
    return <int32_t>__builtin_bswap32(swapped)
