"""Queries in PostgreSQL's text format: their parameters, and the cells that come back.

For reads, whose rows are shown as the text they are; postings go in binary. NULL in a column that
cannot be NULL is read as nothing, not refused.
"""

from collections.abc import Iterable

from hpts.domain.identifiers import format_identifier
from hpts.store.wire import Step


def text_step(statement: str, tenant_id: bytes, *parameters: bytes | None) -> Step:
    """A statement of one tenant (16 bytes), which is its first parameter."""
    return Step(statement, (identifier_text(tenant_id), *parameters), True)


def identifier_text(identifier: bytes) -> bytes:
    """16 bytes in the 8-4-4-4-12 form."""
    return format_identifier(identifier).encode()


def array_text(identifiers: Iterable[str]) -> bytes:
    """An array of identifiers in the 8-4-4-4-12 form."""
    return b"{" + ",".join(identifiers).encode() + b"}"


def encoded(text: str | None) -> bytes | None:
    """A parameter that may be NULL."""
    return None if text is None else text.encode()


def text_of(cell: bytes | None) -> str:
    """A cell of a column that cannot be NULL."""
    return (cell or b"").decode()


def text_or_none(cell: bytes | None) -> str | None:
    """A cell of a column that may be NULL."""
    return None if cell is None else cell.decode()
