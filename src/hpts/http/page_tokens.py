"""Page tokens: where the page before ended, tied to the query that it was made for.

A token that was cut, tampered with or taken from another query is none. The seal is a plain hash:
it guards against mistakes, for a forged token could only name a place in the caller's own query.
"""

import base64
import binascii
from hashlib import sha256

from hpts.domain.limits import PAGE_TOKEN_LENGTH_MAX
from hpts.http.parameters import Parameters

SEAL_BYTES = 12


def read_cursor(parameters: Parameters, query: tuple[object, ...]) -> bytes | None:
    """The cursor of the request's page_token, None for the first page. Refuses a token that is none
    of this query."""
    token = parameters.text("page_token")
    cursor = None if token is None else unseal(query, token)
    if token is not None and cursor is None:
        parameters.refuse("page_token", "invalid", "must be next_page_token of the same query")
    return cursor


def seal(query: tuple[object, ...], cursor: bytes) -> str:
    """The token of the page that follows `cursor`. `query` names everything that the pages depend
    on, the tenant and the operation's resource among it."""
    return _encode(cursor + _seal_of(query, cursor))


def unseal(query: tuple[object, ...], token: str) -> bytes | None:
    """The cursor in a token, or None when it is not one that `seal` made for this query."""
    if len(token) > PAGE_TOKEN_LENGTH_MAX or not token.isascii():
        return None
    try:
        decoded = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except binascii.Error:
        return None
    cursor = decoded[:-SEAL_BYTES]
    is_whole = decoded == cursor + _seal_of(query, cursor) and token == _encode(decoded)
    return cursor if is_whole else None


def _encode(decoded: bytes) -> str:
    return base64.urlsafe_b64encode(decoded).decode().rstrip("=")


def _seal_of(query: tuple[object, ...], cursor: bytes) -> bytes:
    return sha256(repr((tuple(query), cursor)).encode()).digest()[:SEAL_BYTES]
