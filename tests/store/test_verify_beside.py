"""What stands beside the journal, chained by nothing: the chart, the marks of a tenant, the days of
moved accruals; and that nothing came into a period after it was closed. Each change is found.
"""

import uuid

import pytest

from hpts.domain.accounts import TEMPLATE
from hpts.domain.periods import REOPEN
from hpts.store.tenants import (
    add_tenant,
    set_late_postings,
    set_tenant_mtls,
    set_tenant_status,
)
from hpts.store.verify import verify_tenant

from .ledger_fixture import Books, accrual, days_ago, disbursement, payment
from .period_changes import change, close

ONE, TWO = uuid.UUID(int=1 << 100), uuid.UUID(int=2 << 100)
MOVED_FROM = days_ago(15)


@pytest.fixture
def books(own_database_url: str) -> Books:
    """Two loans, interest of a day that was closed before it came, and another that was not."""
    books = Books(own_database_url)
    books.post(disbursement(ONE, 5_000, on=days_ago(40)), disbursement(TWO, 7_000, on=days_ago(40)))
    books.post(accrual({ONE: 11}, on=days_ago(20)))
    close(books, days_ago(10))
    set_late_postings(own_database_url, books.tenant_id, "move")
    books.post(accrual({ONE: 3, TWO: 4}, on=MOVED_FROM))
    assert found(books) == []
    return books


@pytest.fixture
def empty(own_database_url: str) -> Books:
    """A new tenant, which nobody posted to."""
    return Books(own_database_url)


def found(books: Books) -> list[tuple[str, str]]:
    verified = verify_tenant(books.database_url, books.tenant_id)
    return [(finding.check, finding.row) for finding in verified.findings]


def moved(books: Books) -> uuid.UUID:
    ((entry_id,),) = books.fetch("SELECT journal_entry_id FROM moved_accruals WHERE tenant_id = %s")
    assert isinstance(entry_id, uuid.UUID)
    return entry_id


@pytest.mark.parametrize(
    ("change", "row"),
    [
        ("UPDATE accounts SET name = 'Cash!' WHERE {0} AND account_code = 1000", "1000"),
        ("UPDATE accounts SET account_type = 'expense' WHERE {0} AND account_code = 4000", "4000"),
        ("UPDATE accounts SET normal_balance = 'C' WHERE {0} AND account_code = 1000", "1000"),
        ("UPDATE accounts SET role = 'mine' WHERE {0} AND account_code = 2100", "2100"),
        ("UPDATE accounts SET account_code = 2101 WHERE {0} AND account_code = 2100", "2101"),
        ("DELETE FROM accounts WHERE {0} AND account_code = 9100", "9100"),
        ("INSERT INTO accounts VALUES (%(tenant)s, 1001, 'Mine', 'asset', 'D', 'mine')", "1001"),
    ],
)
def test_a_changed_chart_is_found(empty: Books, change: str, row: str) -> None:
    empty.tamper(change.format("tenant_id = %(tenant)s"))
    assert ("accounts", f"accounts {row}") in found(empty)


def test_two_accounts_whose_roles_were_exchanged_are_found(books: Books) -> None:
    """Payments would go on as before and debit the suspense account; their hashes would be true."""
    mine = "WHERE tenant_id = %(tenant)s AND account_code ="
    books.tamper(
        f"UPDATE accounts SET role = 'other' {mine} 1000",
        f"UPDATE accounts SET role = 'cash' {mine} 2100",
        f"UPDATE accounts SET role = 'suspense' {mine} 1000",
    )
    books.post(payment(ONE, 9_000))
    assert [row for check, row in found(books) if check == "accounts"] == ["accounts 1000"]


def test_the_chart_that_is_held_is_the_one_of_new_tenants(empty: Books) -> None:
    assert len(empty.fetch("SELECT 1 FROM accounts WHERE tenant_id = %s")) == len(TEMPLATE)
    assert found(empty) == []


@pytest.mark.parametrize(
    "mark",
    [
        "name = 'Another'",
        "status = 'suspended'",
        "requires_mtls = true",
        "late_postings = 'move'",
    ],
)
def test_a_mark_that_no_audit_event_tells_of_is_found(empty: Books, mark: str) -> None:
    empty.tamper(f"UPDATE tenants SET {mark} WHERE tenant_id = %(tenant)s")
    assert found(empty) == [("tenant_marks", f"tenants {empty.tenant_id}")]


