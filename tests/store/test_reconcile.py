"""Reconciliation is computed from the lines, kept by day, and finds drift on both of its sides."""

import datetime
import threading
import uuid

import psycopg
import pytest

from hpts.store.reconcile import Reconciliation, reconcile
from hpts.store.tenancy import TenantUnknown
from hpts.store.tenants import set_tenant_status

from .ledger_fixture import Books, accrual, days_ago, disbursement, payment, reversal, today

ONE, TWO, THREE = (uuid.uuid5(uuid.NAMESPACE_OID, str(number)) for number in range(3))


@pytest.fixture
def books(own_database_url: str) -> Books:
    books = Books(own_database_url)
    books.post(disbursement(ONE, 1_000, on=days_ago(9)), disbursement(TWO, 500, on=days_ago(9)))
    books.post(accrual({ONE: 30, TWO: 0}, on=days_ago(5)))
    (paid,) = books.post(payment(ONE, 430, on=days_ago(3)))
    books.post(payment(TWO, 700))
    books.post(reversal(paid, on=days_ago(1)))
    return books


def check(books: Books, as_of_date: datetime.date | None = None) -> Reconciliation:
    return reconcile(books.database_url, books.tenant_id, as_of_date)


def check_everything(books: Books) -> Reconciliation:
    return reconcile(books.database_url, books.tenant_id, None, is_full=True)


def sums_of(result: Reconciliation) -> dict[str, tuple[str, str]]:
    return {one.currency: (one.by_ledger_minor, one.by_loans_minor) for one in result.principal}


def kept_days(books: Books) -> list[datetime.date]:
    rows = books.fetch(
        "SELECT as_of_date FROM reconciliation_results WHERE tenant_id = %s ORDER BY as_of_date"
    )
    return [day for (day,) in rows]


def test_an_empty_ledger_is_sound(own_database_url: str) -> None:
    result = check(Books(own_database_url))
    assert result.mismatched_account_count == 0
    assert (result.gl_principal_minor, result.sum_of_loan_balances_minor) == (0, 0)
    assert not result.principal_drifted


def test_a_used_ledger_is_sound_and_dated_today_by_the_database(books: Books) -> None:
    before = datetime.datetime.now(datetime.UTC)
    result = check(books)
    assert result.mismatched_account_count == 0
    assert (result.gl_principal_minor, result.sum_of_loan_balances_minor) == (1_000, 1_000)
    assert not result.principal_drifted
    assert before <= result.checked_at <= datetime.datetime.now(datetime.UTC)
    assert result.checked_at.utcoffset() == datetime.timedelta(0)
    assert result.as_of_date == result.checked_at.date()


def test_a_past_day_counts_what_was_effective_by_then(books: Books) -> None:
    for day, principal in ((20, 0), (9, 1_500), (4, 1_500), (3, 1_100), (1, 1_500)):
        result = check(books, days_ago(day))
        assert result.as_of_date == days_ago(day)
        assert result.mismatched_account_count == 0
        assert result.gl_principal_minor == principal, day
        assert result.sum_of_loan_balances_minor == principal, day
        assert not result.principal_drifted


def test_an_entry_effective_tomorrow_counts_today(books: Books) -> None:
    books.post(disbursement(THREE, 70, on=today() + datetime.timedelta(days=1)))
    assert check(books, today()).gl_principal_minor == 1_070


def test_todays_result_is_computed_each_time_and_the_latest_is_kept(books: Books) -> None:
    first = check(books)
    books.post(disbursement(THREE, 70))
    second = check(books, today())
    assert second.gl_principal_minor == 1_070
    assert second.checked_at > first.checked_at
    ((kept,),) = books.fetch(
        "SELECT checked_at FROM reconciliation_results WHERE tenant_id = %s AND as_of_date = %s",
        today(),
    )
    assert kept == second.checked_at


def test_a_past_day_answers_the_result_kept_for_it(books: Books) -> None:
    first = check(books, days_ago(4))
    books.post(disbursement(THREE, 70, on=days_ago(8)))
    assert check(books, days_ago(4)) == first
    assert check(books, days_ago(6)).gl_principal_minor == 1_570


def test_a_day_to_come_is_answered_as_now_and_not_kept(books: Books) -> None:
    tomorrow = today() + datetime.timedelta(days=1)
    result = check(books, tomorrow)
    assert result.as_of_date == tomorrow
    assert result.gl_principal_minor == 1_000
    assert kept_days(books) == []


