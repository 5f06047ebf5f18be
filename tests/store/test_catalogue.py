"""What the catalogue promises of every table, also of one that is added later."""

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from .ledger_fixture import APPEND_ONLY, Books, disbursement

KNOWN = (
    "known_progress",
    "known_slices",
    "known_month_totals",
    "known_day_totals",
    "known_slice_totals",
)
SHARED = {"schema_migrations"}  # the one table that belongs to no tenant
TABLES = (
    "SELECT relname, relrowsecurity, relforcerowsecurity, relowner::regrole::text FROM pg_class"
    " WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace ORDER BY relname"
)


@pytest.fixture(scope="module")
def connection(own_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """As superuser, who is bound by no grant and no policy."""
    with psycopg.connect(own_database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def tables(connection: psycopg.Connection[Any]) -> list[tuple[str, bool, bool, str]]:
    return [row for row in connection.execute(TABLES.encode()).fetchall() if row[0] not in SHARED]


@pytest.fixture(scope="module")
def books(own_database_url: str) -> Books:
    made = Books(own_database_url)
    made.post(disbursement(uuid.uuid4(), 1_000))
    return made


@pytest.fixture
def app_url(connection: psycopg.Connection[Any], own_database_url: str) -> Iterator[str]:
    """A login with nothing but membership in hpts_app, as the API has in production."""
    name = f"api_{uuid.uuid4().hex}"
    connection.execute(f"CREATE ROLE {name} LOGIN IN ROLE hpts_app".encode())
    yield make_conninfo(own_database_url, user=name)
    connection.execute(f"DROP ROLE {name}".encode())


def fetch(connection: psycopg.Connection[Any], query: str, *values: Any) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode(), values or None).fetchall()


def test_the_tables_are_those_we_know_of(tables: list[tuple[str, bool, bool, str]]) -> None:
    assert {"tenants", "loans", *APPEND_ONLY} <= {name for name, *_ in tables}


def test_every_table_has_a_tenant_and_is_secured_by_row(
    connection: psycopg.Connection[Any], tables: list[tuple[str, bool, bool, str]]
) -> None:
    for name, is_secured, is_forced, owner in tables:
        columns = fetch(
            connection,
            "SELECT attname, atttypid::regtype::text, attnotnull FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum = 1",
            name,
        )
        assert columns == [("tenant_id", "uuid", True)], name
        assert is_secured and is_forced, f"{name}: row-level security is enabled and forced"
        assert owner == "hpts_owner"
        policies = fetch(
            connection,
            "SELECT polname, polcmd, polroles, pg_get_expr(polqual, polrelid) FROM pg_policy"
            " WHERE polrelid = %s::regclass AND polroles = '{0}'",
            name,
        )
        assert len(policies) == 1, f"{name}: one policy for everybody"
        assert policies[0][1] in ("*", b"*")
        assert "hpts.tenant_id" in policies[0][3]


def test_every_key_and_index_starts_with_the_tenant(
    connection: psycopg.Connection[Any], tables: list[tuple[str, bool, bool, str]]
) -> None:
    for name, *_ in tables:
        indexes = fetch(
            connection,
            "SELECT indexrelid::regclass::text, attname FROM pg_index"
            " LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]"
            " WHERE indrelid = %s::regclass",
            name,
        )
        assert indexes, f"{name} has a key"
        assert [row for row in indexes if row[1] != "tenant_id"] == []


def test_no_foreign_key_sequence_or_exclusion_crosses_tenants(
    connection: psycopg.Connection[Any],
) -> None:
    keys = fetch(
        connection,
        "SELECT conname FROM pg_constraint AS c WHERE contype = 'f' AND NOT EXISTS ("
        " SELECT FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1]"
        " AND attname = 'tenant_id')",
    )
    sequences = fetch(
        connection,
        "SELECT relname FROM pg_class WHERE relkind = 'S'"
        " AND relnamespace = 'public'::regnamespace",
    )
    assert (keys, sequences) == ([], [])


def test_every_constraint_is_named_by_us_as_a_sentence(
    connection: psycopg.Connection[Any],
) -> None:
    names = fetch(
        connection,
        "SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
        " AND contype IN ('p', 'u', 'c', 'f', 'x')",
    )
    made_up = ("_pkey", "_key", "_check", "_fkey", "_excl", "_idx", "_check1")
    assert [name for (name,) in names if name.endswith(made_up)] == []
    indexes = fetch(connection, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")
    assert [name for (name,) in indexes if name.endswith(made_up)] == []


def test_the_application_role_has_the_privileges_it_needs_and_no_other(
    connection: psycopg.Connection[Any],
) -> None:
    granted = fetch(
        connection,
        "SELECT table_name, string_agg(privilege_type, ' ' ORDER BY privilege_type)"
        " FROM information_schema.role_table_grants"
        " WHERE grantee IN ('hpts_app', 'PUBLIC') AND table_schema = 'public' GROUP BY table_name",
    )
    read, append, change = "SELECT", "INSERT SELECT", "INSERT SELECT UPDATE"
    assert dict(granted) == {
        "schema_migrations": read,
        "tenants": read,
        "accounts": read,
        "journal_entries": append,
        "journal_lines": append,
        "entry_loans": append,
        "ledger_blocks": append,
        "block_tiles": append,
        "audit_events": append,
        "ledger_heads": "SELECT UPDATE",
        "loans": change,
        "account_totals": change,
        "account_month_totals": change,
        "account_day_totals": change,
        "reconciliation_results": change,
        "admin_requests": append,
        "bank_accounts": append,
        "bank_account_identifiers": append,
        "bank_cursors": change,
        "bank_statements": append,
        "bank_items": append,
        "bank_open_items": "DELETE INSERT SELECT",
        "bank_matches": append,
        "bank_match_items": append,
        "bank_match_undos": append,
        "webhook_endpoints": change,
        "webhook_cursors": change,
        "webhook_deliveries": "DELETE INSERT SELECT UPDATE",
        "reconciliation_sums": f"DELETE {change}",
        "reconciliation_loans": f"DELETE {change}",
        "reconciliation_progress": change,
        "period_records": append,
        **dict.fromkeys(KNOWN, f"DELETE {change}"),
        "moved_accruals": append,
    }


def test_the_roles_can_do_nothing_beside(connection: psycopg.Connection[Any]) -> None:
    for role in ("hpts_app", "hpts_owner"):
        attributes = fetch(
            connection,
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin"
            " FROM pg_roles WHERE rolname = %s",
            role,
        )
        assert attributes == [(False,) * 6], role
        memberships = "SELECT FROM pg_auth_members WHERE member = %s::regrole"
        assert fetch(connection, memberships, role) == []
    owns = "SELECT FROM pg_shdepend WHERE refobjid = 'hpts_app'::regrole AND deptype = 'o'"
    assert fetch(connection, owns) == []


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE hpts_owner",
        "SET SESSION AUTHORIZATION hpts_owner",
        "SET session_replication_role = replica",
        "ALTER TABLE loans DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE loans NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE journal_entries DISABLE TRIGGER entries_are_append_only",
        "DROP POLICY tenant_sees_its_own ON loans",
        "DROP TABLE loans",
        "CREATE POLICY all_of_it ON loans USING (true)",
        "CREATE TABLE public.mine (id integer)",
        "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE TRIGGER mine BEFORE INSERT ON loans EXECUTE FUNCTION refuse_change()",
        "GRANT hpts_owner TO CURRENT_USER",
        "ALTER ROLE CURRENT_USER BYPASSRLS",
        "CREATE ROLE mine",
        "UPDATE tenants SET status = 'active'",
        "INSERT INTO tenants (tenant_id, name) VALUES (gen_random_uuid(), 'mine')",
        "DELETE FROM loans",
        "DELETE FROM ledger_heads",
        "TRUNCATE loans",
        *(f"UPDATE {table} SET tenant_id = tenant_id" for table in APPEND_ONLY),
        *(f"DELETE FROM {table}" for table in APPEND_ONLY),
        *(f"TRUNCATE {table}" for table in APPEND_ONLY),
        "COPY journal_entries TO PROGRAM 'true'",
        "UPDATE schema_migrations SET version = 0",
    ],
)
def test_a_login_with_only_the_application_role_cannot(app_url: str, statement: str) -> None:
    with psycopg.connect(app_url) as connection, pytest.raises(psycopg.Error) as raised:
        connection.execute(statement.encode())
    assert isinstance(
        raised.value,
        psycopg.errors.InsufficientPrivilege | psycopg.errors.DuplicateObject,
    )


