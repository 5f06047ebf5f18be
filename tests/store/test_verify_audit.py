"""Whatever a superuser changes, deletes, inserts or cuts off in the audit record is found."""

import io
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hpts.store.audit import NO_TENANT
from hpts.store.tenants import set_tenant_status
from hpts.store.verify import Verified, verify, verify_tenant
from hpts.store.verify_progress import VerifiedTenant

from .ledger_fixture import Books, disbursement, reversal
from .test_tampering import OTHER_VALUE, columns

AUDIT_CHECKS = {"audit_number", "audit_chain", "audit_hash", "audit_reversals"}


@pytest.fixture(scope="module")
def books(own_database_url: str) -> Books:
    """Six events: a tenant that was added, three reversals, and a suspension that ended."""
    books = Books(own_database_url)
    for _ in range(3):
        books.post(reversal(books.post(disbursement(uuid.uuid4(), 1_000))[0]))
    for status in ("suspended", "active"):
        set_tenant_status(own_database_url, books.tenant_id, status)
    return books


@pytest.fixture
def tampered(books: Books) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection past every trigger and check; the events are put back after."""
    with psycopg.connect(books.database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE audit_events DISABLE TRIGGER ALL")
        connection.execute("CREATE TABLE kept_events AS TABLE audit_events")
        for (name,) in connection.execute(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'audit_events'::regclass"
            " AND contype = 'c'"
        ).fetchall():
            connection.execute(f"ALTER TABLE audit_events DROP CONSTRAINT {name}".encode())
        yield connection
        put_back(connection)
        connection.execute("DROP TABLE kept_events")


def put_back(connection: psycopg.Connection[Any]) -> None:
    connection.execute("DELETE FROM audit_events")
    connection.execute("INSERT INTO audit_events TABLE kept_events")


def verified(books: Books, since: VerifiedTenant | None = None) -> Verified:
    return verify_tenant(books.database_url, books.tenant_id, since=since)


def found(books: Books, since: VerifiedTenant | None = None) -> dict[str, str]:
    return {finding.check: finding.row for finding in verified(books, since).findings}


def test_a_record_that_nobody_touched_is_sound(books: Books) -> None:
    result = verified(books)
    assert (result.findings, result.counts["audit events"]) == ([], 6)
    assert result.audit_head.startswith("6 ")


def test_every_changed_column_is_found(books: Books, tampered: psycopg.Connection[Any]) -> None:
    missed = []
    for column, kind in columns(tampered, "audit_events"):
        for number in (2, 6):
            value = OTHER_VALUE[kind].format(column=f"coalesce({column}, '')")
            if kind != "text":
                value = OTHER_VALUE[kind].format(column=column)
            changed = tampered.execute(
                f"UPDATE audit_events SET {column} = {value} WHERE event_number = %s"
                " AND tenant_id = %s".encode(),
                (number, books.tenant_id),
            )
            assert changed.rowcount == 1
            if not found(books).keys() & AUDIT_CHECKS:
                missed.append((column, number))
            put_back(tampered)
    # An event that is moved to another tenant is missing at the end only where it told of nothing.
    assert missed == [("tenant_id", 6)]


@pytest.mark.parametrize("number", range(1, 6))
def test_a_deleted_event_is_found(
    books: Books, tampered: psycopg.Connection[Any], number: int
) -> None:
    tampered.execute(
        "DELETE FROM audit_events WHERE event_number = %s AND tenant_id = %s",
        (number, books.tenant_id),
    )
    rows = found(books)
    assert rows["audit_number"].startswith(f"audit_events {number + 1} ")
    assert rows["audit_chain"] == rows["audit_number"]


def test_a_record_cut_off_at_its_end_is_found_where_it_told_of_a_reversal(
    books: Books, tampered: psycopg.Connection[Any]
) -> None:
    tampered.execute(
        "DELETE FROM audit_events WHERE event_number >= 4 AND tenant_id = %s", (books.tenant_id,)
    )
    ((last_reversal,),) = books.fetch(
        "SELECT journal_entry_id FROM journal_entries WHERE tenant_id = %s"
        " AND reverses_entry_id IS NOT NULL ORDER BY 1 DESC LIMIT 1"
    )
    assert found(books) == {"audit_reversals": f"journal_entries {last_reversal}"}


@pytest.mark.parametrize("first_deleted", [1, 6])
def test_a_record_cut_off_is_found_by_who_has_kept_its_end(
    books: Books, tampered: psycopg.Connection[Any], first_deleted: int
) -> None:
    since = verified(books).kept
    tampered.execute(
        "DELETE FROM audit_events WHERE event_number >= %s AND tenant_id = %s",
        (first_deleted, books.tenant_id),
    )
    assert found(books, since)["audit_number"] == "audit_events 6"


def test_an_inserted_event_is_found(books: Books, tampered: psycopg.Connection[Any]) -> None:
    tampered.execute(
        "INSERT INTO audit_events SELECT tenant_id, gen_random_uuid(), 7, recorded_at, recorded_by,"
        " action, outcome, actor, source, subject, problem_code, trace_id, occurrences, details,"
        " previous_hash, event_hash FROM audit_events WHERE event_number = 6 AND tenant_id = %s",
        (books.tenant_id,),
    )
    rows = found(books)
    assert {"audit_chain", "audit_hash"} <= rows.keys()
    assert rows["audit_hash"].startswith("audit_events 7 ")


def test_what_belongs_to_nobody_is_verified_too(
    books: Books, tampered: psycopg.Connection[Any], tmp_path: Path
) -> None:
    def verify_all() -> tuple[int, str]:
        out = io.StringIO()
        status = verify(books.database_url, None, out, tmp_path / "since")
        return status, out.getvalue().partition("no tenant\n")[2]

    tampered.execute("ALTER TABLE audit_events ENABLE TRIGGER audit_events_are_sealed")
    for _ in range(2):
        assert not set_tenant_status(books.database_url, uuid.uuid4(), "suspended")
    tampered.execute("ALTER TABLE audit_events DISABLE TRIGGER audit_events_are_sealed")
    status, printed = verify_all()
    assert (status, printed.split()[:4]) == (0, ["head:", "audit", "event", "2"])
    tampered.execute(
        "DELETE FROM audit_events WHERE tenant_id = %s AND event_number = 2", (NO_TENANT,)
    )
    status, printed = verify_all()
    assert status == 1
    assert "audit_events 2: was verified before and is missing" in printed
