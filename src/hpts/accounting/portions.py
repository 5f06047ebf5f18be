"""What all statements share: places to begin and end at, portions of entries bounded by lines.

A statement of any length is read in portions, each a short query of its own: no transaction stays
open for a slow reader, and memory does not grow with the ledger.
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from hpts.domain.entries import Direction, Layer
from hpts.domain.limits import EXPORT_LINES_AT_ONCE, LINES_PER_ENTRY_MAX
from hpts.store.reads import EntryRow

FIRST_DAY, LAST_DAY = "0001-01-01", "9999-12-31"
FIRST_ENTRY = "00000000-0000-0000-0000-000000000000"
WHOLE_ENTRY = LINES_PER_ENTRY_MAX
"""As the last sequence read of an entry: nothing of it is left."""
DIRECTIONS = {chr(side): side.name for side in Direction}
LAYERS = {chr(layer): layer.name for layer in Layer}
PRINTED_DIRECTIONS = {side.encode(): name.encode() for side, name in DIRECTIONS.items()}
PRINTED_LAYERS = {layer.encode(): name.encode() for layer, name in LAYERS.items()}
"""By letter and as bytes, for lines that go into files as PostgreSQL printed them."""
ENTRY_ID = itemgetter(0)
"""Of a row of read_lines."""

Found = TypeVar("Found")


class ShownDetails(msgspec.Struct, frozen=True):
    """What of an entry's details is shown."""

    external_ref: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    requested_effective_at: str | UnsetType = UNSET


_details = msgspec.json.Decoder(ShownDetails)


def shown_details(details: bytes) -> ShownDetails:
    """What of an entry's details is shown."""
    return _details.decode(details)


def within_lines(entries: list[EntryRow]) -> Iterator[list[EntryRow]]:
    """The entries in runs of at most EXPORT_LINES_AT_ONCE lines together, or of one entry."""
    run: list[EntryRow] = []
    lines = 0
    for entry in entries:
        lines += entry.line_count
        if run and lines > EXPORT_LINES_AT_ONCE:
            yield run
            run, lines = [], entry.line_count
        run.append(entry)
    if run:
        yield run


def in_steps(rows: Sequence[Found]) -> Iterator[Sequence[Found]]:
    """The rows, at most EXPORT_LINES_AT_ONCE of them at a time."""
    for at in range(0, len(rows), EXPORT_LINES_AT_ONCE):
        yield rows[at : at + EXPORT_LINES_AT_ONCE]
