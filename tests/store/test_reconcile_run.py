"""Reconciliation goes on from the last block that it read, and says where a drift began."""

import random
import threading
import uuid
from typing import Any

import psycopg
import pytest

from hpts.store.reconcile import Reconciliation, ReconciliationBusy, reconcile
from hpts.store.reconcile_lines import Drift
from hpts.store.verify import verify_tenant

from .ledger_fixture import Books, accrual, days_ago, disbursement, payment, reversal, today

ONE, TWO, THREE = (uuid.uuid5(uuid.NAMESPACE_OID, str(number)) for number in range(3))
ADD_TO_TOTAL = (
    "UPDATE {table} SET debit_minor = debit_minor + 1"
    " WHERE tenant_id = %(tenant)s AND account_code = %(code)s"
)


@pytest.fixture
def books(own_database_url: str) -> Books:
    """Two loans, reconciled; two blocks."""
    books = Books(own_database_url)
    books.post(disbursement(ONE, 1_000, on=days_ago(9)), disbursement(TWO, 500, on=days_ago(9)))
    books.post(payment(ONE, 100, on=days_ago(3)))
    assert go_on(books).is_sound
    return books


def go_on(books: Books) -> Reconciliation:
    return reconcile(books.database_url, books.tenant_id, None)


def read_everything(books: Books) -> Reconciliation:
    return reconcile(books.database_url, books.tenant_id, None, is_full=True)


def kept_by_reconciliation(books: Books) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: sorted(books.fetch(f"SELECT * FROM {table} WHERE tenant_id = %s"), key=repr)
        for table in ("reconciliation_sums", "reconciliation_loans")
    }


def last_block(books: Books) -> int:
    ((number,),) = books.fetch("SELECT block_number FROM ledger_heads WHERE tenant_id = %s")
    return int(number)


def totals_of(drifts: tuple[Drift, ...]) -> set[tuple[int, str]]:
    return {(drift.account_code, drift.kept) for drift in drifts}


def test_the_first_run_reads_everything_and_the_next_only_what_is_new(books: Books) -> None:
    assert (go_on(books).is_full, go_on(books).entry_count) == (False, 0)
    books.post(payment(ONE, 5), payment(TWO, 7))
    books.post(disbursement(THREE, 70))
    result = go_on(books)
    assert (result.is_full, result.entry_count) == (False, 3)
    assert result.through_block == last_block(books)
    assert result.gl_principal_minor == result.sum_of_loan_balances_minor == 1_458
    everything = read_everything(books)
    assert (everything.is_full, everything.entry_count) == (True, 6)
    assert everything.gl_principal_minor == 1_458


def test_going_on_and_reading_everything_come_to_the_same_sums(
    own_database_url: str, seed: int
) -> None:
    """Over drawn histories: backdated, of several currencies, accruals of many loans, reversals."""
    draw = random.Random(f"{seed}/reconcile")
    books = Books(own_database_url)
    loans: list[tuple[uuid.UUID, str]] = []
    for accrual_day in draw.sample(range(400), 12):
        for _ in range(draw.randint(1, 4)):
            currency, loan_id = draw.choice(("USD", "EUR")), uuid.UUID(int=draw.getrandbits(128))
            loans.append((loan_id, currency))
            on = days_ago(draw.randint(0, 400))
            books.post(disbursement(loan_id, draw.randint(1, 999), currency=currency, on=on))
        of_dollars = [loan_id for loan_id, currency in loans if currency == "USD"]
        if of_dollars:
            on = days_ago(accrual_day)
            (accrued,) = books.post(
                accrual({loan: draw.randint(1, 9) for loan in of_dollars}, on=on)
            )
            if draw.random() < 0.5:
                books.post(reversal(accrued, on=today()))
        loan_id, currency = draw.choice(loans)
        books.post(payment(loan_id, draw.randint(1, 99), currency=currency, on=days_ago(1)))
        if draw.random() < 0.5:
            assert go_on(books).is_sound
    result = go_on(books)
    assert result.is_sound
    went_on = kept_by_reconciliation(books)
    everything = read_everything(books)
    assert went_on == kept_by_reconciliation(books)
    assert result.principal == everything.principal
    assert verify_tenant(books.database_url, books.tenant_id).findings == []


def test_a_total_that_lost_a_posting_names_the_block(books: Books) -> None:
    books.post(disbursement(THREE, 70))
    lost = last_block(books)
    books.tamper(ADD_TO_TOTAL.format(table="account_totals"), code=2000)
    books.post(payment(ONE, 5))
    (drift,) = go_on(books).drifts
    assert (drift.account_code, drift.currency, drift.kept) == (2000, "USD", "E")
    assert (drift.agreed_block, drift.first_block) == (2, lost)
    assert (drift.total_debit_minor, drift.lines_debit_minor) == ("1", "0")


def test_a_total_that_changed_without_a_posting_names_no_block(books: Books) -> None:
    books.tamper(ADD_TO_TOTAL.format(table="account_totals"), code=2000)
    books.post(payment(ONE, 5))
    (drift,) = go_on(books).drifts
    assert (drift.agreed_block, drift.first_block) == (2, None)


