"""Whatever a superuser changes, deletes or inserts in bank reconciliation's records is found."""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from hpts.store.verify import verify_tenant
from tests.bank.banking import Bank, Line, csv_statement

from .ledger_fixture import Books, disbursement, payment, reversal, today

LOAN = uuid.uuid5(uuid.NAMESPACE_OID, "verified bank")
CHECKS = {
    "bank_statements", "bank_matches", "bank_open_items", "bank_cash_lines", "audit_bank_matches",
}  # fmt: skip
TABLES = (
    "bank_statements",
    "bank_items",
    "bank_open_items",
    "bank_matches",
    "bank_match_items",
    "bank_match_undos",
    "bank_cursors",
)
OF_TENANT = " WHERE tenant_id = %(tenant)s"
ONE_OF = " WHERE ctid = (SELECT min(ctid) FROM {table}" + OF_TENANT + "{more})"


@pytest.fixture(scope="module")
def books(own_database_url: str) -> Books:
    """Matches by rule, by hand, undone, within the ledger; repeated and open lines."""
    books = Books(own_database_url)
    bank = Bank(books)
    bank.add_account()
    books.post(disbursement(LOAN, 100_000))
    books.post(payment(LOAN, 500), payment(LOAN, 700))
    (wrong,) = books.post(payment(LOAN, 900))
    books.post(reversal(wrong))
    day = today().isoformat()
    lines = [Line(day, "5.00", text="a"), Line(day, "7.00", text="b"), Line(day, "3.00", text="c")]
    bank.import_one(csv_statement(*lines, day=day, opening="1.00", closing="16.00"))
    bank.import_one(csv_statement(*lines, day=day, opening="1.00", closing="16.00", name="again"))
    made = books.fetch(
        "SELECT match_id FROM bank_matches WHERE tenant_id = %s AND amount_minor = 700"
    )
    bank.undo(made[0][0])
    keys = {key for key in bank.open_keys() if bank.amount_of(key) == 700}
    bank.match(sorted(keys))
    assert {rule for rule, _, _ in bank.matches()} == {"amount_and_date", "offset", "manual"}
    return books


@pytest.fixture
def tampered(books: Books) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection past every trigger; the records are put back after."""
    with psycopg.connect(books.database_url, autocommit=True) as connection:
        for table in TABLES:
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
            connection.execute(f"CREATE TABLE kept_{table} AS TABLE {table}".encode())
        yield connection
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}".encode())
            connection.execute(f"INSERT INTO {table} TABLE kept_{table}".encode())
            connection.execute(f"DROP TABLE kept_{table}".encode())


def found(books: Books) -> set[str]:
    return {one.check for one in verify_tenant(books.database_url, books.tenant_id).findings}


def test_sound_records_are_sound(books: Books) -> None:
    assert found(books) == set()
    counts = [books.fetch(f"SELECT count(*) FROM {t}{' WHERE tenant_id = %s'}") for t in TABLES]
    assert all(count[0][0] for count in counts), "every table has something to tamper with"


@pytest.mark.parametrize(
    ("table", "change", "more", "check"),
    [
        ("bank_statements", "closing_minor = closing_minor + 1", "", "bank_statements"),
        ("bank_statements", "opening_minor = opening_minor - 1", "", "bank_statements"),
        ("bank_statements", "counted_minor = counted_minor + 1", "", "bank_statements"),
        ("bank_statements", "line_count = line_count + 1", "", "bank_statements"),
        ("bank_statements", "repeated_line_count = 1", "", "bank_statements"),
        ("bank_statements", "bank_account_ref = 'X'", "", "bank_statements"),
        ("bank_statements", "", "", "bank_statements"),
        ("bank_items", "amount_minor = amount_minor + 1", " AND side = 'B'", "bank_statements"),
        ("bank_items", "is_repeated = NOT is_repeated", " AND side = 'B'", "bank_statements"),
        ("bank_items", "", " AND side = 'B'", "bank_statements"),
        ("bank_items", "", " AND side = 'L'", "bank_cash_lines"),
        ("bank_items", "amount_minor = amount_minor + 1", " AND side = 'L'", "bank_cash_lines"),
        ("bank_items", "item_date = item_date - 1", " AND side = 'L'", "bank_cash_lines"),
        ("bank_items", "sequence = 9", " AND side = 'L'", "bank_cash_lines"),
        ("bank_matches", "amount_minor = amount_minor + 1", "", "bank_matches"),
        ("bank_matches", "first_date = first_date - 1", "", "bank_matches"),
        ("bank_matches", "bank_account_ref = 'X'", "", "bank_matches"),
        ("bank_matches", "", "", "bank_matches"),
        ("bank_matches", "rule = 'manual'", " AND rule = 'offset'", "audit_bank_matches"),
        ("bank_match_items", "", "", "bank_matches"),
        ("bank_match_items", "source_id = gen_random_uuid()", "", "bank_matches"),
        ("bank_match_undos", "", "", "bank_open_items"),
        ("bank_match_undos", "match_id = gen_random_uuid()", "", "audit_bank_matches"),
        ("bank_open_items", "", "", "bank_open_items"),
        ("bank_open_items", "amount_minor = amount_minor + 1", "", "bank_open_items"),
        ("bank_open_items", "sequence = 99", "", "bank_open_items"),
    ],
)  # fmt: skip
def test_what_is_changed_or_deleted_is_found(
    books: Books,
    tampered: psycopg.Connection[Any],
    table: str,
    change: str,
    more: str,
    check: str,
) -> None:
    where = ONE_OF.format(table=table, more=more)
    done = f"UPDATE {table} SET {change}" if change else f"DELETE FROM {table}"
    result = tampered.execute((done + where).encode(), {"tenant": books.tenant_id})
    assert result.rowcount == 1
    assert check in found(books)


def test_a_line_of_no_entry_and_a_match_of_nothing_are_found(
    books: Books, tampered: psycopg.Connection[Any]
) -> None:
    values = {"tenant": books.tenant_id}
    tampered.execute(
        b"INSERT INTO bank_items SELECT tenant_id, bank_account_ref, side, gen_random_uuid(),"
        b" sequence, amount_minor, item_date, value_date, item_references, description, batch,"
        b" is_reversal, reverses_entry_id, identity_digest, is_repeated FROM bank_items"
        b" WHERE tenant_id = %(tenant)s AND side = 'L' LIMIT 1",
        values,
    )
    tampered.execute(
        b"INSERT INTO bank_matches SELECT tenant_id, gen_random_uuid(), bank_account_ref, 99, rule,"
        b" explanation, amount_minor, first_date, last_date, matched_at, matched_by"
        b" FROM bank_matches WHERE tenant_id = %(tenant)s AND rule <> 'manual' LIMIT 1",
        values,
    )
    assert found(books) == {"bank_cash_lines", "bank_open_items", "bank_matches"}


def test_lines_that_are_not_taken_over_yet_are_missed_by_nobody(books: Books) -> None:
    books.post(payment(LOAN, 100))
    assert found(books) == set()
