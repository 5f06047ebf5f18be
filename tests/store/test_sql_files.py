"""Every SQL file: a header, one statement, keywords upper, valid, used, planned well."""

import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hpts.store.statements import READER_STATEMENTS, WRITER_STATEMENTS, sql
from hpts.store.wire import SESSION

NAMES = sorted(
    file.name.removesuffix(".sql")
    for file in files("hpts.store.sql").iterdir()
    if file.name.endswith(".sql")
)
PREPARED = sorted({*WRITER_STATEMENTS, *READER_STATEMENTS})
UTILITY = {"begin_writing", "commit", "roll_back", "create_roles", "create_schema_migrations"}
TWO_STATEMENTS = {"create_schema_migrations"}  # a table and its grant
JOURNAL = {"journal_entries", "journal_lines", "entry_loans", "loans"}
KEYED = JOURNAL | {"account_totals", "account_month_totals", "account_day_totals"}
BANK = {"bank_items", "bank_open_items", "bank_matches", "bank_match_items"}
ASKED = (
    "close_bank_items",
    "collect_cash_lines",
    "count_bank_lines",
    "find_admin_request",
    "find_open_bank_items",
    "fold_blocks",
    "insert_bank_matches",
    "read_bank_match",
    "read_blocks_to_fold",
    "read_open_bank_items",
    "read_refused_bank_items",
    "reopen_bank_items",
    "sum_open_bank_items",
    "walk_matched_bank_items",
    "walk_open_bank_items",
)
"""What the API and who matches and folds ask of large tables without preparing it, in sessions of
the same settings."""
KEYWORDS = re.compile(
    r"\b(select|from|where|insert|into|update|set|values|join|left|on|conflict|returning|order|group"
    r"|by|limit|lateral|union|with|as|and|or|not|null|create|table|begin|commit|rollback|exists|case"
    r"|when|then|else|end|for|skip|locked|distinct|cross|full|using|having|filter|any)\b"
)


def code_of(name: str) -> str:
    """The statement without comments and without what stands in quotes."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|--[^\n]*", "", sql(name))


@pytest.fixture(scope="module")
def connection(own_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A freshly migrated, empty database as the wires use it."""
    with psycopg.connect(own_database_url, autocommit=True) as opened:
        for statement in SESSION:
            opened.execute(statement.encode())
        yield opened


@pytest.mark.parametrize("name", NAMES)
def test_a_file_opens_with_a_header_and_holds_one_statement(name: str) -> None:
    text = sql(name)
    assert re.match(r"-- \S", text), "says who calls it"
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert all(len(line) <= 110 for line in text.splitlines())
    if "$$" not in text:
        statements = [part for part in code_of(name).split(";") if part.strip()]
        assert len(statements) == (2 if name in TWO_STATEMENTS else 1)


@pytest.mark.parametrize("name", NAMES)
def test_keywords_are_upper_case(name: str) -> None:
    assert KEYWORDS.findall(code_of(name)) == []


@pytest.mark.parametrize("name", NAMES)
def test_columns_are_listed(name: str) -> None:
    assert not re.search(r"SELECT \*", code_of(name))
    for target in re.findall(r"INSERT INTO \w+(?: AS \w+)?\s*(\S)", code_of(name)):
        assert target == "("


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_used(name: str) -> None:
    package = Path(str(files("hpts")))
    uses = re.compile(rf'"{name}"' + (r'|f"walk_\{' if name.endswith("_totals") else ""))
    found = [path for path in package.rglob("*.py") if uses.search(path.read_text())]
    assert [path for path in found if path.name != "statements.py"], f"nothing runs {name}.sql"


def test_every_statement_that_is_prepared_has_a_file() -> None:
    assert set(PREPARED) <= set(NAMES)
    assert len(set(WRITER_STATEMENTS)) == len(WRITER_STATEMENTS)
    assert len(set(READER_STATEMENTS)) == len(READER_STATEMENTS)


