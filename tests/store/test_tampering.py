"""Every column of every table of the journal, as the catalogue lists them: whatever a superuser
changes, deletes or inserts past all triggers and checks is found, and the finding names the row.
"""

import random
import re
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from hpts.domain.blocks import principals_digest
from hpts.store.verify import verify_tenant

from .ledger_fixture import (
    Books,
    accrual,
    days_ago,
    disbursement,
    payment,
    reversal,
)
from .verify_story import ONE, THREE, TWO

KEYS = {
    "journal_entries": ("journal_entry_id",),
    "journal_lines": ("journal_entry_id",),
    "entry_loans": ("journal_entry_id",),
    "ledger_blocks": ("block_number", "first_entry_id"),
    "ledger_heads": ("tenant_id",),
    "block_tiles": ("tile_number",),
    "account_totals": ("account_code",),
    "account_month_totals": ("account_code",),
    "account_day_totals": ("account_code",),
    "loans": ("loan_id",),
}
"""What names a row: a finding says it, as it was before the change or after."""
OTHER_VALUE = {
    "uuid": "gen_random_uuid()",
    "text": "{column} || 'x'",
    "date": "{column} + 32",
    "timestamptz": "{column} + interval '1 microsecond'",
    "bytea": "sha256({column})",
    "json": "'{{\"another\":1}}'::json",
    "char": 'chr(ascii({column}::text) + 1)::"char"',
    "int2": "{column} + 777",
    "int4": "{column} + 777",
    "int8": "{column} + 777",
}
FOR_NULL = {"uuid": "gen_random_uuid()", "date": "date '2020-02-29'", "int8": "77"}
ELSEWHERE = {
    "audit_events": "test_verify_audit.py",
    "period_records": "test_verify_periods.py",
    "accounts": "test_verify_beside.py",
    "moved_accruals": "test_verify_beside.py",
    "tenants": "test_verify_beside.py; when one was made is only shown",
}
"""Tables whose every column another module changes."""
NOT_VERIFIED = {
    "reconciliation_results": "what was found, found again by the next run",
    "reconciliation_sums": "worked out again by a full run",
    "reconciliation_loans": "worked out again by a full run",
    "reconciliation_progress": "how far a run has come",
    "known_progress": "worked out of the journal",
    "known_slices": "worked out of the journal",
    "known_month_totals": "worked out of the journal",
    "known_day_totals": "worked out of the journal",
    "known_slice_totals": "worked out of the journal",
    "admin_requests": "replies of idempotency keys; what they did is an audit event",
    "bank_accounts": "append-only; the bank's word, not the journal's",
    "bank_account_identifiers": "append-only; the bank's word",
    "bank_statements": "append-only; the bank has the file",
    "bank_items": "append-only; the bank has the file",
    "bank_matches": "append-only; each is an audit event, which is verified",
    "bank_match_items": "append-only; belongs to a match",
    "bank_match_undos": "append-only; each is an audit event, which is verified",
    "webhook_cursors": "what is sent to subscribers, no part of the books",
    "webhook_deliveries": "what is sent to subscribers, no part of the books",
    "webhook_endpoints": "what is sent to subscribers, no part of the books",
    "bank_cursors": "how far the ledger was read",
    "bank_open_items": "worked out of statements, journal and matches",
}
"""What `hpts verify` does not hold against the chain, and why. A new table must stand somewhere."""
NOT_HELD = {("account_totals", "stripe"), ("account_month_totals", "stripe")} | {
    ("account_day_totals", "stripe")
}
"""Which stripe holds a part of a total says nothing: readers add the stripes up."""


