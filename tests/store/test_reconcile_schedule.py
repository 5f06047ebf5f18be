"""One worker of all reconciles by itself, what is new soon and everything now and then."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from hpts.store import reconcile_schedule
from hpts.store.reconcile import reconcile, step_ahead
from hpts.store.reconcile_schedule import REST_SECONDS_MAX, RESTS, ReconcileSchedule, describe_drift
from hpts.store.tenants import set_tenant_status
from tests.bank.banking import Bank, Line, csv_statement

from .ledger_fixture import Books, disbursement, payment, today

ONE, TWO = (uuid.uuid5(uuid.NAMESPACE_OID, str(number)) for number in range(2))
EVERY_SECONDS = 0.05
SECONDS_MAX = 60
ELECTED = (
    "SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database"
    " WHERE locktype = 'advisory' AND datname = current_database() AND granted"
    " AND classid = 82 AND objid = 1162039118"
)
"""0x5245434F4E as pg_locks shows a lock of 64 bits: its halves."""


@pytest.fixture
def books(own_database_url: str) -> Books:
    books = Books(own_database_url)
    books.post(disbursement(ONE, 1_000), disbursement(TWO, 500))
    return books


@contextmanager
def scheduled(
    database_url: str, *, full_every_seconds: float = 3600
) -> Iterator[ReconcileSchedule]:
    schedule = ReconcileSchedule(
        database_url, every_seconds=EVERY_SECONDS, full_every_seconds=full_every_seconds
    )
    schedule.start()
    try:
        yield schedule
    finally:
        schedule.stop()


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def progress_of(books: Books) -> tuple[int, int] | None:
    """The block read through, and how often everything was read, as far as it shows."""
    rows = books.fetch(
        "SELECT block_number, extract(epoch FROM full_at) * 1000000"
        " FROM reconciliation_progress WHERE tenant_id = %s"
    )
    return (int(rows[0][0]), int(rows[0][1])) if rows else None


def elected_count(books: Books) -> int:
    with psycopg.connect(books.database_url) as connection:
        row = connection.execute(ELECTED.encode()).fetchone()
    return 0 if row is None else int(row[0])


def test_what_is_posted_is_reconciled_without_being_asked_for(books: Books) -> None:
    with scheduled(books.database_url):
        wait_until(lambda: progress_of(books) is not None)
        first = progress_of(books)
        assert first is not None
        books.post(payment(ONE, 5))
        wait_until(lambda: progress_of(books) == (first[0] + 1, first[1]))


def test_much_that_is_new_is_read_in_steps(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def noted(*arguments: Any, **options: Any) -> bool:
        taken.append(step_ahead(*arguments, **options))
        return taken[-1]

    assert reconcile(books.database_url, books.tenant_id, None).is_sound
    for _ in range(6):
        books.post(payment(ONE, 5))
    monkeypatch.setattr(reconcile_schedule, "STEP_LINES", 1)
    monkeypatch.setattr(reconcile_schedule, "step_ahead", noted)
    with scheduled(books.database_url):
        wait_until(lambda: (progress_of(books) or (0, 0))[0] == 7)
    assert taken[:6] == [True] * 5 + [False]
    assert reconcile(books.database_url, books.tenant_id, None, is_full=True).is_sound


def test_a_tenant_that_posts_faster_than_it_is_read_leaves_their_turn_to_others(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reconcile(books.database_url, books.tenant_id, None).is_sound
    for _ in range(3):
        books.post(payment(ONE, 5))
    other = Books(books.database_url)
    other.post(disbursement(ONE, 5))
    monkeypatch.setattr(reconcile_schedule, "STEPS_SECONDS_MAX", 0)
    with scheduled(books.database_url):
        wait_until(lambda: progress_of(other) is not None)
    assert (progress_of(books) or (0, 0))[0] == 1


def test_a_tenant_whose_run_fails_leaves_their_turn_to_others(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Books(books.database_url)
    other.post(disbursement(ONE, 5))
    failed = []

    def fails_for_one(database_url: str, tenant_id: uuid.UUID, *more: Any, **options: Any) -> Any:
        if tenant_id == books.tenant_id:
            failed.append(tenant_id)
            raise psycopg.errors.QueryCanceled("statement timeout")
        return reconcile(database_url, tenant_id, *more, **options)

    monkeypatch.setattr(reconcile_schedule, "reconcile", fails_for_one)
    with scheduled(books.database_url):
        wait_until(lambda: progress_of(other) is not None and len(failed) > 1)
    assert progress_of(books) is None


def test_it_rests_in_proportion_to_each_step(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    rests = []

    class Noting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            rests.append(timeout)
            return False

    schedule = ReconcileSchedule(books.database_url, every_seconds=1, full_every_seconds=1)
    monkeypatch.setattr(schedule, "_is_stopping", Noting())
    clock = iter((10.0, 10.5, 20.0, 520.0, 600.0))
    monkeypatch.setattr(reconcile_schedule.time, "monotonic", lambda: next(clock))
    assert schedule._paced(lambda: "done") == "done"
    assert schedule._paced(lambda: "a full proof") == "a full proof"
    with pytest.raises(ZeroDivisionError):
        schedule._paced(lambda: 1 // 0)
    monkeypatch.undo()
    assert rests == [0.5 * RESTS, REST_SECONDS_MAX]


def test_a_full_proof_comes_when_it_is_due_though_nothing_is_new(books: Books) -> None:
    with scheduled(books.database_url, full_every_seconds=0.2):
        wait_until(lambda: progress_of(books) is not None)
        first = progress_of(books)
        assert first is not None
        wait_until(lambda: (progress_of(books) or first)[1] > first[1])


def test_one_of_several_is_elected_and_another_takes_its_place(books: Books) -> None:
    with scheduled(books.database_url) as one, scheduled(books.database_url):
        wait_until(lambda: elected_count(books) == 1)
        one.stop()
        wait_until(lambda: elected_count(books) == 1)
        books.post(payment(ONE, 5))
        wait_until(lambda: (progress_of(books) or (0, 0))[0] == 2)
        assert elected_count(books) == 1


def test_statement_lines_find_later_payments_without_being_asked_for(books: Books) -> None:
    bank = Bank(books)
    bank.add_account()
    day = today().isoformat()
    line = Line(day, "0.05", text="credit")
    bank.import_one(csv_statement(line, day=day, opening="0.00", closing="0.05"))
    assert bank.matches() == []
    with scheduled(books.database_url):
        books.post(payment(ONE, 5))
        wait_until(lambda: [rule for rule, _, _ in bank.matches()] == ["amount_and_date"])


def test_lines_that_somebody_else_took_over_are_matched_though_nothing_is_new(
    books: Books,
) -> None:
    bank = Bank(books)
    bank.add_account()
    day = today().isoformat()
    file = csv_statement(Line(day, "0.05"), day=day, opening="0.00", closing="0.05")
    bank.import_one(file)
    books.post(payment(ONE, 5))
    bank.import_one(file)
    assert bank.matches() == []
    with scheduled(books.database_url):
        wait_until(lambda: bank.matches() != [])


def test_a_suspended_tenant_is_left_alone(books: Books) -> None:
    set_tenant_status(books.database_url, books.tenant_id, "suspended")
    other = Books(books.database_url)
    other.post(disbursement(ONE, 5))
    with scheduled(books.database_url):
        wait_until(lambda: progress_of(other) is not None)
    assert progress_of(books) is None


def test_totals_by_posting_that_cannot_be_added_to_hold_up_no_reconciliation(books: Books) -> None:
    books.tamper(
        "INSERT INTO known_day_totals SELECT %(tenant)s, 2000, 'USD', 'S', day, %(day)s, 0,"
        " 9223372036854775807 FROM (VALUES (%(day)s - 1), (%(day)s), (%(day)s + 1)) AS near (day)",
        day=today(),
    )
    with scheduled(books.database_url):
        wait_until(lambda: progress_of(books) is not None)


def test_a_drift_is_described_in_a_line(books: Books) -> None:
    assert reconcile(books.database_url, books.tenant_id, None).is_sound
    books.post(payment(ONE, 5))
    books.tamper(
        "UPDATE account_totals SET debit_minor = debit_minor + 1"
        " WHERE tenant_id = %(tenant)s AND account_code IN (1000, 1100)",
        "UPDATE loans SET principal_minor = principal_minor + 1"
        " WHERE tenant_id = %(tenant)s AND loan_id = %(loan)s",
        loan=ONE,
    )
    result = reconcile(books.database_url, books.tenant_id, None)
    assert describe_drift(result) == f"accounts 1000, 1100; loans {ONE}; from block 2 on"
