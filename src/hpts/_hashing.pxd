# SHA-256 and the leaves of a block, for the modules that verify.

from libc.stdint cimport int32_t, int64_t

from hpts._buffers cimport Buffer

cdef enum:
    ID_BYTES = 16
    DIGEST_BYTES = 32

cdef int digest_of(const unsigned char* data, size_t size, unsigned char* digest) except -1


cdef class Leaves:
    cdef Buffer hashes
    cdef unsigned char[ID_BYTES] next_id
    cdef readonly Py_ssize_t count
    cdef Py_ssize_t limit
    cdef int64_t block_number
    cdef int32_t first_day
    cdef bint is_odd

    cdef bint is_next(self, const unsigned char* key) noexcept
    cdef int append(self, const unsigned char* entry_hash) except -1
    cdef void move_on(self) noexcept
