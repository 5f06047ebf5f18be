"""Everything that is read as rows and columns, for files: what a row is, and its two forms.

CSV is RFC 4180 in UTF-8 with a header; amounts are whole numbers of minor units. A spreadsheet
takes a cell that begins with = + - @ for a formula: free text, which others wrote, gets a ' first.
JSON Lines (an object a line) carry the same fields, without the empty ones, as they are.
"""

import enum
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType


class Open(enum.Enum):
    """A cell that each line fills itself: how JSON shows it."""

    NUMBER = "number"
    TEXT = "text"


Cell = str | int | UnsetType
Row = tuple[Cell, ...]
Pattern = tuple[Cell | Open, ...]
Filling = tuple[bytes | None, ...]
"""What a line puts into the open cells of its pattern, as PostgreSQL prints it; None for nothing.
Numbers, identifiers and words of the API, in which nothing needs a quote; free text is no such."""

FREE_TEXT = frozenset(("account_name", "actor", "description", "external_ref"))
"""Columns that hold what somebody wrote; all others are numbers, identifiers, dates and words of
the API, in which nothing needs a quote."""
FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""Source: OWASP, CSV injection; the last four are the first four in full width."""
LINE_END = "\r\n"


class Lines(NamedTuple):
    """Rows that have all but the open cells in common. A million of them take seconds only because
    what they share is rendered once."""

    pattern: Pattern
    fillings: Sequence[Filling] = ((),)
    """One without open cells is a row."""


class Table(NamedTuple):
    """Rows under columns, to be read portion by portion. `name` is what a file of it is called."""

    name: str
    columns: tuple[str, ...]
    portions: AsyncGenerator[list[Lines], None]


class CsvForm:
    """A table as CSV."""

    suffix = "csv"

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._free = [at for at, name in enumerate(columns) if name in FREE_TEXT]

    def head(self) -> bytes:
        """The header row."""
        return (",".join(self._columns) + LINE_END).encode()

    def body(self, portion: Sequence[Lines]) -> bytes:
        """Rows, each with its line end."""
        rows: list[bytes] = []
        for pattern, fillings in portion:
            template = self._template(pattern)
            rows += [
                template % (one if None not in one else tuple([cell or b"" for cell in one]))
                for one in fillings
            ]
        return b"".join(rows)

    def _template(self, pattern: Pattern) -> bytes:
        # csv.writer looks at every character of every cell, which takes four times as long.
        cells = [cell if type(cell) is str else _csv_cell(cell) for cell in pattern]
        for at in self._free:
            if cells[at]:
                cells[at] = _as_text(cells[at]).replace("%", "%%")
        return (",".join(cells) + LINE_END).encode()


class JsonLinesForm:
    """A table as JSON Lines."""

    suffix = "jsonl"

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = [(f'"{name}":', name in FREE_TEXT) for name in columns]

    def head(self) -> bytes:
        """Nothing: every line names its fields."""
        return b""

    def body(self, portion: Sequence[Lines]) -> bytes:
        """Rows, each with its line end."""
        rows: list[bytes] = []
        for pattern, fillings in portion:
            template = self._template(pattern)
            rows += [
                template % one if None not in one else self._template(filled(pattern, one)) % ()
                for one in fillings
            ]
        return b"".join(rows)

    def _template(self, pattern: Pattern) -> bytes:
        fields = [
            name + _json_cell(cell, is_free)
            for (name, is_free), cell in zip(self._columns, pattern, strict=True)
            if cell is not UNSET
        ]
        return ("{" + ",".join(fields) + "}\n").encode()


Form = CsvForm | JsonLinesForm
FORMS: dict[str, type[CsvForm] | type[JsonLinesForm]] = {"csv": CsvForm, "json": JsonLinesForm}


async def once(rows: Sequence[Row]) -> AsyncGenerator[list[Lines], None]:
    """The portions of a table that is read at once."""
    yield [Lines(row) for row in rows]


def edge_row(columns: tuple[str, ...], **cells: Cell) -> Row:
    """A row before or after the lines, with the cells that it has."""
    return tuple(cells.get(name, UNSET) for name in columns)


def _csv_cell(cell: Cell | Open) -> str:
    if isinstance(cell, Open):
        return "%b"
    return "" if cell is UNSET else str(cell)


def _json_cell(cell: Cell | Open, is_free: bool) -> str:
    if isinstance(cell, Open):
        return "%b" if cell is Open.NUMBER else '"%b"'
    if isinstance(cell, str) and not is_free:
        return f'"{cell}"'
    return msgspec.json.encode(cell).decode().replace("%", "%%")


def filled(pattern: Pattern, filling: Filling) -> Row:
    """The row that a filling makes of a pattern."""
    left = iter(filling)
    return tuple(_fill(cell, next(left)) if isinstance(cell, Open) else cell for cell in pattern)


def _fill(cell: Open, filling: bytes | None) -> Cell:
    if filling is None:
        return UNSET
    return int(filling) if cell is Open.NUMBER else filling.decode()


def _as_text(text: str) -> str:
    """A cell that is no formula, quoted where it must be."""
    if text.startswith(FORMULA_STARTS):
        text = "'" + text
    if any(special in text for special in ',"\r\n'):
        text = '"' + text.replace('"', '""') + '"'
    return text