def test_switching_row_security_off_shows_nothing_more(app_url: str, books: Books) -> None:
    with psycopg.connect(app_url, autocommit=True) as connection:
        connection.execute("SET row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT FROM loans")


@pytest.mark.parametrize("role", ["hpts_owner", "postgres"])
@pytest.mark.parametrize("replication", ["origin", "replica"])
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_the_journal_is_append_only_even_to_its_owner_and_a_superuser(
    own_database_url: str, books: Books, table: str, replication: str, role: str
) -> None:
    for change in (f"UPDATE {table} SET tenant_id = tenant_id", f"DELETE FROM {table}"):
        for statement in (change, f"TRUNCATE {table}"):
            with psycopg.connect(own_database_url) as connection:
                connection.execute(f"SET session_replication_role = {replication}".encode())
                superuser = fetch(connection, "SELECT current_user")[0][0]
                wanted = superuser if role == "postgres" else role
                connection.execute(f"SET ROLE {wanted}".encode())
                tenant = "SELECT set_config('hpts.tenant_id', %s, true)"
                connection.execute(tenant.encode(), (str(books.tenant_id),))
                with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
                    connection.execute(statement.encode())


@pytest.mark.parametrize(
    "lines",
    [
        [(5, 1, "D", "S", "USD")],
        [(5, 1, "D", "S", "USD"), (4, 2, "C", "S", "USD")],
        [(5, 1, "D", "S", "USD"), (5, 2, "C", "S", "EUR")],
        [(5, 1, "D", "S", "USD"), (5, 2, "C", "P", "USD")],
        [(5, 1, "D", "S", "USD"), (5, 2, "D", "S", "USD")],
    ],
    ids=["one line", "other amount", "other currency", "other layer", "same side"],
)
@pytest.mark.parametrize("replication", ["origin", "replica"])
def test_the_database_refuses_an_entry_that_does_not_balance(
    own_database_url: str, lines: list[tuple[Any, ...]], replication: str
) -> None:
    rows = ", ".join(
        f"(%(t)s, %(e)s, {amount}, NULL, {sequence}, 1000, '{side}', '{layer}', '{currency}')"
        for amount, sequence, side, layer, currency in lines
    )
    with psycopg.connect(own_database_url) as connection:
        connection.execute(f"SET session_replication_role = {replication}".encode())
        with pytest.raises(psycopg.errors.CheckViolation, match="debits and credits"):
            connection.execute(
                f"INSERT INTO journal_lines VALUES {rows}".encode(),
                {"t": uuid.uuid4(), "e": uuid.uuid4()},
            )
