"""Whatever a superuser changes, deletes or inserts in the record of closings is found."""

import datetime
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from hpts.domain.periods import CLOSE, REOPEN
from hpts.store.verify import verify_tenant

from .ledger_fixture import Books, days_ago
from .period_changes import change, close
from .test_tampering import FOR_NULL, OTHER_VALUE, columns

RECORDS = 4


@pytest.fixture(scope="module")
def books(own_database_url: str) -> Books:
    """Closed twice, reopened in part, then wholly, which leaves no day closed."""
    books = Books(own_database_url)
    close(books, days_ago(40))
    close(books, days_ago(10))
    change(books, REOPEN, days_ago(20))
    change(books, REOPEN, datetime.date.min)
    assert change(books, CLOSE, days_ago(-30)) is not None  # refused, which makes no record
    return books


@pytest.fixture
def tampered(books: Books) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection past every trigger and check; the records are put back after."""
    tables = ("period_records", "ledger_heads", "audit_events")
    with psycopg.connect(books.database_url, autocommit=True) as connection:
        for table in tables:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
            connection.execute(f"CREATE TABLE kept_{table} AS TABLE {table}".encode())
        for (name,) in connection.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'period_records'::regclass"
            " AND contype = 'c'"
        ).fetchall():
            connection.execute(f"ALTER TABLE period_records DROP CONSTRAINT {name}".encode())
        yield connection
        for table in tables:
            put_back(connection, table)
            connection.execute(f"DROP TABLE kept_{table}".encode())


def put_back(connection: psycopg.Connection[Any], table: str = "period_records") -> None:
    connection.execute(f"DELETE FROM {table}".encode())
    connection.execute(f"INSERT INTO {table} TABLE kept_{table}".encode())


def found(books: Books) -> dict[str, str]:
    findings = verify_tenant(books.database_url, books.tenant_id).findings
    return {finding.check: finding.row for finding in findings}


def test_records_that_nobody_touched_are_sound(books: Books) -> None:
    assert found(books) == {}
    assert books.fetch("SELECT count(*) FROM period_records WHERE tenant_id = %s") == [(RECORDS,)]


def test_every_changed_column_is_found(books: Books, tampered: psycopg.Connection[Any]) -> None:
    rows = []
    for column, kind in columns(tampered, "period_records"):
        for number in range(1, RECORDS + 1):
            value = OTHER_VALUE[kind].format(column=column)
            if (column, number) == ("closed_through", RECORDS):
                value = FOR_NULL[kind]
            changed = tampered.execute(
                f"UPDATE period_records SET {column} = {value} WHERE record_number = %s"
                " AND tenant_id = %s".encode(),
                (number, books.tenant_id),
            )
            assert changed.rowcount == 1
            rows.append((column, number, found(books).get("audit_periods", "")))
            put_back(tampered)
    wrong = [row for row in rows if row[2] != f"period_records {row[1]}"]
    # A record under another number is one without an event; the one missing comes second.
    assert [row for row in wrong if row[0] != "record_number"] == []
    assert [row[2] for row in wrong] == [f"period_records {row[1] + 777}" for row in wrong]


@pytest.mark.parametrize("number", range(1, RECORDS + 1))
def test_a_deleted_record_is_found(
    books: Books, tampered: psycopg.Connection[Any], number: int
) -> None:
    tampered.execute(
        "DELETE FROM period_records WHERE record_number = %s AND tenant_id = %s",
        (number, books.tenant_id),
    )
    assert found(books)["audit_periods"] == f"period_records {number}"


def test_an_inserted_record_is_found_though_the_head_goes_by_it(
    books: Books, tampered: psycopg.Connection[Any]
) -> None:
    tampered.execute(
        "INSERT INTO period_records SELECT tenant_id, 5, kind, closed_through, reason, actor,"
        " recorded_at, block_number FROM period_records WHERE record_number = 2 AND tenant_id = %s",
        (books.tenant_id,),
    )
    tampered.execute(
        "UPDATE ledger_heads SET closed_through = %s WHERE tenant_id = %s",
        (days_ago(10), books.tenant_id),
    )
    assert found(books) == {"audit_periods": "period_records 5"}


def test_a_head_that_is_closed_through_another_day_is_found(
    books: Books, tampered: psycopg.Connection[Any]
) -> None:
    tampered.execute(
        "UPDATE ledger_heads SET closed_through = %s WHERE tenant_id = %s",
        (days_ago(10), books.tenant_id),
    )
    assert found(books) == {"closed_through": f"ledger_heads {books.tenant_id}"}


def test_an_audit_record_cut_off_is_found_where_it_told_of_a_period(
    books: Books, tampered: psycopg.Connection[Any]
) -> None:
    tampered.execute(
        "DELETE FROM audit_events WHERE tenant_id = %s AND event_number >= (SELECT event_number"
        " FROM audit_events WHERE tenant_id = %s AND subject = 'period record 4')",
        (books.tenant_id, books.tenant_id),
    )
    assert found(books) == {"audit_periods": "period_records 4"}


def test_records_of_before_their_events_told_of_block_and_time_are_sound(
    books: Books, tampered: psycopg.Connection[Any]
) -> None:
    """Their events have hashes of their own, which this does not make; nothing else is found."""
    tampered.execute(
        """UPDATE audit_events SET details = (details::jsonb - 'block_number' - 'recorded_at')::json
            WHERE tenant_id = %s AND action LIKE 'period.%%'""",
        (books.tenant_id,),
    )
    assert found(books).keys() == {"audit_hash"}
