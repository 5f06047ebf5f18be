"""With tenant A's setting, nothing that the application role can say sees or changes a row of B."""

import asyncio
import datetime
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest

from hpts.store.known_fold import fold_all
from hpts.store.reconcile import reconcile
from tests.bank.banking import fill_bank_tables

from .ledger_fixture import Books, accrual, disbursement, payment

TENANT_TABLES = (
    "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public'"
    " AND column_name = 'tenant_id' ORDER BY table_name"
)


class Two(NamedTuple):
    """Two tenants with the same kinds of rows in every table, and the names of the tables."""

    a: Books
    b: Books
    tables: list[str]


@pytest.fixture(scope="module")
def two(own_database_url: str) -> Two:
    found = []
    for _ in range(2):
        books, loan_id = Books(own_database_url), uuid.uuid4()
        books.post(disbursement(loan_id, 1_000))
        books.post(accrual({loan_id: 5}))
        books.post(payment(loan_id, 100))
        with psycopg.connect(own_database_url) as connection:
            connection.execute(
                "INSERT INTO reconciliation_results VALUES (%s, %s, now(), '{}')",
                (books.tenant_id, datetime.date(2026, 1, 1)),
            )
            connection.execute(
                "INSERT INTO block_tiles VALUES (%s, 1, 0, sha256(''))", (books.tenant_id,)
            )
            connection.execute(
                "INSERT INTO webhook_endpoints (tenant_id, endpoint_id, url, event_types,"
                " sealed_secret, created_by)"
                " VALUES (%s, gen_random_uuid(), 'https://x', '{}', '', '')",
                (books.tenant_id,),
            )
            connection.execute(
                "INSERT INTO webhook_cursors VALUES (%s, gen_random_uuid(), 0, 0, '')",
                (books.tenant_id,),
            )
            connection.execute(
                "INSERT INTO webhook_deliveries VALUES"
                " (%s, gen_random_uuid(), gen_random_uuid(), 1, 0, 'held', 0)",
                (books.tenant_id,),
            )
            connection.execute(
                "INSERT INTO admin_requests VALUES (%s, 'key', sha256(''), now(), 201, '', '')",
                (books.tenant_id,),
            )
            connection.execute(
                "INSERT INTO period_records VALUES (%s, 1, 'reopen', NULL, 'r', 'a', now(), 0)",
                (books.tenant_id,),
            )
            connection.execute(
                "INSERT INTO known_slices VALUES (%s, gen_random_uuid())", (books.tenant_id,)
            )
            connection.execute(
                "INSERT INTO moved_accruals VALUES (%s, now(), gen_random_uuid())",
                (books.tenant_id,),
            )
        fill_bank_tables(books)
        reconcile(own_database_url, books.tenant_id, None)
        asyncio.run(fold_all(own_database_url, books.tenant_id.bytes))
        found.append(books)
    with psycopg.connect(own_database_url) as connection:
        tables = [name for (name,) in connection.execute(TENANT_TABLES.encode()).fetchall()]
    return Two(found[0], found[1], tables)


@pytest.fixture
def as_a(two: Two) -> Iterator[psycopg.Connection[Any]]:
    """The application role inside a transaction of tenant A; rolled back."""
    with psycopg.connect(two.a.database_url) as connection:
        connection.execute("SET ROLE hpts_app")
        enter = "SELECT set_config('hpts.tenant_id', %s, true)"
        connection.execute(enter.encode(), (str(two.a.tenant_id),))
        yield connection
        connection.rollback()


def seen_tenants(connection: psycopg.Connection[Any], query: str) -> set[Any]:
    return {tenant_id for (tenant_id, *_) in connection.execute(query.encode()).fetchall()}


def everything_of(books: Books, tables: list[str]) -> dict[str, list[tuple[Any, ...]]]:
    query = "SELECT t::text FROM {} AS t WHERE tenant_id = %s ORDER BY 1"
    return {table: books.fetch(query.format(table)) for table in tables}


def test_both_tenants_have_rows_in_every_table(two: Two) -> None:
    """Guards the tests below: an empty table would show nothing anyway."""
    for books in (two.a, two.b):
        empty = [name for name, rows in everything_of(books, two.tables).items() if not rows]
        assert empty == []


def test_every_table_shows_the_tenants_own_rows_and_no_other(
    two: Two, as_a: psycopg.Connection[Any]
) -> None:
    a, b = two.a.tenant_id, two.b.tenant_id
    for table in two.tables:
        assert seen_tenants(as_a, f"SELECT tenant_id FROM {table}") == {a}
        for query in (
            f"SELECT tenant_id FROM {table} WHERE tenant_id = '{b}'",
            f"SELECT tenant_id FROM {table} WHERE tenant_id <> '{a}' OR true AND tenant_id = '{b}'",
            f"WITH it AS MATERIALIZED (SELECT * FROM {table})"
            f" SELECT tenant_id FROM it WHERE tenant_id = '{b}'",
            f"SELECT other.tenant_id FROM {table} JOIN {table} AS other ON other.tenant_id = '{b}'",
            f"SELECT tenant_id FROM (SELECT * FROM {table} UNION ALL TABLE {table}) AS it"
            f" WHERE tenant_id = '{b}'",
            f"SELECT tenant_id FROM {table} WHERE tenant_id = '{b}' LIMIT 1",
        ):
            assert seen_tenants(as_a, query) == set(), query