def test_an_account_counts_once_however_many_of_its_totals_differ(books: Books) -> None:
    for table in ("account_totals", "account_day_totals"):
        books.tamper(
            f"UPDATE {table} SET debit_minor = debit_minor + 1"
            " WHERE tenant_id = %(tenant)s AND account_code = 1000"
        )
    assert check(books).mismatched_account_count == 1
    books.tamper(
        "UPDATE account_month_totals SET credit_minor = credit_minor + 1"
        " WHERE tenant_id = %(tenant)s AND account_code = 2000"
    )
    assert check(books).mismatched_account_count == 2


def test_a_past_days_drift_is_found_in_the_day_totals(books: Books) -> None:
    books.tamper(
        "UPDATE account_day_totals SET debit_minor = debit_minor + 1"
        " WHERE tenant_id = %(tenant)s AND account_code = 1200 AND effective_at = %(day)s",
        day=days_ago(5),
    )
    assert check(books, days_ago(6)).mismatched_account_count == 0
    assert check(books, days_ago(5)).mismatched_account_count == 1


def test_a_loan_that_differs_from_the_ledger_is_principal_drift(books: Books) -> None:
    books.tamper(
        "UPDATE loans SET principal_minor = principal_minor + 1"
        " WHERE tenant_id = %(tenant)s AND loan_id = %(loan)s",
        loan=ONE,
    )
    result = check(books)
    assert result.principal_drifted
    assert (result.gl_principal_minor, result.sum_of_loan_balances_minor) == (1_000, 1_001)
    assert result.mismatched_account_count == 0
    ((loan_id, currency, message),) = (
        (one.loan_id, one.currency, one.message) for one in result.loan_drifts
    )
    assert (loan_id, currency) == (str(ONE), "USD")
    assert message == "principal is 1001; its lines add up to 1000"


def test_drift_of_two_currencies_that_cancels_out_is_drift(books: Books) -> None:
    books.post(disbursement(THREE, 70, currency="EUR"))
    books.tamper(
        "UPDATE loans SET principal_minor = principal_minor + 1"
        " WHERE tenant_id = %(tenant)s AND loan_id = %(loan)s",
        loan=ONE,
    )
    books.tamper(
        "UPDATE loans SET principal_minor = principal_minor - 1"
        " WHERE tenant_id = %(tenant)s AND loan_id = %(loan)s",
        loan=THREE,
    )
    result = check_everything(books)
    assert sums_of(result) == {"EUR": ("70", "69"), "USD": ("1000", "1001")}
    assert result.principal_drifted


def test_a_control_total_below_zero_is_left_out(own_database_url: str) -> None:
    books = Books(own_database_url)
    books.post(disbursement(ONE, 1_000), payment(ONE, 400, on=days_ago(3)))
    result = check(books, days_ago(3))
    assert (result.gl_principal_minor, result.sum_of_loan_balances_minor) == (None, None)
    assert not result.principal_drifted
    assert check(books, days_ago(3)) == result, "kept and read back"


def test_the_primary_currency_is_that_of_the_first_entry(own_database_url: str) -> None:
    books = Books(own_database_url)
    largest = 2**63 - 1
    books.post(disbursement(ONE, largest, currency="EUR"))
    books.post(disbursement(TWO, 1), disbursement(THREE, 9))
    for result in (check(books), check_everything(books)):
        assert result.primary_currency == "EUR"
        assert (result.gl_principal_minor, result.sum_of_loan_balances_minor) == (largest, largest)
        assert sums_of(result) == {"EUR": (f"{largest}", f"{largest}"), "USD": ("10", "10")}
        assert not result.principal_drifted


def test_a_missing_and_a_suspended_tenant_are_unknown(books: Books) -> None:
    with pytest.raises(TenantUnknown):
        reconcile(books.database_url, uuid.uuid4(), None)
    set_tenant_status(books.database_url, books.tenant_id, "suspended")
    with pytest.raises(TenantUnknown):
        check(books)
    assert kept_days(books) == []


def test_another_tenants_drift_is_not_counted(books: Books, own_database_url: str) -> None:
    Books(own_database_url).post(disbursement(ONE, 5))
    assert check(books).gl_principal_minor == 1_000


def test_reconciliations_at_the_same_time_do_not_fail_each_other(books: Books) -> None:
    """In the snapshot's own transaction the second one to keep its result would fail (40001)."""
    check(books)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            for _ in range(5):
                check(books)
        except psycopg.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