def test_marks_that_operators_set_are_sound(empty: Books) -> None:
    url, tenant_id = empty.database_url, empty.tenant_id
    for status in ("suspended", "active", "suspended"):
        assert set_tenant_status(url, tenant_id, status)
        assert found(empty) == []
    for requires_mtls in (True, False, True):
        assert set_tenant_mtls(url, tenant_id, requires_mtls=requires_mtls)
        assert found(empty) == []
    for policy in ("move", "refuse", "move"):
        assert set_late_postings(url, tenant_id, policy)
        assert found(empty) == []
    partner = add_tenant(url, "Partner", requires_mtls=True)
    assert verify_tenant(url, partner).findings == []


def test_a_tenant_from_before_there_were_audit_events_is_held_by_what_came_later(
    empty: Books,
) -> None:
    suspend = "UPDATE tenants SET status = 'suspended' WHERE tenant_id = %(tenant)s"
    empty.tamper("DELETE FROM audit_events WHERE tenant_id = %(tenant)s", suspend)
    assert found(empty) == []
    assert set_tenant_status(empty.database_url, empty.tenant_id, "active")
    empty.tamper(suspend)
    assert found(empty) == [("tenant_marks", f"tenants {empty.tenant_id}")]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM moved_accruals WHERE tenant_id = %(tenant)s",
        "UPDATE moved_accruals SET accrual_date = accrual_date - 1 WHERE tenant_id = %(tenant)s",
    ],
)
def test_a_changed_day_of_a_moved_accrual_is_found_with_the_loans_in_line(
    books: Books, statement: str
) -> None:
    """Without it the loans could be accrued a second time for that day."""
    entry_id = moved(books)
    books.tamper(
        statement,
        """UPDATE loans SET accrued_through = greatest((
               SELECT max(coalesce(moved.accrual_date, entry.effective_at))
               FROM entry_loans AS mapped
               JOIN journal_entries AS entry USING (tenant_id, journal_entry_id)
               LEFT JOIN moved_accruals AS moved USING (tenant_id, journal_entry_id)
               WHERE mapped.loan_id = loans.loan_id AND mapped.tenant_id = loans.tenant_id))
           WHERE tenant_id = %(tenant)s""",
    )
    assert found(books) == [("moved_accruals", f"moved_accruals {entry_id}")]


@pytest.mark.parametrize("event_type", ["accrual", "disbursement"])
def test_a_day_kept_for_what_was_not_moved_is_found(books: Books, event_type: str) -> None:
    """Such a row keeps a day's interest from being posted."""
    ((entry_id,), *_) = books.fetch(
        "SELECT journal_entry_id FROM journal_entries WHERE tenant_id = %s AND event_type = %s"
        " ORDER BY journal_entry_id",
        event_type,
    )
    books.tamper(
        "INSERT INTO moved_accruals (tenant_id, accrual_date, journal_entry_id)"
        " VALUES (%(tenant)s, %(day)s, %(entry)s)",
        day=days_ago(3),
        entry=entry_id,
    )
    assert ("moved_accruals", f"moved_accruals {entry_id}") in found(books)


def test_an_entry_let_into_a_closed_period_is_found(books: Books) -> None:
    """The head is opened, an entry posted on the ordinary way, its hashes all true, and the head
    closed again."""
    boundary = "UPDATE ledger_heads SET closed_through = %(day)s WHERE tenant_id = %(tenant)s"
    books.tamper(boundary, day=None)
    (entry_id,) = books.post(payment(ONE, 1_000, on=days_ago(11)))
    books.tamper(boundary, day=days_ago(10))
    assert found(books) == [("closed_periods", f"journal_entries {entry_id}")]
    kept = verify_tenant(books.database_url, books.tenant_id).kept
    later = verify_tenant(books.database_url, books.tenant_id, since=kept)
    assert [finding.check for finding in later.findings] == ["closed_periods"]


def test_an_entry_in_a_period_that_was_open_when_it_came_is_sound(books: Books) -> None:
    change(books, REOPEN, days_ago(12))
    books.post(payment(ONE, 1_000, on=days_ago(12)))
    close(books, days_ago(5))
    books.post(payment(ONE, 1_000, on=days_ago(4)), payment(TWO, 1_000, on=days_ago(8)))
    assert found(books) == []


def test_the_rows_of_another_tenant_are_not_looked_at(empty: Books) -> None:
    other = Books(empty.database_url)
    other.tamper("DELETE FROM accounts WHERE tenant_id = %(tenant)s")
    assert found(empty) == []
    assert len(found(other)) == 1
