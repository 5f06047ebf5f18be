"""`hpts reconcile` as an operator calls it: what it prints, and its exit status."""

import uuid

import pytest

from hpts.cli import main
from tests.store.ledger_fixture import Books, days_ago, disbursement, payment

ONE, TWO = (uuid.uuid5(uuid.NAMESPACE_OID, str(number)) for number in range(2))


@pytest.fixture
def books(own_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Books:
    monkeypatch.setenv("HPTS_DATABASE_URL", own_database_url)
    books = Books(own_database_url)
    books.post(disbursement(ONE, 1_000, on=days_ago(9)))
    books.post(disbursement(TWO, 500, currency="EUR"))
    return books


def reconcile(books: Books, *arguments: str) -> int:
    return main(["reconcile", "--tenant", str(books.tenant_id), *arguments])


def test_it_shows_every_currency_and_goes_on_from_the_last_time(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reconcile(books) == 0
    shown = capsys.readouterr().out
    assert "read everything through block 2" in shown
    assert "ledger integrity  ok" in shown
    assert "USD (primary): principal 1000 by the lines, 1000 by the loans" in shown
    assert "EUR: principal 500 by the lines, 500 by the loans" in shown
    books.post(payment(ONE, 1))
    assert reconcile(books) == 0
    assert "read 1 new entries through block 3" in capsys.readouterr().out


def test_a_past_day_is_reconciled_as_of_its_end(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reconcile(books, "--as-of", days_ago(3).isoformat()) == 0
    shown = capsys.readouterr().out
    assert f"as of {days_ago(3)}" in shown
    assert "EUR" not in shown


def test_drift_names_account_and_block_and_is_exit_status_1(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reconcile(books) == 0
    books.post(payment(ONE, 1))
    books.tamper(
        "UPDATE account_totals SET debit_minor = debit_minor + 1"
        " WHERE tenant_id = %(tenant)s AND account_code = 1000"
    )
    capsys.readouterr()
    assert reconcile(books) == 1
    shown = capsys.readouterr().out
    assert "ledger integrity  DRIFT: 1 accounts" in shown
    assert "1000 USD S for ever: debits 2 (lines: 1), credits 0 (lines: 0); first block 3" in shown
    assert reconcile(books, "--full") == 1


def test_an_unknown_tenant_and_a_bad_day_are_refused(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reconcile", "--tenant", str(uuid.uuid4())]) == 1
    assert "hpts tenant list" in capsys.readouterr().err
    with pytest.raises(SystemExit) as refused:
        reconcile(books, "--as-of", "2026-02-30")
    assert refused.value.code == 2
    assert "YYYY-MM-DD" in capsys.readouterr().err
