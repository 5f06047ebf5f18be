"""A verification's rows: all of them, as of one moment, or the error; and no connection is left."""

import uuid
from typing import Any

import psycopg
import pytest

from hpts._vouching import unpack
from hpts.store import verify_entries, verify_snapshot
from hpts.store.verify import verify_tenant
from hpts.store.verify_snapshot import open_snapshot

from .ledger_fixture import Books, disbursement, payment

ONE, TWO = (uuid.uuid5(uuid.NAMESPACE_OID, str(number)) for number in range(2))
ROW_COUNT = 50_000
"""Of these rows more come than a socket and libpq hold, so that they must be waited for."""
ROWS = f"SELECT gen_random_uuid(), n, NULL, 'text' FROM generate_series(1, {ROW_COUNT}) AS n"


@pytest.fixture
def books(own_database_url: str) -> Books:
    books = Books(own_database_url)
    books.post(disbursement(ONE, 1_000), disbursement(TWO, 500))
    return books


def copied(books: Books, monkeypatch: pytest.MonkeyPatch, query: str) -> list[Any]:
    """The rows of a query, but for their first column."""
    real = verify_snapshot.sql
    monkeypatch.setattr(
        verify_snapshot, "sql", lambda name: query if name == "walk_lines" else real(name)
    )
    with open_snapshot(books.database_url, books.tenant_id) as snapshot:
        return [unpack(row, {1})[1:] for row in snapshot.copy("walk_lines")]


def test_all_rows_come_in_their_order(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = copied(books, monkeypatch, ROWS)
    assert rows == [(number, None, b"text") for number in range(1, ROW_COUNT + 1)]


def test_no_rows_are_none(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    assert copied(books, monkeypatch, f"{ROWS} WHERE n < 0") == []


@pytest.mark.parametrize("row", [1, 2, ROW_COUNT])
def test_an_error_amid_the_rows_is_told(
    books: Books, monkeypatch: pytest.MonkeyPatch, row: int
) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        copied(books, monkeypatch, f"{ROWS} WHERE 1 / (n - {row}) < 2")


def test_rows_posted_after_it_has_begun_are_not_seen(books: Books) -> None:
    with open_snapshot(books.database_url, books.tenant_id) as snapshot:
        books.post(payment(ONE, 100))
        assert len(list(snapshot.copy("walk_entries"))) == 2


def test_an_interrupted_verification_leaves_no_connection(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def connect(*arguments: Any, **options: Any) -> Any:
        opened.append(real(*arguments, **options))
        return opened[-1]

    def interrupt(what: str, count: int) -> None:
        raise KeyboardInterrupt

    real = psycopg.connect
    monkeypatch.setattr(psycopg, "connect", connect)
    monkeypatch.setattr(verify_entries, "ENTRIES_PER_PROGRESS", 1)
    with pytest.raises(KeyboardInterrupt):
        verify_tenant(books.database_url, books.tenant_id, interrupt)
    assert opened
    assert all(connection.closed for connection in opened)
