"""Everything that is read as rows and columns, for files: what a row is, and its two forms.

CSV is RFC 4180 in UTF-8 with a header; amounts are whole numbers of minor units. A spreadsheet
takes a cell that begins with = + - @ for a formula: free text, which others wrote, gets a ' first.
JSON Lines (an object a line) carry the same fields, without the empty ones, as they are.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

Cell = str | int | UnsetType
Row = tuple[Cell, ...]

FREE_TEXT = frozenset(("account_name", "actor", "description", "external_ref"))
"""Columns that hold what somebody wrote; all others are numbers, identifiers, dates and words of
the API, in which nothing needs a quote."""
FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""Source: OWASP, CSV injection; the last four are the first four in full width."""
LINE_END = "\r\n"


class Table(NamedTuple):
    """Rows under columns, to be read portion by portion. `name` is what a file of it is called."""

    name: str
    columns: tuple[str, ...]
    portions: AsyncGenerator[list[Row], None]


class CsvForm:
    """A table as CSV."""

    suffix = "csv"

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._free = [at for at, name in enumerate(columns) if name in FREE_TEXT]

    def head(self) -> bytes:
        """The header row."""
        return (",".join(self._columns) + LINE_END).encode()

    def body(self, rows: Sequence[Row]) -> bytes:
        """Rows, each with its line end."""
        return "".join([self._line(row) for row in rows]).encode()

    def _line(self, row: Row) -> str:
        # csv.writer looks at every character of every cell, which takes four times as long.
        cells = ["" if cell is UNSET else str(cell) for cell in row]
        for at in self._free:
            if cells[at]:
                cells[at] = _as_text(cells[at])
        return ",".join(cells) + LINE_END


class JsonLinesForm:
    """A table as JSON Lines."""

    suffix = "jsonl"

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._encoder = msgspec.json.Encoder()

    def head(self) -> bytes:
        """Nothing: every line names its fields."""
        return b""

    def body(self, rows: Sequence[Row]) -> bytes:
        """Rows, each with its line end."""
        names = self._columns
        return self._encoder.encode_lines(
            [
                {name: cell for name, cell in zip(names, row, strict=True) if cell is not UNSET}
                for row in rows
            ]
        )


Form = CsvForm | JsonLinesForm
FORMS: dict[str, type[CsvForm] | type[JsonLinesForm]] = {"csv": CsvForm, "json": JsonLinesForm}


async def once(rows: list[Row]) -> AsyncGenerator[list[Row], None]:
    """The portions of a table that is read at once."""
    yield rows


def edge_row(columns: tuple[str, ...], **cells: Cell) -> Row:
    """A row before or after the lines, with the cells that it has."""
    return tuple(cells.get(name, UNSET) for name in columns)


def _as_text(text: str) -> str:
    """A cell that is no formula, quoted where it must be."""
    if text.startswith(FORMULA_STARTS):
        text = "'" + text
    if any(special in text for special in ',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text
