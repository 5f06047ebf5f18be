"""The documented CSV (docs/OPERATIONS.md): for banks that send nothing better.

A header, then for each statement a row `opening`, its rows `line` and a row `closing`. Amounts are
signed decimals with a point, money in above zero.
"""

import csv
import datetime
import io
from collections.abc import Iterator

from hpts.bank_files.decoding import decode
from hpts.bank_files.values import read_amount, read_currency, read_day
from hpts.domain.bank_statements import (
    Errors,
    Statement,
    StatementInvalid,
    StatementLine,
    invalid,
    make_line,
    make_statement,
)
from hpts.domain.limits import STATEMENT_LINES_PER_FILE_MAX, STATEMENTS_PER_FILE_MAX

COLUMNS = (
    "record", "account", "currency", "statement", "date", "value_date", "amount", "bank_reference",
    "reference", "text",
)  # fmt: skip
Row = dict[str, str]


class _Open:
    """A statement whose closing row has not come yet."""

    def __init__(self, row: Row, place: str) -> None:
        self.row = row
        self.place = place
        self.day = _day(row, "date", place)
        self.opening_minor = _amount(row, place)
        self.lines: list[StatementLine] = []
        self.is_whole = True
        """False once a row of it was refused: what the others add up to says nothing."""

    def accepts(self, row: Row) -> bool:
        return all(row[name] == self.row[name] for name in ("account", "currency", "statement"))


def read_csv(content: bytes) -> list[Statement]:
    """The file's statements. Raises StatementInvalid, with the line and the column."""
    errors, statements = Errors(), list[Statement]()
    current: _Open | None = None
    for place, row in _rows(content):
        try:
            current = _take(row, place, current, statements)
        except StatementInvalid as error:
            errors.add(error)
            if current is not None:
                current.is_whole = False
            if row["record"] == "closing":
                current = None
    if current is not None:
        errors.add(invalid(current.place, "has no closing row: the file is cut off"))
    errors.check()
    if not 1 <= len(statements) <= STATEMENTS_PER_FILE_MAX:
        raise invalid("line 1", f"must hold 1 to {STATEMENTS_PER_FILE_MAX} statements")
    return statements


def _rows(content: bytes) -> Iterator[tuple[str, Row]]:
    rows = csv.reader(io.StringIO(decode(content), newline=""), strict=True)
    try:
        header = tuple(name.strip() for name in next(rows, ()))
        if header != COLUMNS:
            raise invalid("line 1", f"must be: {','.join(COLUMNS)}")
        for count, cells in enumerate(rows):
            place = f"line {rows.line_num}"
            if count > STATEMENT_LINES_PER_FILE_MAX:
                raise invalid(place, f"is past {STATEMENT_LINES_PER_FILE_MAX} lines")
            if cells and len(cells) != len(COLUMNS):
                raise invalid(place, f"must have {len(COLUMNS)} cells, has {len(cells)}")
            if cells:
                yield place, dict(zip(COLUMNS, map(str.strip, cells), strict=True))
    except csv.Error as error:
        raise invalid(f"line {rows.line_num}", f"is no CSV: {error}") from error


def _take(row: Row, place: str, current: _Open | None, statements: list[Statement]) -> _Open | None:
    """The statement that is open after the row."""
    read_currency(row["currency"], f"{place}, currency")
    if row["record"] == "opening":
        if current is not None:
            raise invalid(place, f"the statement of {current.place} has no closing row")
        return _Open(row, place)
    if row["record"] not in ("line", "closing"):
        raise invalid(f"{place}, record", "must be opening, line or closing")
    if current is None or not current.accepts(row):
        raise invalid(place, "must follow the opening row of its account, currency and statement")
    if row["record"] == "line":
        current.lines.append(_line(row, place))
        return current
    if current.is_whole:
        statements.append(_statement(current, row, place))
    return None


def _statement(current: _Open, row: Row, place: str) -> Statement:
    return make_statement(
        identifier=row["account"],
        currency=row["currency"],
        statement_ref=row["statement"],
        opening_minor=current.opening_minor,
        closing_minor=_amount(row, place),
        closing_on=_day(row, "date", place),
        from_date=current.day,
        lines=current.lines,
        place=current.place,
    )


def _line(row: Row, place: str) -> StatementLine:
    return make_line(
        booked_on=_day(row, "date", place),
        value_on=_day(row, "value_date", place) if row["value_date"] else None,
        amount_minor=_amount(row, place),
        bank_reference=row["bank_reference"],
        references=[row["reference"]],
        text=row["text"],
        place=place,
    )


def _amount(row: Row, place: str) -> int:
    return read_amount(row["amount"], row["currency"], f"{place}, amount")


def _day(row: Row, name: str, place: str) -> datetime.date:
    return read_day(row[name], f"{place}, {name}")