class Tampering:
    """Books without checks of the database, and changes to them that can be taken back."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.connection = psycopg.connect(books.database_url, autocommit=True)
        self.connection.execute("SET session_replication_role = replica")
        for table in KEYS:
            self._let_everything_in(table)
            self.connection.execute(f"CREATE TABLE kept_{table} AS TABLE {table}".encode())

    def _let_everything_in(self, table: str) -> None:
        self.connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
        checks = self.connection.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'",
            (table,),
        ).fetchall()
        for (name,) in checks:
            self.connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}".encode())
        for (name,) in self.connection.execute(
            "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = %s::regclass"
            " AND indisunique AND NOT indisprimary",
            (table,),
        ).fetchall():
            self.connection.execute(
                f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}".encode()
            )
            self.connection.execute(f"DROP INDEX IF EXISTS {name}".encode())
        for column, _ in columns(self.connection, table):
            if column not in keys_of(self.connection, table):
                statement = f"ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL"
                self.connection.execute(statement.encode())

    def put_back(self, table: str) -> None:
        """Only what is not as it was: rows written anew each time would leave so many dead ones
        that every verification after it takes longer."""
        self.connection.execute(
            f"DELETE FROM {table} AS now WHERE now::text NOT IN"
            f" (SELECT kept::text FROM kept_{table} AS kept)".encode()
        )
        self.connection.execute(
            f"INSERT INTO {table} SELECT kept.* FROM kept_{table} AS kept WHERE kept::text NOT IN"
            f" (SELECT now::text FROM {table} AS now)".encode()
        )

    def put_all_back(self) -> None:
        for table in KEYS:
            self.put_back(table)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The tenant's rows with their places (ctid), in a fixed order."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(
                f"SELECT ctid::text, * FROM {table} WHERE tenant_id = %s"
                f" ORDER BY {', '.join(keys_of(self.connection, table))}".encode(),
                (self.books.tenant_id,),
            )
            return cursor.fetchall()

    def findings(self) -> list[str]:
        verified = verify_tenant(self.books.database_url, self.books.tenant_id)
        return [f"{finding.row}: {finding.message}" for finding in verified.findings]


def columns(connection: psycopg.Connection[Any], table: str) -> list[tuple[str, str]]:
    """Columns with their types, from the catalogue."""
    return connection.execute(
        "SELECT attname::text, typname::text FROM pg_attribute JOIN pg_type ON pg_type.oid ="
        " atttypid WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " ORDER BY attnum",
        (table,),
    ).fetchall()


def keys_of(connection: psycopg.Connection[Any], table: str) -> list[str]:
    rows = connection.execute(
        "SELECT attname::text FROM pg_index JOIN pg_attribute ON attrelid = indrelid"
        " AND attnum = ANY (indkey) WHERE indrelid = %s::regclass AND indisprimary",
        (table,),
    )
    return [name for (name,) in rows]


def test_every_table_is_tampered_with_or_named_as_not_verified(own_database_url: str) -> None:
    with psycopg.connect(own_database_url) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace"
        ).fetchall()
    places = [*KEYS, *ELSEWHERE, *NOT_VERIFIED]
    known = {"schema_migrations", *(f"kept_{table}" for table in KEYS)}
    assert sorted(places) == sorted({name for (name,) in rows} - known)


@pytest.fixture
def tampering(books: Tampering) -> Iterator[Tampering]:
    yield books
    books.put_all_back()


def lent_books(database_url: str, minor_of_two: int) -> Books:
    """Books with three loans, one of them in euros, and interest on the others."""
    books = Books(database_url)
    books.post(
        disbursement(ONE, 100_000, on=days_ago(40)),
        disbursement(TWO, minor_of_two, on=days_ago(40)),
        disbursement(THREE, 70, currency="EUR"),
    )
    books.post(accrual({ONE: 30, TWO: 15}, on=days_ago(20)))
    return books


@pytest.fixture(scope="module")
def books(own_database_url: str) -> Iterator[Tampering]:
    books = lent_books(own_database_url, 500)
    paid = books.post(payment(ONE, 430), payment(TWO, 700))
    books.post(reversal(paid[0]))
    books.post(reversal(books.post(accrual({ONE: 7, TWO: 8}))[0]))
    books.post_each(*(payment(ONE, 1) for _ in range(256)))  # until a tile of the tree is full
    made = Tampering(books)
    assert made.findings() == []
    yield made
    made.connection.close()


def is_named(findings: list[str], table: str, *rows: dict[str, Any]) -> bool:
    """Whether a finding names the row by what it is known by, before or after: an identifier
    wherever it stands, a number beside the table's name only."""
    known = {row[key] for row in rows for key in KEYS[table]}
    names = [
        str(name) if isinstance(name, uuid.UUID) else f"{table}\\b.*\\b0*{name}" for name in known
    ]
    return any(re.search(rf"\b{name}\b", finding) for name in names for finding in findings)


