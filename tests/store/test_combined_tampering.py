"""Several rows or tables changed together, and rows of two tenants exchanged: each is found, and a
finding names what was touched. What brings every hash in line is in test_forgeries.py.
"""

import uuid
from typing import NamedTuple

import psycopg
import pytest

from hpts.store.verify import verify_tenant
from hpts.store.verify_progress import VerifiedTenant

from .ledger_fixture import APPEND_ONLY, Books, accrual, days_ago, disbursement, payment, reversal
from .period_changes import close

ONE, TWO, THREE = (uuid.UUID(int=number << 100) for number in (1, 2, 3))
JOURNAL = ("journal_entries", "journal_lines", "entry_loans", "ledger_blocks", "ledger_heads")
TOTALS = ("account_totals", "account_month_totals", "account_day_totals")


class Pair(NamedTuple):
    """Two tenants whose books are alike, and what a verification of the first kept."""

    books: Books
    other: Books
    kept: VerifiedTenant
    paid: list[uuid.UUID]
    """Two payments of equal amounts, of different loans, in one block; and one in another."""

    def tamper(self, *statements: str, **parameters: object) -> None:
        """As superuser past every trigger; %(a)s and %(b)s are the tenants."""
        values = {"a": self.books.tenant_id, "b": self.other.tenant_id, **parameters}
        with psycopg.connect(self.books.database_url) as connection:
            connection.execute("SET session_replication_role = replica")
            for table in APPEND_ONLY:
                connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL".encode())
            for statement in statements:
                changed = connection.execute(statement.encode(), values)
                assert changed.rowcount > 0, f"changed nothing: {statement}"
            for table in APPEND_ONLY:
                connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL".encode())

    def findings(self, books: Books | None = None) -> list[str]:
        """Of a full verification; one since before tells, too."""
        chosen = self.books if books is None else books
        verified = verify_tenant(chosen.database_url, chosen.tenant_id)
        return [f"{one.check} {one.row}: {one.message}" for one in verified.findings]


def lend(books: Books) -> list[uuid.UUID]:
    books.post(
        disbursement(ONE, 5_000, on=days_ago(40)),
        disbursement(TWO, 5_000, on=days_ago(40)),
        disbursement(THREE, 900, on=days_ago(40), currency="EUR"),
    )
    books.post(accrual({ONE: 11, TWO: 12}, on=days_ago(20)))
    paid = [*books.post(payment(ONE, 500), payment(TWO, 500)), *books.post(payment(ONE, 7))]
    books.post(reversal(paid[2]))
    close(books, days_ago(30))
    return paid


@pytest.fixture
def pair(own_database_url: str) -> Pair:
    books, other = Books(own_database_url), Books(own_database_url)
    paid = lend(books)
    lend(other)
    verified = verify_tenant(own_database_url, books.tenant_id)
    assert verified.findings == []
    return Pair(books, other, verified.kept, paid)


def exchange(table: str, where: str = "") -> list[str]:
    """Statements that give the rows of each tenant to the other."""
    nobody = "'00000000-0000-0000-0000-00000000ffff'"
    steps = (("%(a)s", nobody), ("%(b)s", "%(a)s"), (nobody, "%(b)s"))
    return [
        f"UPDATE {table} SET tenant_id = {to}::uuid WHERE tenant_id = {own}::uuid {where}"
        for own, to in steps
    ]


@pytest.mark.parametrize("also", [(), TOTALS], ids=["journals", "journals and totals"])
def test_two_tenants_whose_whole_journals_were_exchanged_are_found(
    pair: Pair, also: tuple[str, ...]
) -> None:
    tables = [*JOURNAL, "loans", *also]
    pair.tamper(*(step for table in tables for step in exchange(table)))
    for books in (pair.books, pair.other):
        findings = pair.findings(books)
        assert any(one.startswith("entry_hash journal_entries") for one in findings)
        assert any(one.startswith("block_chain ledger_blocks 1:") for one in findings)


@pytest.mark.parametrize("event", ["period.close", "reversal.post", "tenant.add"])
def test_audit_events_of_two_tenants_that_were_exchanged_are_found(pair: Pair, event: str) -> None:
    pair.tamper(*exchange("audit_events", f"AND action = '{event}'"))
    for books in (pair.books, pair.other):
        assert any(one.startswith("audit_hash audit_events") for one in pair.findings(books))


def test_an_entry_given_to_another_tenant_is_found_in_both(pair: Pair) -> None:
    entry = pair.paid[0]
    pair.tamper(
        *(
            f"UPDATE {table} SET tenant_id = %(b)s WHERE tenant_id = %(a)s"
            f" AND journal_entry_id = '{entry}'"
            for table in ("journal_entries", "journal_lines")
        )
    )
    assert any(str(entry) in one for one in pair.findings())
    assert any(str(entry) in one for one in pair.findings(pair.other))