def test_a_drift_is_found_again_until_it_is_mended_and_keeps_where_it_began(books: Books) -> None:
    books.post(payment(ONE, 5, on=days_ago(3)))
    began = last_block(books)
    books.tamper(
        ADD_TO_TOTAL.format(table="account_day_totals") + " AND effective_at = %(day)s",
        code=1000,
        day=days_ago(3),
    )
    for _ in range(3):
        result = go_on(books)
        assert [(one.kept, one.period, one.first_block) for one in result.drifts] == [
            ("D", days_ago(3), began)
        ]
        assert result.mismatched_account_count == 1
        books.post(payment(TWO, 5))  # of another day, so the drifted one is not touched
    books.tamper(
        "UPDATE account_day_totals SET debit_minor = debit_minor - 1"
        " WHERE tenant_id = %(tenant)s AND account_code = 1000 AND effective_at = %(day)s",
        day=days_ago(3),
    )
    assert go_on(books).is_sound


def test_a_day_that_nothing_touched_is_left_to_the_full_proof(books: Books) -> None:
    books.tamper(
        ADD_TO_TOTAL.format(table="account_day_totals") + " AND effective_at = %(day)s",
        code=1100,
        day=days_ago(9),
    )
    books.post(payment(ONE, 5))
    assert go_on(books).is_sound
    assert totals_of(read_everything(books).drifts) == {(1100, "D")}
    assert totals_of(go_on(books).drifts) == {(1100, "D")}, "known from then on"


def test_a_changed_line_is_found_by_the_full_proof_which_names_its_block(books: Books) -> None:
    (entry_id,) = books.post(payment(TWO, 50))
    altered = last_block(books)
    books.post(payment(ONE, 5))
    assert go_on(books).is_sound
    books.tamper(
        "UPDATE journal_lines SET amount_minor = amount_minor + 1"
        " WHERE tenant_id = %(tenant)s AND journal_entry_id = %(entry)s",
        entry=entry_id,
    )
    result = read_everything(books)
    assert {1000, 1100} == {drift.account_code for drift in result.drifts}
    assert result.altered_block == altered
    assert [loan.loan_id for loan in result.loan_drifts] == [str(TWO)]


def test_a_loan_that_was_not_posted_to_is_compared_by_the_full_proof(books: Books) -> None:
    books.tamper(
        "UPDATE loans SET interest_minor = 4, principal_minor = principal_minor - 4"
        " WHERE tenant_id = %(tenant)s AND loan_id = %(loan)s",
        loan=TWO,
    )
    books.post(payment(ONE, 5))
    assert go_on(books).is_sound
    for result in (read_everything(books), go_on(books)):
        (loan,) = result.loan_drifts
        assert loan.loan_id == str(TWO)
        assert "interest is 4; its lines add up to 0" in loan.message
        assert result.sum_of_loan_balances_minor == (result.gl_principal_minor or 0) - 4
    books.post(payment(TWO, 5))
    assert not go_on(books).is_sound


def test_a_loan_that_is_missing_is_drift(books: Books) -> None:
    books.tamper("DELETE FROM loans WHERE tenant_id = %(tenant)s AND loan_id = %(loan)s", loan=TWO)
    (loan,) = read_everything(books).loan_drifts
    assert loan.message == "is missing, and lines name it"


def test_the_principal_of_a_loan_that_went_missing_is_taken_off_once(books: Books) -> None:
    of_two = "WHERE tenant_id = %(tenant)s AND loan_id = %(loan)s"
    books.tamper("UPDATE loans SET principal_minor = principal_minor + 4 " + of_two, loan=TWO)
    assert read_everything(books).loan_drifts, "so every run compares it"
    books.tamper("DELETE FROM loans " + of_two, loan=TWO)
    first, second = go_on(books), go_on(books)
    assert first.loan_drifts == second.loan_drifts != ()
    assert first.sum_of_loan_balances_minor == second.sum_of_loan_balances_minor


def test_the_kept_sums_are_no_more_than_a_shortcut(books: Books) -> None:
    """Whoever deletes or changes them is found by the full proof, which makes them anew."""
    books.tamper(
        "UPDATE reconciliation_sums SET debit_minor = debit_minor + 1 WHERE tenant_id = %(tenant)s"
    )
    assert not go_on(books).is_sound
    assert read_everything(books).is_sound
    assert go_on(books).is_sound


def test_whoever_waits_too_long_gets_the_latest_result(books: Books) -> None:
    latest = go_on(books)
    with _holding_the_lock(books):
        assert reconcile(books.database_url, books.tenant_id, None, wait_seconds=1) == latest


def test_whoever_waits_too_long_for_the_first_result_is_told_so(own_database_url: str) -> None:
    books = Books(own_database_url)
    with _holding_the_lock(books), pytest.raises(ReconciliationBusy):
        reconcile(books.database_url, books.tenant_id, None, wait_seconds=1)


def test_runs_beside_postings_neither_fail_nor_miss_any(books: Books) -> None:
    failures: list[BaseException] = []
    is_over = threading.Event()

    def run() -> None:
        try:
            while not is_over.is_set():
                assert go_on(books).is_sound
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        books.post(payment(ONE, 1), payment(TWO, 1, on=days_ago(2)))
    is_over.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert go_on(books).is_sound
    went_on = kept_by_reconciliation(books)
    read_everything(books)
    assert kept_by_reconciliation(books) == went_on


def _holding_the_lock(books: Books) -> psycopg.Connection[Any]:
    """A connection that reconciles the tenant, as far as others can see; closed at the end."""
    connection = psycopg.connect(books.database_url, autocommit=True)
    connection.execute(
        "SELECT pg_advisory_lock(%s, hashtext(%s))", (0x52434E43, str(books.tenant_id))
    )
    return connection