def test_no_table_shows_anything_without_a_tenant(two: Two) -> None:
    for setting in (None, "", str(uuid.uuid4())):
        with psycopg.connect(two.a.database_url) as connection:
            connection.execute("SET ROLE hpts_app")
            if setting is not None:
                enter = "SELECT set_config('hpts.tenant_id', %s, true)"
                connection.execute(enter.encode(), (setting,))
            for table in two.tables:
                assert seen_tenants(connection, f"SELECT tenant_id FROM {table}") == set(), table


def test_the_setting_ends_with_its_transaction(two: Two, as_a: psycopg.Connection[Any]) -> None:
    assert seen_tenants(as_a, "SELECT tenant_id FROM loans") == {two.a.tenant_id}
    as_a.commit()
    assert seen_tenants(as_a, "SELECT tenant_id FROM loans") == set()


def test_copy_and_functions_show_only_the_tenants_own(
    two: Two, as_a: psycopg.Connection[Any]
) -> None:
    foreign = str(two.b.tenant_id)
    for table in two.tables:
        for source in (table, f"(SELECT * FROM {table})"):
            with as_a.cursor().copy(f"COPY {source} TO STDOUT".encode()) as copy:
                text = b"".join(bytes(part) for part in copy).decode()
            assert str(two.a.tenant_id) in text
            assert foreign not in text
        rows = as_a.execute(f"SELECT query_to_xml('TABLE {table}', true, true, '')".encode())
        assert foreign not in str(rows.fetchall())


def test_a_cheap_function_that_tells_what_it_was_given_is_told_nothing(
    two: Two, as_a: psycopg.Connection[Any]
) -> None:
    """It runs after the policy's condition, however little it claims to cost."""
    told: list[str] = []
    as_a.add_notice_handler(lambda notice: told.append(str(notice.message_primary)))
    as_a.execute(
        "CREATE FUNCTION pg_temp.tell(value text) RETURNS boolean LANGUAGE plpgsql COST 0.0001"
        " AS $$ BEGIN RAISE NOTICE '%', value; RETURN true; END $$"
    )
    for table in two.tables:
        as_a.execute(f"SELECT FROM {table} WHERE pg_temp.tell(tenant_id::text)".encode())
        as_a.execute(f"EXPLAIN ANALYZE SELECT FROM {table} AS t WHERE pg_temp.tell(t::text)")
    assert str(two.a.tenant_id) in told
    assert not any(str(two.b.tenant_id) in each for each in told)


def test_statistics_are_not_shown(two: Two, as_a: psycopg.Connection[Any]) -> None:
    with psycopg.connect(two.a.database_url, autocommit=True) as owner:
        owner.execute("ANALYZE loans, journal_entries, tenants")
    shown = as_a.execute("SELECT s::text FROM pg_stats AS s WHERE schemaname = 'public'").fetchall()
    assert str(two.b.tenant_id) not in str(shown)


def test_nothing_of_another_tenant_can_be_changed_or_added(
    two: Two, as_a: psycopg.Connection[Any]
) -> None:
    before = everything_of(two.b, two.tables)
    a, b = two.a.tenant_id, two.b.tenant_id
    for table in two.tables:
        for statement in (
            f"UPDATE {table} SET tenant_id = tenant_id WHERE tenant_id = '{b}'",
            f"UPDATE {table} SET tenant_id = '{b}'",
            f"DELETE FROM {table} WHERE tenant_id = '{b}'",
            f"INSERT INTO {table} SELECT (jsonb_populate_record(t,"
            f" jsonb_build_object('tenant_id', '{b}'))).* FROM {table} AS t",
            f"INSERT INTO {table} SELECT (jsonb_populate_record(t,"
            f" jsonb_build_object('tenant_id', '{b}'))).* FROM {table} AS t ON CONFLICT DO NOTHING",
            f"WITH gone AS (DELETE FROM {table} WHERE tenant_id = '{b}' RETURNING *)"
            " SELECT * FROM gone",
            f"SELECT FROM {table} WHERE tenant_id = '{b}' FOR UPDATE",
            f"COPY {table} FROM STDIN",
        ):
            as_a.execute("SAVEPOINT attempt")
            try:
                changed = as_a.execute(statement.encode()).rowcount
                assert changed == 0, statement
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported):
                as_a.execute("ROLLBACK TO attempt")
    as_a.commit()
    assert everything_of(two.b, two.tables) == before
    assert a != b
