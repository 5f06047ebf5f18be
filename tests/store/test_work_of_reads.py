"""How many rows a statement reads of books that have lived long: no more than its answer needs,
whatever else the tables hold. Counted in the plans as they ran, never timed."""

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from hpts.store.audit import NO_TENANT
from hpts.store.statements import sql
from hpts.store.wire import SESSION

TENANT = uuid.uuid4()
ENDPOINT = uuid.uuid4()
LOANS, ACCRUALS, DAYS = 30, 40, 20
PLENTY = 3_000
DEFAULTS = ("SET ROLE hpts_app",)
"""Sessions that leave the planner as it is."""
FIRST, LAST = uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)
IDENTIFIER = (
    "(lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0')"
    " || '7000' || '8000' || '000000000000')::uuid"
)
LONG_LIFE = (
    "CREATE TEMPORARY TABLE posted AS SELECT at, " + IDENTIFIER.format(at="at") + " AS entry_id,"
    " row_number() OVER (ORDER BY at) AS number, kind, day FROM ("
    " SELECT timestamptz '2026-01-01 02:00Z' + make_interval(days => day, secs => n) AS at,"
    " 'accrual' AS kind, date '2026-01-01' + day AS day"
    " FROM generate_series(0, {days} - 1) AS day, generate_series(1, {accruals}) AS n"
    " UNION ALL SELECT timestamptz '2026-02-01Z' + n * interval '1 second', 'manual_adjustment',"
    " date '2025-01-01' + n % {days} FROM generate_series(1, {plenty}) AS n) AS made",
    "INSERT INTO loans SELECT '{tenant}', md5(n::text)::uuid, gen_random_uuid(), 'USD', 1, 1, 1,"
    " '2026-01-31', '2026-01-31' FROM generate_series(1, {loans}) AS n",
    "INSERT INTO journal_entries SELECT '{tenant}', entry_id, kind, day, at, gen_random_uuid(),"
    " NULL, NULL, 'a', number::text, sha256(''), '{{}}', '', sha256('') FROM posted",
    "INSERT INTO journal_lines SELECT '{tenant}', entry_id, 1, NULL, side, 1000,"
    " (ARRAY['D', 'C'])[side]::\"char\", 'S', 'USD' FROM posted, generate_series(1, 2) AS side",
    "INSERT INTO account_day_totals"
    " SELECT DISTINCT '{tenant}'::uuid, 1000, 'USD', 'S'::\"char\", day, 0, 1, 1 FROM posted",
    "INSERT INTO entry_loans SELECT '{tenant}', md5(n::text)::uuid, entry_id, n, 1"
    " FROM posted, generate_series(1, {loans}) AS n"
    " WHERE kind = 'accrual' AND number % {loans} = n % {loans}",
    "INSERT INTO webhook_endpoints"
    " VALUES ('{tenant}', '{endpoint}', 'https://192.0.2.1/', '{{}}', '', NULL, NULL, now(), 'a')",
    "INSERT INTO webhook_cursors VALUES ('{tenant}', '{endpoint}', 1, 0, '')",
    "INSERT INTO ledger_heads VALUES ('{tenant}', 1, '', '')",
    "INSERT INTO webhook_deliveries SELECT '{tenant}', '{endpoint}', entry_id, number, 0,"
    " CASE number WHEN 1 THEN 'parked' WHEN 2 THEN 'held' ELSE 'delivered' END, 1, at, at"
    " FROM posted",
    "INSERT INTO bank_items SELECT '{tenant}', 'main', side::\"char\", entry_id, 1, 1, day, NULL,"
    " '{{}}', '', '', false, NULL, CASE side WHEN 'B' THEN sha256('') END, false"
    " FROM posted, unnest(ARRAY['B', 'L']) AS side",
    "INSERT INTO bank_matches SELECT '{tenant}', entry_id, 'main', number, 'manual', 'a', 1, day,"
    " day, at, 'a' FROM posted",
    "INSERT INTO bank_match_items"
    " SELECT tenant_id, source_id, side, source_id, sequence FROM bank_items",
    # as a restored database is, before it was looked at
    "DELETE FROM pg_statistic WHERE starelid = 'bank_matches'::regclass",
    "UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid = 'bank_matches'::regclass",
    "INSERT INTO audit_events SELECT tenant, " + IDENTIFIER.format(at="at") + ", n, at, 'l',"
    " CASE WHEN n <= 3 THEN 'key.accept' ELSE 'access.denied' END,"
    " CASE WHEN n <= 3 THEN 'allowed' ELSE 'refused' END, 'a', 's', 'key ' || n, NULL, NULL, 1,"
    " '{{\"issuer\": \"https://issuer\"}}', sha256(''), sha256('')"
    " FROM unnest(ARRAY['{tenant}', '{nobody}']::uuid[]) AS tenant,"
    " generate_series(1, {plenty}) AS n,"
    " LATERAL (SELECT timestamptz '2026-01-01Z' + n * interval '1 second' AS at) AS recorded",
)


