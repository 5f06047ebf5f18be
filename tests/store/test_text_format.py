"""Parameters are what PostgreSQL reads in its text format, and cells are read as it prints them."""

import uuid

import psycopg
import pytest

from hpts.store.text_format import (
    array_text,
    encoded,
    identifier_text,
    text_of,
    text_or_none,
    text_step,
)

ONE, TWO = uuid.UUID(int=1), uuid.UUID(int=2**128 - 2)


def cast(database_url: str, parameter: bytes | None, type_name: str) -> object:
    with psycopg.connect(database_url) as connection:
        query = f"SELECT $1::{type_name}"
        found = connection.pgconn.exec_params(query.encode(), [parameter])
        return found.get_value(0, 0)


@pytest.mark.parametrize("identifiers", [[], [ONE], [ONE, TWO]])
def test_identifiers_are_read_and_printed_alike(
    database_url: str, identifiers: list[uuid.UUID]
) -> None:
    array = array_text(map(str, identifiers))
    assert cast(database_url, array, "uuid[]") == array
    for identifier in identifiers:
        text = identifier_text(identifier.bytes)
        assert cast(database_url, text, "uuid") == text == str(identifier).encode()


@pytest.mark.parametrize("text", [None, "", "é {,} \\x"])
def test_text_and_null_are_told_apart(database_url: str, text: str | None) -> None:
    cell = cast(database_url, encoded(text), "text")
    assert isinstance(cell, bytes | None)
    assert (text_or_none(cell), text_of(cell)) == (text, text or "")


def test_the_tenant_is_the_first_parameter_and_nothing_is_binary() -> None:
    step = text_step("read_entry", TWO.bytes, b"x", None)
    assert step.parameters == (str(TWO).encode(), b"x", None)
    assert step.text
