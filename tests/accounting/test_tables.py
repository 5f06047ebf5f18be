"""The forms of a table: what was put in comes out, and nothing becomes a formula."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from hpts.accounting.tables import (
    FORMULA_STARTS,
    CsvForm,
    Filling,
    JsonLinesForm,
    Lines,
    Open,
    Row,
    edge_row,
)

COLUMNS = ("row", "amount_minor", "description")
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def read_csv(rows: list[Row]) -> list[list[str]]:
    form = CsvForm(COLUMNS)
    text = (form.head() + form.body([Lines(row) for row in rows])).decode()
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@given(st.lists(st.tuples(st.just("line"), st.integers().map(str), TEXT)))
def test_csv_is_read_back_as_it_was_but_for_formulas(rows: list[tuple[str, str, str]]) -> None:
    head, *found = read_csv(list(rows))
    assert head == list(COLUMNS)
    assert found == [
        [kind, amount, "'" + text if text.startswith(FORMULA_STARTS) else text]
        for kind, amount, text in rows
    ]


@given(TEXT)
def test_no_free_text_begins_as_a_formula_does(text: str) -> None:
    (_, (*_, found)) = read_csv([("line", "1", text)])
    assert not found.startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_formula_is_shown_as_text(start: str) -> None:
    assert (
        read_csv([("line", "1", f"{start}cmd|' /C calc'!A0")])[1][2] == f"'{start}cmd|' /C calc'!A0"
    )


def test_a_negative_amount_is_a_number() -> None:
    assert CsvForm(COLUMNS).body([Lines(("line", "-5", UNSET))]) == b"line,-5,\r\n"


def test_csv_is_rfc_4180() -> None:
    body = CsvForm(COLUMNS).body([Lines(("line", "1", 'a "b", c\r\nd'))])
    assert body == b'line,1,"a ""b"", c\r\nd"\r\n'
    assert CsvForm(COLUMNS).head() == b"row,amount_minor,description\r\n"


@given(st.lists(st.tuples(st.just("line"), st.integers().map(str), TEXT | st.just(UNSET))))
def test_json_lines_carry_everything_as_it_is(rows: list[Row]) -> None:
    form = JsonLinesForm(COLUMNS)
    assert form.head() == b""
    body = form.body([Lines(row) for row in rows])
    assert body.endswith(b"\n") or not rows
    assert [json.loads(line) for line in body.split(b"\n") if line] == [
        {name: cell for name, cell in zip(COLUMNS, row, strict=True) if cell is not UNSET}
        for row in rows
    ]


def test_an_edge_row_has_the_cells_that_it_is_given() -> None:
    assert edge_row(COLUMNS, row="total", amount_minor="7") == ("total", "7", UNSET)


@given(TEXT | st.just(UNSET), st.lists(st.tuples(st.integers(), st.just("x") | st.none())))
def test_lines_are_the_rows_that_their_fillings_make(
    common: str | UnsetType, cells: list[tuple[int, str | None]]
) -> None:
    columns = ("sequence", "description", "loan_id")
    fillings: list[Filling] = [
        (b"%d" % number, None if text is None else text.encode()) for number, text in cells
    ]
    lines = Lines((Open.NUMBER, common, Open.TEXT), fillings)
    rows = [Lines((number, common, UNSET if text is None else text)) for number, text in cells]
    for form in (CsvForm(columns), JsonLinesForm(columns)):
        assert form.body([lines]) == form.body(rows)
