"""Page tokens: where the page before ended, tied to the query that it was made for.

A token that was cut, mistyped or taken from another query is none. The seal is a plain hash against
mistakes: anybody can make one over what he likes, so a cursor counts only where it has the shape of
its operation's places, and can then name no more than a place in the caller's own query.
"""

import base64
import binascii
import struct
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from hpts.domain.limits import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, PAGE_TOKEN_LENGTH_MAX
from hpts.http.parameters import Parameters

SEAL_BYTES = 12
PAGED = frozenset(("page_size", "page_token"))
"""The parameters of pages."""

Place = TypeVar("Place")
Item = TypeVar("Item")


class Fixed(Generic[Place]):
    """Places of a fixed length, as `struct` writes the format: signed numbers, which are never
    below zero, and bytes. `place_of` takes them in order."""

    def __init__(self, form: str, place_of: Callable[..., Place]) -> None:
        self._struct = struct.Struct(form)
        self._place_of = place_of

    def write(self, *fields: int | bytes) -> bytes:
        """The cursor of a place."""
        return self._struct.pack(*fields)

    def read(self, cursor: bytes) -> Place | None:
        """The place that a cursor names; None for bytes that no place is written as."""
        if len(cursor) != self._struct.size:
            return None
        fields = self._struct.unpack(cursor)
        if any(isinstance(field, int) and field < 0 for field in fields):
            return None
        return self._place_of(*fields)


class Coded(Generic[Place]):
    """Places as JSON. `form` is a type with the bounds of every field, `kind` the type that a
    place is read as once it has that form."""

    def __init__(self, form: Any, kind: Any) -> None:
        self._form = form
        self._kind = kind

    def write(self, place: Place) -> bytes:
        """The cursor of a place."""
        return msgspec.json.encode(place)

    def read(self, cursor: bytes) -> Place | None:
        """The place that a cursor names; None for bytes that no place is written as."""
        try:
            if msgspec.json.encode(msgspec.json.decode(cursor, type=self._form)) != cursor:
                return None
            place: Place = msgspec.json.decode(cursor, type=self._kind)
        except ValueError:
            return None
        return place


Shape = Fixed[Place] | Coded[Place]
IDENTIFIER = Fixed("16s", bytes)
"""The place behind an entry or event: its identifier."""


class PageAsked(NamedTuple, Generic[Place]):
    """How many items, and the place behind which they begin; None for the first page."""

    size: int
    place: Place | None


def read_page(
    parameters: Parameters, query: tuple[object, ...], shape: Shape[Place], *, is_csv: bool = False
) -> PageAsked[Place]:
    """The page that is asked for, by parameters that a CSV has no use for. Refuses a token that is
    none of this query."""
    if is_csv:
        for name in sorted(PAGED):
            if parameters.text(name) is not None:
                parameters.refuse(name, "not_with_csv", "is not for CSV, which has every line")
        return PageAsked(PAGE_SIZE_DEFAULT, None)
    size = parameters.number("page_size", default=PAGE_SIZE_DEFAULT, highest=PAGE_SIZE_MAX)
    token = parameters.text("page_token")
    place = None if token is None else unseal(query, token, shape)
    if token is not None and place is None:
        parameters.refuse("page_token", "invalid", "must be next_page_token of the same query")
    return PageAsked(size, place)


def next_token(
    query: tuple[object, ...],
    shown: Sequence[Item],
    found: Sequence[Item],
    cursor_of: Callable[[Item], bytes],
) -> str | UnsetType:
    """The token of the page behind what is shown; UNSET where no more was found than that."""
    return seal(query, cursor_of(shown[-1])) if len(shown) < len(found) else UNSET


def seal(query: tuple[object, ...], cursor: bytes) -> str:
    """The token of the page that follows `cursor`. `query` names everything that the pages depend
    on, the tenant and the operation's resource among it."""
    return _encode(cursor + _seal_of(query, cursor))


def unseal(query: tuple[object, ...], token: str, shape: Shape[Place]) -> Place | None:
    """The place in a token; None when it was not sealed for this query or has another shape."""
    if len(token) > PAGE_TOKEN_LENGTH_MAX or not token.isascii():
        return None
    try:
        decoded = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except binascii.Error:
        return None
    cursor = decoded[:-SEAL_BYTES]
    is_whole = decoded == cursor + _seal_of(query, cursor) and token == _encode(decoded)
    return shape.read(cursor) if is_whole else None


def _encode(decoded: bytes) -> str:
    return base64.urlsafe_b64encode(decoded).decode().rstrip("=")


def _seal_of(query: tuple[object, ...], cursor: bytes) -> bytes:
    return sha256(repr((tuple(query), cursor)).encode()).digest()[:SEAL_BYTES]