@pytest.fixture(scope="module")
def aged(new_migrated_database: Callable[[], str]) -> Iterator[psycopg.Connection[Any]]:
    """A tenant with accruals by the day, a migration of PLENTY entries of earlier days, as many
    deliveries that went through after all, and as many refusals."""
    numbers = {"days": DAYS, "accruals": ACCRUALS, "plenty": PLENTY, "loans": LOANS}
    with psycopg.connect(new_migrated_database(), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in LONG_LIFE:
            made = statement.format(tenant=TENANT, endpoint=ENDPOINT, nobody=NO_TENANT, **numbers)
            connection.execute(made.encode())
        connection.execute("SET session_replication_role = origin")
        yield connection


def rows_read(
    connection: psycopg.Connection[Any],
    name: str,
    *values: object,
    tenant_id: uuid.UUID = TENANT,
    session: tuple[str, ...] = SESSION,
) -> dict[str, int]:
    """By table: the rows that scans of it gave or left out, and one for every scan."""
    connection.execute("RESET ALL")
    connection.execute("RESET ROLE")
    with connection.transaction(force_rollback=True):
        for setting in session:
            connection.execute(setting.encode())
        connection.execute("SELECT set_config('hpts.tenant_id', %s, true)", [str(tenant_id)])
        names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", sql(name))))
        text = re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", sql(name))
        connection.execute(f"PREPARE counted AS {text}".encode())
        try:
            marks = ", ".join(["%s"] * len(values))
            row = psycopg.ClientCursor(connection).execute(
                f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE counted ({marks})".encode(), values
            )
            ((((plan),),),) = row.fetchall()
        finally:
            connection.execute("DEALLOCATE counted")
    read: dict[str, int] = {}
    for node in nodes_of(plan["Plan"]):
        if "Relation Name" in node and "Scan" in node["Node Type"]:
            loops = node["Actual Loops"]
            removed = sum(
                node.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck")
            )
            rows = loops * (1 + node["Actual Rows"] + removed)
            read[node["Relation Name"]] = read.get(node["Relation Name"], 0) + rows
    return read


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes_of(child)


def test_an_accrual_of_an_earlier_day_asks_for_each_loan_once(
    aged: psycopg.Connection[Any],
) -> None:
    """A batch of the day that failed and is sent again when the next day's are posted."""
    loans = [uuid.UUID(row[0]) for row in aged.execute(
        "SELECT md5(n::text) FROM generate_series(1, %s) AS n", [LOANS]
    )]  # fmt: skip
    read = rows_read(aged, "find_accrued_loans", TENANT, loans, "2026-01-10")
    assert read["entry_loans"] <= 4 * LOANS
    assert read["journal_entries"] <= 3 * ACCRUALS


@pytest.mark.parametrize("status", ["parked", None])
def test_deliveries_of_a_status_are_found_without_the_others(
    aged: psycopg.Connection[Any], status: str | None
) -> None:
    read = rows_read(aged, "read_webhook_deliveries", TENANT, ENDPOINT, PLENTY * 9, 0, 20, status)
    assert 0 < read["webhook_deliveries"] <= 60


def test_what_is_open_is_found_without_what_was_delivered(aged: psycopg.Connection[Any]) -> None:
    read = rows_read(aged, "read_open_deliveries", TENANT, ENDPOINT, 0, -1, 500)
    assert 0 < read["webhook_deliveries"] <= 10


def test_the_lag_of_a_relay_is_counted_without_what_was_delivered(
    aged: psycopg.Connection[Any],
) -> None:
    read = rows_read(aged, "read_relay_lag", TENANT, session=DEFAULTS)
    assert 0 < read["webhook_deliveries"] <= 20


def test_a_page_of_matched_items_reads_those_of_its_matches(aged: psycopg.Connection[Any]) -> None:
    read = rows_read(aged, "walk_matched_bank_items", TENANT, "main", PLENTY * 9, 20, "B", FIRST, 0)
    assert 0 < read["bank_items"] <= 100
    assert 0 < read["bank_match_items"] <= 100


def test_an_event_is_looked_for_in_so_many_and_no_more(aged: psycopg.Connection[Any]) -> None:
    page = (TENANT, FIRST, LAST, 20)
    read = rows_read(aged, "read_audit_events", *page, "period.close", None, None, 100)
    assert 0 < read["audit_events"] <= 101
    read = rows_read(aged, "read_audit_events", *page, None, None, None, 20)
    assert 0 < read["audit_events"] <= 21


def test_the_issuers_keys_are_read_without_nobodys_refusals(aged: psycopg.Connection[Any]) -> None:
    read = rows_read(aged, "read_issuer_keys", NO_TENANT, "https://issuer", tenant_id=NO_TENANT,
                     session=DEFAULTS)  # fmt: skip
    assert 0 < read["audit_events"] <= 10


@pytest.mark.parametrize(
    ("day", "known_from"),
    [("2025-12-31", "2026-01-02"), ("2025-12-31", "2026-02-01"), ("2026-03-01", "2025-01-01")],
    ids=["before the migration", "within it", "all of it"],
)
def test_a_page_of_a_restatement_reads_no_migration(
    aged: psycopg.Connection[Any], day: str, known_from: str
) -> None:
    first, day_end = (
        aged.execute(f"SELECT {IDENTIFIER.format(at='%s::timestamptz')}".encode(), [at]).fetchone()
        for at in (known_from + "Z", day + " 24:00Z")
    )
    assert first is not None
    assert day_end is not None
    account = (TENANT, 1000, "USD", "S", day)
    page = (first[0], LAST, 10, day_end[0], 100)
    read = rows_read(aged, "read_restatement", *account, *page)
    assert 0 < read["journal_entries"] <= 100 + DAYS * 12 + 3 * 10
    assert read["journal_lines"] <= 3 * 100
