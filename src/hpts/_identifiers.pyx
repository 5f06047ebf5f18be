# cython: boundscheck=False, wraparound=False, initializedcheck=False
# cython: auto_pickle=False, autotestdict=False
"""Identifiers between 16 bytes and their text, the 8-4-4-4-12 form of a UUID.

A payment reads two and writes three. Whatever is not exactly that form is refused.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_1BYTE_DATA

cdef enum:
    TEXT_LENGTH = 36
    IDENTIFIER_BYTES = 16

cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t length, Py_UCS4 largest)
    bint PyUnicode_IS_COMPACT_ASCII(object text)

cdef const char* DIGITS = b"0123456789abcdef"


cdef inline bint is_dash(int at) noexcept nogil:
    """Whether the text has a dash in front of that byte."""
    return at == 4 or at == 6 or at == 8 or at == 10


cdef inline int digit_of(unsigned char letter) noexcept nogil:
    """The value of a hexadecimal digit in either case; -1 for anything else."""
    if c"0" <= letter <= c"9":
        return letter - c"0"
    letter |= 0x20
    return letter - c"a" + 10 if c"a" <= letter <= c"f" else -1


def format_identifier(bytes identifier not None):
    """The 8-4-4-4-12 form of 16 bytes, in lower case."""
    cdef const unsigned char* given = <const unsigned char*>PyBytes_AS_STRING(identifier)
    cdef unsigned char* written
    cdef int at
    if len(identifier) != IDENTIFIER_BYTES:
        raise ValueError("an identifier has 16 bytes")
    text = PyUnicode_New(TEXT_LENGTH, 127)
    written = <unsigned char*>PyUnicode_1BYTE_DATA(text)
    for at in range(IDENTIFIER_BYTES):
        if is_dash(at):
            written[0] = c"-"
            written += 1
        written[0] = DIGITS[given[at] >> 4]
        written[1] = DIGITS[given[at] & 15]
        written += 2
    return text


def read_identifier(str text not None):
    """16 bytes of the 8-4-4-4-12 form, in either case; None for any other text."""
    cdef unsigned char[IDENTIFIER_BYTES] found
    cdef const unsigned char* given
    cdef int at, high, low
    if len(text) != TEXT_LENGTH or not PyUnicode_IS_COMPACT_ASCII(text):
        return None
    given = <const unsigned char*>PyUnicode_1BYTE_DATA(text)
    for at in range(IDENTIFIER_BYTES):
        if is_dash(at):
            if given[0] != c"-":
                return None
            given += 1
        high, low = digit_of(given[0]), digit_of(given[1])
        if high < 0 or low < 0:
            return None
        found[at] = <unsigned char>(high << 4 | low)
        given += 2
    return PyBytes_FromStringAndSize(<char*>found, IDENTIFIER_BYTES)
