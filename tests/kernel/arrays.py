"""Reads PostgreSQL's binary array format, as array_send writes it, without any of the kernel's
code.
"""

import struct
from typing import NamedTuple

OID_BYTEA, OID_CHAR, OID_INT8, OID_INT2, OID_TEXT, OID_DATE, OID_UUID = (
    17,
    18,
    20,
    21,
    25,
    1082,
    2950,
)
NUMBERS = {OID_INT8: "!q", OID_INT2: "!h", OID_DATE: "!i"}
Cell = bytes | int | None


class DecodedArray(NamedTuple):
    """A one-dimensional array: its element type, and numbers or bytes, None for NULL."""

    element_type: int
    elements: list[Cell]


def decode_array(data: bytes) -> DecodedArray:
    """The array in `data`. Raises ValueError where array_recv would refuse it."""
    dimensions, null_flag, element_type = struct.unpack_from("!iii", data)
    if dimensions == 0:
        _require(data == struct.pack("!iii", 0, 0, element_type), "an empty array is its header")
        return DecodedArray(element_type, [])
    _require(dimensions == 1, "one dimension")
    count, lower_bound = struct.unpack_from("!ii", data, 12)
    _require(count > 0 and lower_bound == 1, "elements are numbered from 1")
    elements: list[Cell] = []
    at = 20
    for _ in range(count):
        (size,) = struct.unpack_from("!i", data, at)
        at += 4
        if size == -1:
            elements.append(None)
            continue
        _require(0 <= size <= len(data) - at, "an element lies within the array")
        elements.append(_decode_element(element_type, data[at : at + size]))
        at += size
    _require(at == len(data), "nothing follows the last element")
    _require(null_flag == (None in elements), "the null flag says whether there is one")
    return DecodedArray(element_type, elements)


def _decode_element(element_type: int, element: bytes) -> Cell:
    if element_type not in NUMBERS:
        return element
    (number,) = struct.unpack(NUMBERS[element_type], element)
    return int(number)


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise ValueError(rule)
