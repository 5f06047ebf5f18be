"""PostgreSQL's binary arrays, as parameters carry them, to Python values and back."""

import functools
import struct
from collections.abc import Sequence

Cell = bytes | int | None

_HEAD = struct.Struct(">iII")  # null flag, element type, number of elements
_FORMATS = {2950: "16s", 20: "q", 21: "h", 1082: "i", 18: "c"}
"""Elements of a fixed size by their type: uuid, bigint, smallint, date, "char"."""
_SIZE = struct.Struct(">i")


@functools.cache
def _layout(element_type: int, count: int) -> struct.Struct:
    return struct.Struct(">" + f"4x{_FORMATS[element_type]}" * count)


def decode(array: bytes) -> Sequence[Cell]:
    """The elements of a one-dimensional array, which may be empty."""
    if len(array) == 12:
        return ()
    has_null, element_type, count = _HEAD.unpack_from(array, 4)
    if not has_null and element_type in _FORMATS:
        return _layout(element_type, count).unpack_from(array, 20)
    elements: list[Cell] = []
    at = 20
    for _ in range(count):
        (size,) = _SIZE.unpack_from(array, at)
        at += 4
        if size < 0:
            elements.append(None)
            continue
        element = array[at : at + size]
        at += size
        if element_type in _FORMATS:
            (cell,) = struct.unpack(">" + _FORMATS[element_type], element)
            elements.append(cell)
        else:
            elements.append(element)
    return elements


def encode_positions(positions: Sequence[int]) -> bytes:
    """A bigint[] as the database answers it."""
    if not positions:
        return struct.pack(">iii", 0, 0, 20)
    head = struct.pack(">iiiii", 1, 0, 20, len(positions), 1)
    return head + b"".join(struct.pack(">iq", 8, position) for position in positions)


def int8(number: int) -> bytes:
    """A bigint cell."""
    return number.to_bytes(8, "big", signed=True)


def int4(number: int) -> bytes:
    """An integer or date cell."""
    return number.to_bytes(4, "big", signed=True)
