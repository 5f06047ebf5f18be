"""Closing and reopening the books: append-only, audited, done once under a key."""

import datetime
import uuid
from typing import Any

import psycopg
import pytest

from hpts.domain.periods import CLOSE, REOPEN
from hpts.domain.rejections import Refusal, Rejection
from hpts.posting import Posted
from hpts.store.admin_requests import AdminReply
from hpts.store.tenancy import TenantUnknown
from hpts.store.tenants import set_tenant_status

from .ledger_fixture import (
    Books,
    days_ago,
    disbursement,
)
from .period_changes import boundary, change, close, post, records, rejection_of


def events(books: Books) -> list[tuple[Any, ...]]:
    return books.fetch(
        "SELECT action, outcome, actor, source, subject, problem_code, trace_id, details::text"
        " FROM audit_events WHERE tenant_id = %s AND action LIKE 'period.%%' ORDER BY event_number"
    )


def test_closing_and_reopening_are_records_and_the_last_one_counts(books: Books) -> None:
    books.post(disbursement(uuid.uuid4(), 100))
    close(books, days_ago(40))
    close(books, days_ago(10))
    change(books, REOPEN, days_ago(20))
    assert records(books) == [
        (1, "close", days_ago(40), "month end", "controller-é", 1),
        (2, "close", days_ago(10), "month end", "controller-é", 1),
        (3, "reopen", days_ago(21), "month end", "controller-é", 1),
    ]
    assert boundary(books) == days_ago(21)
    change(books, REOPEN, datetime.date.min)
    assert records(books)[-1][1:3] == ("reopen", None)
    assert boundary(books) is None


def test_records_cannot_be_changed_even_by_the_owner(books: Books) -> None:
    close(books, days_ago(10))
    with psycopg.connect(books.database_url) as connection:
        for statement in (
            "UPDATE period_records SET closed_through = NULL",
            "DELETE FROM period_records",
            "TRUNCATE period_records",
        ):
            with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
                connection.execute(statement.encode())


def test_a_closing_moves_on_and_ends_today(books: Books) -> None:
    tomorrow = days_ago(-1)
    assert rejection_of(change(books, CLOSE, tomorrow)) == (
        Rejection.PERIOD_NOT_OVER,
        f"must be {days_ago(0)} or earlier",
    )
    close(books, days_ago(5))
    for day in (days_ago(5), days_ago(6)):
        assert rejection_of(change(books, CLOSE, day)) == (
            Rejection.PERIOD_CLOSED,
            f"must be {days_ago(4)} or later: the books are closed through {days_ago(5)}",
        )
    close(books, days_ago(0))
    assert isinstance(post(books, disbursement(uuid.uuid4(), 1, on=tomorrow)), Posted)


def test_only_a_closed_day_is_reopened(books: Books) -> None:
    assert rejection_of(change(books, REOPEN, days_ago(5))) == (
        Rejection.PERIOD_NOT_CLOSED,
        "no day is closed",
    )
    close(books, days_ago(5))
    assert rejection_of(change(books, REOPEN, days_ago(4))) == (
        Rejection.PERIOD_NOT_CLOSED,
        f"must be {days_ago(5)} or earlier",
    )
    assert boundary(books) == days_ago(5)


def test_changes_are_audited_allowed_or_refused(books: Books) -> None:
    close(books, days_ago(5))
    change(books, CLOSE, days_ago(9))
    change(books, REOPEN, days_ago(5))
    who = ("controller-é", "10.1.2.3")
    details = '{{"day":"{}","reason":"month end"{}}}'
    said = books.fetch(
        'SELECT format(\',"block_number":%%s,"recorded_at":"%%s"\', block_number,'
        " to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))"
        " FROM period_records WHERE tenant_id = %s ORDER BY record_number"
    )
    (closed,), (reopened,) = said
    assert events(books) == [
        ("period.close", "allowed", *who, "period record 1", None, "ab" * 16,
         details.format(days_ago(5), closed)),
        ("period.close", "refused", *who, str(days_ago(9)), "period_closed", "ab" * 16,
         details.format(days_ago(9), "")),
        ("period.reopen", "allowed", *who, "period record 2", None, "ab" * 16,
         details.format(days_ago(5), reopened)),
    ]  # fmt: skip


def test_a_change_under_a_used_key_is_replayed_or_refused(books: Books) -> None:
    digest = b"d" * 32
    first = close(books, days_ago(9), key="close:nine-days", digest=digest)
    again = change(books, CLOSE, days_ago(9), key="close:nine-days", digest=digest)
    assert again == first._replace(is_replay=True)
    other = change(books, CLOSE, days_ago(8), key="close:nine-days")
    assert other == Refusal(Rejection.IDEMPOTENCY_MISMATCH)
    assert len(records(books)) == len(events(books)) == 1


def test_a_refused_change_leaves_its_key_free(books: Books) -> None:
    change(books, REOPEN, days_ago(9), key="reopen:early")
    close(books, days_ago(5))
    found = change(books, REOPEN, days_ago(9), key="reopen:early")
    assert isinstance(found, AdminReply)
    assert not found.is_replay


def test_a_key_that_a_posting_used_closes_nothing(books: Books) -> None:
    assert isinstance(post(books, disbursement(uuid.uuid4(), 100), key="used:by-posting"), Posted)
    found = change(books, CLOSE, days_ago(5), key="used:by-posting")
    assert found == Refusal(Rejection.IDEMPOTENCY_MISMATCH)
    assert records(books) == []


def test_a_suspended_tenant_closes_nothing(books: Books) -> None:
    set_tenant_status(books.database_url, books.tenant_id, "suspended")
    with pytest.raises(TenantUnknown):
        change(books, CLOSE, days_ago(5))
    assert records(books) == []