def numbered(text: str) -> str:
    """Named parameters as $1, $2, ..."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
    return re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", text)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in UTILITY])
def test_a_file_prepares_against_the_migrated_schema(
    connection: psycopg.Connection[Any], name: str
) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("RESET ROLE")
        connection.execute(f"PREPARE checked AS {numbered(sql(name))}".encode())
        connection.execute("DEALLOCATE checked")


@pytest.mark.parametrize("name", sorted(UTILITY - {"commit", "roll_back"}))
def test_a_file_that_cannot_be_prepared_runs(own_database_url: str, name: str) -> None:
    with psycopg.connect(own_database_url, autocommit=True) as opened:
        if name == "create_schema_migrations":
            opened.execute("SET ROLE hpts_owner")
        opened.execute(sql(name).encode())
        if name == "begin_writing":
            opened.execute(sql("commit").encode())
            opened.execute(sql("begin_writing").encode())
            opened.execute(sql("roll_back").encode())


def explain(connection: psycopg.Connection[Any], name: str) -> dict[str, Any]:
    """The generic plan of a prepared statement."""
    text = numbered(sql(name))
    count = max((int(n) for n in re.findall(r"\$(\d+)", text)), default=0)
    arguments = f"({', '.join(['NULL'] * count)})" if count else ""
    connection.execute(f"PREPARE planned AS {text}".encode())
    try:
        row = connection.execute(f"EXPLAIN (FORMAT JSON) EXECUTE planned{arguments}".encode())
        ((((plan),),),) = row.fetchall()
        return dict(plan["Plan"])
    finally:
        connection.execute("DEALLOCATE planned")


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes_of(child)


def columns_beyond_tenant(condition: str) -> set[str]:
    return set(re.findall(r"\(+(?:\w+\.)?(\w+) ", condition)) - {"tenant_id", "SELECT"}


PLANNED = [*(name for name in PREPARED if name not in UTILITY), *ASKED]


SMALL_TENANTS = 3_000
CROWD = (
    "INSERT INTO loans SELECT md5((n / 2)::text)::uuid, gen_random_uuid(), gen_random_uuid(),"
    " 'USD', 1, 1, 1, '2000-01-01', '2000-01-01' FROM generate_series(0, %(rows)s - 1) AS n",
    "INSERT INTO journal_entries SELECT tenant_id, gen_random_uuid(), 'payment_received',"
    " '2000-01-01', '2000-01-01', gen_random_uuid(), NULL, loan_id, '', loan_id::text, sha256(''),"
    " '{}', '', sha256('') FROM loans",
    "INSERT INTO journal_lines SELECT tenant_id, journal_entry_id, 1, loan_id, side, 1000,"
    " (ARRAY['D', 'C'])[side]::\"char\", 'S', 'USD'"
    " FROM journal_entries, generate_series(1, 2) AS side",
    "INSERT INTO entry_loans"
    " SELECT tenant_id, loan_id, journal_entry_id, 1, 1 FROM journal_entries",
    "INSERT INTO bank_items SELECT tenant_id, 'main', side::\"char\", journal_entry_id, 1, 1,"
    " '2000-01-01', NULL, '{}', '', '', false, NULL, CASE side WHEN 'B' THEN sha256('') END, false"
    " FROM journal_entries, unnest(ARRAY['B', 'L']) AS side",
    "INSERT INTO bank_open_items SELECT tenant_id, bank_account_ref, item_date, side, source_id,"
    " sequence, amount_minor FROM bank_items",
    "INSERT INTO bank_matches SELECT md5('one')::uuid, journal_entry_id, 'main',"
    " row_number() OVER (), 'manual', 'crowd', 1, '2000-01-01', '2000-01-01', now(), 'crowd'"
    " FROM journal_entries",
    "INSERT INTO bank_match_items"
    " SELECT md5('one')::uuid, source_id, side, source_id, sequence FROM bank_items",
)
"""Two loans each, an entry of two lines for every loan, and what the bank and the ledger have of
it; only one tenant has matched what it has."""


@pytest.fixture(scope="module")
def crowded(new_migrated_database: Callable[[], str]) -> Iterator[psycopg.Connection[Any]]:
    """A session of the API where statistics know of nothing but many small tenants."""
    with psycopg.connect(new_migrated_database(), autocommit=True) as opened:
        for statement in CROWD:
            opened.execute(statement.encode(), {"rows": 2 * SMALL_TENANTS})
        opened.execute(f"ANALYZE {', '.join(sorted(JOURNAL | BANK))}".encode())
        for setting in SESSION:
            opened.execute(setting.encode())
        yield opened


def check_probes(connection: psycopg.Connection[Any], name: str) -> None:
    for node in nodes_of(explain(connection, name)):
        kind = node["Node Type"]
        assert kind not in ("Hash Join", "Merge Join"), node
        if node.get("Relation Name") in KEYED | BANK and "Scan" in kind and kind != "Tid Scan":
            assert kind != "Seq Scan", node
            probe = node["Plans"][0] if kind == "Bitmap Heap Scan" else node
            assert columns_beyond_tenant(probe.get("Index Cond", "")), node


@pytest.mark.parametrize("name", PLANNED)
def test_a_plan_made_on_the_empty_database_probes_whole_keys(
    connection: psycopg.Connection[Any], name: str
) -> None:
    """A plan is kept while the tables grow: one that scans a tenant gets slower day by day."""
    check_probes(connection, name)


@pytest.mark.parametrize("name", PLANNED)
def test_a_plan_made_among_many_small_tenants_probes_whole_keys(
    crowded: psycopg.Connection[Any], name: str
) -> None:
    """One tenant among them may be large: a plan that scans a tenant would read all its rows."""
    check_probes(crowded, name)


def test_the_plans_do_touch_the_journal(connection: psycopg.Connection[Any]) -> None:
    """Guards the test above: were nodes named otherwise, it would check nothing."""
    probed = {
        node.get("Relation Name")
        for name in PLANNED
        for node in nodes_of(explain(connection, name))
        if "Scan" in node["Node Type"]
    }
    assert probed >= KEYED | BANK