def test_lines_moved_between_entries_that_still_balance_are_found(pair: Pair) -> None:
    """The two payments are of one amount and one day: loans apart, no total changes."""
    one, two, _ = pair.paid
    pair.tamper(
        "UPDATE journal_lines SET journal_entry_id = CASE journal_entry_id WHEN %(one)s THEN"
        " %(two)s ELSE %(one)s::uuid END, sequence = sequence + 100 WHERE tenant_id = %(a)s"
        " AND journal_entry_id IN (%(one)s, %(two)s)",
        "UPDATE journal_lines SET sequence = sequence - 100 WHERE tenant_id = %(a)s"
        " AND sequence > 100",
        one=one,
        two=two,
    )
    findings = pair.findings()
    assert any(one.startswith(("entry_hash", "entry_loans")) for one in findings)
    assert any(str(entry) in one for entry in (one, two) for one in findings)


def test_a_payment_moved_to_another_loan_is_found(
    pair: Pair,
) -> None:
    """Its entry and its lines say the other loan; no total of an account changes."""
    entry = pair.paid[0]
    pair.tamper(
        "UPDATE journal_entries SET loan_id = %(two)s WHERE tenant_id = %(a)s"
        " AND journal_entry_id = %(entry)s",
        "UPDATE journal_lines SET loan_id = %(two)s WHERE tenant_id = %(a)s"
        " AND journal_entry_id = %(entry)s",
        entry=entry,
        two=TWO,
    )
    assert any(str(entry) in one for one in pair.findings())


@pytest.mark.parametrize("column", ["reply", "request_digest", "correlation_id", "posted_at"])
def test_an_older_value_of_another_entry_replayed_is_found(pair: Pair, column: str) -> None:
    entry, older = pair.paid[2], pair.paid[0]
    pair.tamper(
        f"UPDATE journal_entries AS entry SET {column} = older.{column}"
        " FROM journal_entries AS older WHERE older.tenant_id = entry.tenant_id"
        " AND entry.tenant_id = %(a)s AND entry.journal_entry_id = %(entry)s"
        " AND older.journal_entry_id = %(older)s",
        entry=entry,
        older=older,
    )
    assert any(str(entry) in one for one in pair.findings())


def test_a_block_with_its_entries_set_twice_into_the_chain_is_found(pair: Pair) -> None:
    """The same block under the next number, chained to itself, and the head set to it."""
    pair.tamper(
        "INSERT INTO ledger_blocks (tenant_id, block_number, previous_hash, block_hash,"
        " entries_root, first_entry_id, entry_count)"
        " SELECT tenant_id, block_number + 1, block_hash, sha256(block_hash || int8send("
        "block_number + 1) || uuid_send(first_entry_id) || int4send(entry_count) || entries_root),"
        " entries_root, first_entry_id, entry_count FROM ledger_blocks AS last"
        " WHERE tenant_id = %(a)s AND block_number = (SELECT block_number FROM ledger_heads"
        " WHERE tenant_id = %(a)s)",
        "UPDATE ledger_heads AS head SET block_number = last.block_number, previous_hash ="
        " last.previous_hash, block_hash = last.block_hash FROM ledger_blocks AS last"
        " WHERE last.tenant_id = %(a)s AND head.tenant_id = %(a)s"
        " AND last.block_number = head.block_number + 1",
    )
    findings = pair.findings()
    assert [one.partition(" ")[0] for one in findings] == ["entry_block", "block_entries"]
    since = verify_tenant(pair.books.database_url, pair.books.tenant_id, since=pair.kept)
    assert since.findings


def test_totals_moved_between_accounts_days_and_stripes_together_are_found(pair: Pair) -> None:
    """All three tables agree with each other; only the lines do not."""
    pair.tamper(
        *(
            f"UPDATE {table} SET account_code = 2100 WHERE tenant_id = %(a)s"
            " AND account_code = 2000"
            for table in TOTALS
        )
    )
    found = {one.partition(" ")[0] for one in pair.findings()}
    assert found == set(TOTALS)
    since = verify_tenant(pair.books.database_url, pair.books.tenant_id, since=pair.kept)
    assert {finding.check for finding in since.findings} == set(TOTALS)


def test_a_reversal_taken_back_with_its_audit_event_is_found(pair: Pair) -> None:
    """Its entry, lines, block, the event, the event's number and the heads: all are gone."""
    ((block, entry),) = pair.books.fetch(
        "SELECT block_number, first_entry_id FROM ledger_blocks WHERE tenant_id = %s"
        " ORDER BY block_number DESC LIMIT 1"
    )
    pair.tamper(
        *(
            f"DELETE FROM {table} WHERE tenant_id = %(a)s AND journal_entry_id = %(entry)s"
            for table in ("journal_lines", "journal_entries")
        ),
        "DELETE FROM ledger_blocks WHERE tenant_id = %(a)s AND block_number = %(block)s",
        "DELETE FROM audit_events WHERE tenant_id = %(a)s AND action = 'reversal.post'",
        "UPDATE ledger_heads AS head SET block_number = last.block_number, previous_hash ="
        " last.previous_hash, block_hash = last.block_hash FROM ledger_blocks AS last"
        " WHERE last.tenant_id = %(a)s AND head.tenant_id = %(a)s"
        " AND last.block_number = %(block)s - 1",
        block=block,
        entry=entry,
    )
    found = {one.partition(" ")[0] for one in pair.findings()}
    assert {"account_totals", "loans", "audit_chain", "audit_number"} <= found
    since = verify_tenant(pair.books.database_url, pair.books.tenant_id, since=pair.kept)
    assert "block_chain" in {finding.check for finding in since.findings}