@pytest.mark.parametrize("table", KEYS)
def test_every_changed_column_is_found(tampering: Tampering, table: str, seed: int) -> None:
    drawn = random.Random(f"{seed} {table}")
    missed = []
    for column, kind in columns(tampering.connection, table):
        if (table, column) in NOT_HELD:
            continue
        rows = tampering.rows(table)
        for what, row in cases(
            tampering, table, column, kind, drawn.sample(rows, min(2, len(rows)))
        ):
            findings = tampering.findings()
            after = [one for one in tampering.rows(table) if one not in rows]
            if not is_named(findings, table, row, *after):
                missed.append((column, what, row, findings))
            tampering.put_back(table)
            rows = tampering.rows(table)
    assert missed == []
    assert tampering.findings() == []


def cases(
    tampering: Tampering, table: str, column: str, kind: str, rows: list[dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Change the column of some rows, one after the other, to other values and to NULL."""
    is_key = column in keys_of(tampering.connection, table)
    for row in rows:
        if row[column] is None:
            values = [FOR_NULL[kind]]
        else:
            values = [OTHER_VALUE[kind].format(column=column)] + ([] if is_key else ["NULL"])
        for value in values:
            statement = f"UPDATE {table} SET {column} = {value} WHERE tenant_id = %s AND {{key}}"
            update(tampering, table, row, statement)
            yield value, row


def update(tampering: Tampering, table: str, row: dict[str, Any], statement: str) -> None:
    keys = keys_of(tampering.connection, table)
    key = " AND ".join(f"{name} = %({name})s" for name in keys)
    text = statement.replace("tenant_id = %s AND {key}", key)
    changed = tampering.connection.execute(text.encode(), {name: row[name] for name in keys})
    assert changed.rowcount == 1, text


@pytest.mark.parametrize("table", KEYS)
def test_every_deleted_row_is_found(tampering: Tampering, table: str, seed: int) -> None:
    drawn = random.Random(f"{seed} {table}")
    rows = tampering.rows(table)
    for row in drawn.sample(rows, min(4, len(rows))):
        update(tampering, table, row, f"DELETE FROM {table} WHERE tenant_id = %s AND {{key}}")
        assert is_named(tampering.findings(), table, row), row
        tampering.put_back(table)


@pytest.mark.parametrize("table", sorted(KEYS.keys() - {"ledger_heads"}))
def test_every_pair_of_reordered_rows_is_found(tampering: Tampering, table: str, seed: int) -> None:
    """Two rows change places: each has the other's columns, all but those of its primary key."""
    drawn = random.Random(f"{seed} {table}")
    keys = keys_of(tampering.connection, table)
    names = [
        name
        for name, _ in columns(tampering.connection, table)
        if name not in keys and (table, name) not in NOT_HELD
    ]
    rows = tampering.rows(table)
    pairs = [
        (one, other)
        for one in drawn.sample(rows, min(8, len(rows)))
        for other in drawn.sample(rows, min(8, len(rows)))
        if any(one[name] != other[name] for name in names)
    ]
    assert pairs or table in ("entry_loans", "block_tiles"), "no two rows differ"
    for one, other in pairs[:2]:
        listed = ", ".join(names)
        changed = tampering.connection.execute(
            f"UPDATE {table} AS row SET ({listed}) = (SELECT {listed} FROM {table} AS other"
            " WHERE other.ctid = CASE row.ctid WHEN %(one)s::tid THEN %(other)s::tid"
            f" ELSE %(one)s::tid END) WHERE ctid IN (%(one)s::tid, %(other)s::tid)".encode(),
            {"one": one["ctid"], "other": other["ctid"]},
        )
        assert changed.rowcount == 2
        assert is_named(tampering.findings(), table, one, other), (one, other)
        tampering.put_back(table)
        ctids = {key_of(row, keys): row["ctid"] for row in tampering.rows(table)}
        for row in rows:
            row["ctid"] = ctids[key_of(row, keys)]


def key_of(row: dict[str, Any], keys: list[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in keys)


INSERTED = {
    "journal_entries": {"journal_entry_id": "gen_random_uuid()"},
    "journal_lines": {"sequence": "sequence + 100"},
    "entry_loans": {"sequence": "sequence + 100"},
    "ledger_blocks": {"block_number": "block_number + 1000"},
    "block_tiles": {"tile_number": "tile_number + 7"},
    "account_totals": {"stripe": "stripe + 100"},
    "account_month_totals": {"stripe": "stripe + 100"},
    "account_day_totals": {"stripe": "stripe + 100"},
    "loans": {"loan_id": "gen_random_uuid()"},
}
"""What must differ in a copy of a row for it to fit in beside it."""


@pytest.mark.parametrize("table", INSERTED)
def test_every_inserted_row_is_found(tampering: Tampering, table: str, seed: int) -> None:
    drawn = random.Random(f"{seed} {table}")
    row = drawn.choice(tampering.rows(table))
    names = [name for name, _ in columns(tampering.connection, table)]
    values = ", ".join(INSERTED[table].get(name, name) for name in names)
    copy = f"INSERT INTO {table} SELECT {values} FROM {table} WHERE tenant_id = %s AND {{key}}"
    known = [key_of(one, keys_of(tampering.connection, table)) for one in tampering.rows(table)]
    update(tampering, table, row, copy)
    (inserted,) = (
        one
        for one in tampering.rows(table)
        if key_of(one, keys_of(tampering.connection, table)) not in known
    )
    assert is_named(tampering.findings(), table, inserted), inserted
    tampering.put_back(table)


def test_totals_recomputed_to_hide_a_changed_amount_hide_nothing(tampering: Tampering) -> None:
    """A payment's lines, the loan and every total say one minor unit more; the hash does not."""
    books = tampering.books
    tables = ("journal_lines", "loans", "account_totals", "account_month_totals")
    ((entry,),) = books.fetch(
        "SELECT journal_entry_id FROM journal_entries WHERE tenant_id = %s"
        " AND event_type = 'disbursement' AND loan_id = %s",
        TWO,
    )
    lines = tampering.connection.execute(
        "UPDATE journal_lines SET amount_minor = amount_minor + 1 WHERE tenant_id = %s"
        " AND journal_entry_id = %s RETURNING account_code, direction::text",
        (books.tenant_id, entry),
    ).fetchall()
    sides = [
        (code, "debit_minor" if direction == "D" else "credit_minor") for code, direction in lines
    ]
    tampering.connection.execute(
        "UPDATE loans SET principal_minor = principal_minor + 1 WHERE tenant_id = %s"
        " AND loan_id = %s",
        (books.tenant_id, TWO),
    )
    day = days_ago(40)
    for code, side in sides:
        for table, period in (
            ("account_totals", ""),
            ("account_month_totals", f" AND month = '{day.replace(day=1)}'"),
            ("account_day_totals", f" AND effective_at = '{day}'"),
        ):
            changed = tampering.connection.execute(
                f"UPDATE {table} SET {side} = {side} + 1 WHERE (tenant_id, account_code, currency,"
                f" layer, stripe) = (SELECT tenant_id, account_code, currency, layer, stripe"
                f" FROM {table} WHERE tenant_id = %s AND account_code = {code} AND currency = 'USD'"
                f" {period} LIMIT 1) {period}".encode(),
                (books.tenant_id,),
            )
            assert changed.rowcount == 1
    findings = tampering.findings()
    for table in (*tables, "account_day_totals"):
        tampering.put_back(table)
    assert len(findings) == 1
    assert findings[0].startswith(f"journal_entries {entry}: the entry or its lines are not")


def test_what_an_accrual_was_computed_on_is_covered_by_its_details() -> None:
    one, two = uuid.UUID(int=1).bytes, uuid.UUID(int=2).bytes
    digest = principals_digest([(one, 5), (two, 10**19)])
    assert digest == principals_digest([(one, 5), (two, 10**19)])
    assert len({digest, principals_digest([(two, 5), (one, 10**19)])}) == 2
