# cython: auto_pickle=False, autotestdict=False, nonecheck=True
"""SHA-256 for `hpts verify`, and the Merkle root over the entries of a block.

It calls the library that Python's hashlib is linked to, without the objects that hashlib makes for
every digest: they take longer than most of the hashing. Where that library's functions cannot be
had, it takes hashlib.
"""

import _hashlib
import ctypes
from hashlib import sha256

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free
from libc.string cimport memcmp, memcpy

from hpts._buffers cimport buffer_extend

ctypedef int (*DigestInit)(void* context, const void* kind, void* engine) noexcept
ctypedef int (*DigestUpdate)(void* context, const void* data, size_t size) noexcept
ctypedef int (*DigestFinal)(void* context, unsigned char* digest, unsigned int* size) noexcept

cdef void* hashing = NULL  # one context, used again and again while the interpreter's lock is held
cdef DigestInit digest_init = NULL
cdef DigestUpdate digest_update = NULL
cdef DigestFinal digest_final = NULL


cdef void* address_of(function) except NULL:
    return <void*><size_t>ctypes.cast(function, ctypes.c_void_p).value


def _find_library():
    global hashing, digest_init, digest_update, digest_final
    try:
        library = ctypes.CDLL(_hashlib.__file__)
        new_context, kind_of = library.EVP_MD_CTX_new, library.EVP_sha256
        digest_init = <DigestInit>address_of(library.EVP_DigestInit_ex)
        digest_update = <DigestUpdate>address_of(library.EVP_DigestUpdate)
        digest_final = <DigestFinal>address_of(library.EVP_DigestFinal_ex)
    except (AttributeError, OSError):
        return
    new_context.restype = kind_of.restype = ctypes.c_void_p
    context, kind = <size_t>(new_context() or 0), <size_t>(kind_of() or 0)
    if context and kind and digest_init(<void*><size_t>context, <void*><size_t>kind, NULL) == 1:
        hashing = <void*><size_t>context


_find_library()


cdef int digest_of(const unsigned char* data, size_t size, unsigned char* digest) except -1:
    """Of `size` bytes of `data`, into the 32 bytes of `digest`."""
    cdef bytes made
    if hashing == NULL:
        made = sha256(PyBytes_FromStringAndSize(<const char*>data, size)).digest()
        memcpy(digest, PyBytes_AS_STRING(made), DIGEST_BYTES)
    elif (
        digest_init(hashing, NULL, NULL) != 1  # the kind that it was begun with
        or digest_update(hashing, data, size) != 1
        or digest_final(hashing, digest, NULL) != 1
    ):
        raise RuntimeError("OpenSSL computes no SHA-256")
    return 0


@cython.final
cdef class Leaves:
    """The entry hashes of one block, whose entries have consecutive identifiers."""

    def __dealloc__(self):
        free(self.hashes.data)

    def begin(
        self, int64_t block_number, bytes first_entry_id not None, Py_ssize_t limit,
        int32_t first_day=-0x7fffffff - 1
    ):
        """A block of at most `limit` entries from `first_entry_id` (16 bytes) on, which took none
        that is effective before `first_day`."""
        if PyBytes_GET_SIZE(first_entry_id) != ID_BYTES:
            raise ValueError("an identifier has 16 bytes")
        memcpy(self.next_id, PyBytes_AS_STRING(first_entry_id), ID_BYTES)
        self.hashes.size = self.count = 0
        self.is_odd = False
        self.limit = limit
        self.block_number = block_number
        self.first_day = first_day

    def add(self, bytes entry_hash not None):
        """The next entry's hash, whatever its identifier is."""
        if PyBytes_GET_SIZE(entry_hash) == DIGEST_BYTES:
            self.append(<const unsigned char*>PyBytes_AS_STRING(entry_hash))
        else:
            self.is_odd = True
            self.count += 1
            self.move_on()

    def root(self):
        """The Merkle root over the hashes; None for none, and with one that is no SHA-256."""
        cdef unsigned char[1 + 2 * DIGEST_BYTES] node
        cdef unsigned char* level = self.hashes.data
        cdef Py_ssize_t left = self.count
        cdef Py_ssize_t at
        if self.is_odd or not left:
            return None
        node[0] = 0
        for at in range(left):
            memcpy(node + 1, level + at * DIGEST_BYTES, DIGEST_BYTES)
            digest_of(node, 1 + DIGEST_BYTES, level + at * DIGEST_BYTES)
        node[0] = 1
        while left > 1:
            for at in range(left // 2):
                memcpy(node + 1, level + 2 * at * DIGEST_BYTES, 2 * DIGEST_BYTES)
                digest_of(node, sizeof(node), level + at * DIGEST_BYTES)
            if left % 2:  # it moves up unchanged
                memcpy(
                    level + (left // 2) * DIGEST_BYTES, level + (left - 1) * DIGEST_BYTES, DIGEST_BYTES
                )
            left = (left + 1) // 2
        return PyBytes_FromStringAndSize(<const char*>level, DIGEST_BYTES)

    cdef bint is_next(self, const unsigned char* key) noexcept:
        return self.count < self.limit and memcmp(self.next_id, key, ID_BYTES) == 0

    cdef int append(self, const unsigned char* entry_hash) except -1:
        memcpy(buffer_extend(&self.hashes, DIGEST_BYTES), entry_hash, DIGEST_BYTES)
        self.count += 1
        self.move_on()
        return 0

    cdef void move_on(self) noexcept:
        cdef Py_ssize_t at = ID_BYTES - 1
        self.next_id[at] += 1
        while self.next_id[at] == 0 and at > 0:
            at -= 1
            self.next_id[at] += 1
