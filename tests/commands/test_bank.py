"""`hpts bank` as an operator calls it: what it prints, its exit status, and what it refuses."""

import uuid
from pathlib import Path

import pytest

from hpts.cli import main
from tests.bank.banking import Line, csv_statement
from tests.store.ledger_fixture import Books, disbursement, payment, today

DAY = today().isoformat()


@pytest.fixture
def books(own_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Books:
    monkeypatch.setenv("HPTS_DATABASE_URL", own_database_url)
    return Books(own_database_url)


def bank(books: Books, *arguments: str) -> int:
    action, *rest = arguments
    words = [action] if action != "account" else [action, rest.pop(0)]
    return main(["bank", *words, "--tenant", str(books.tenant_id), *rest])


def add_account(books: Books, *more: str) -> int:
    wanted = ("--ref", "OPERATING", "--account-code", "1000", "--currency", "USD")
    return bank(books, "account", "add", *wanted, *more)


def file_of(folder: Path, name: str, content: bytes) -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def test_from_an_account_to_a_break_and_back(
    books: Books,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loan = uuid.uuid4()
    books.post(disbursement(loan, 1_000_000))
    books.post(payment(loan, 600))
    books.post(payment(loan, 400))
    assert add_account(books, "--identifier", "de89 1") == 0
    assert bank(books, "account", "list") == 0
    assert "1000  USD  OPERATING  DE891" in capsys.readouterr().out
    lines = [Line(DAY, "9.00"), Line(DAY, "1.00")]
    content = csv_statement(*lines, day=DAY, opening="0.00", closing="10.00", account="DE89 1")
    path = file_of(tmp_path, "day.csv", content)
    assert bank(books, "import", path) == 0
    assert "imported 2 lines" in capsys.readouterr().out
    assert bank(books, "import", path) == 0
    assert "known already, nothing changed" in capsys.readouterr().out
    assert bank(books, "status") == 0
    assert "OPERATING  pending  difference 0" in capsys.readouterr().out
    monkeypatch.setenv("HPTS_BANK_PENDING_DAYS", "0")
    assert bank(books, "status") == 1
    assert "4 unmatched" in capsys.readouterr().out
    assert bank(books, "items", "--ref", "OPERATING") == 0
    shown = [line.split()[2] for line in capsys.readouterr().out.splitlines()]
    assert len(shown) == 4
    assert bank(books, "match", "--ref", "OPERATING", "--reason", "one deposit", *shown) == 0
    match_id = capsys.readouterr().out.strip()
    assert bank(books, "status") == 0
    assert "OPERATING  reconciled  difference 0" in capsys.readouterr().out
    assert bank(books, "items", "--ref", "OPERATING", "--status", "matched") == 0
    assert f"{match_id}  manual: one deposit" in capsys.readouterr().out
    assert bank(books, "unmatch", match_id, "--reason", "two deposits") == 0
    assert bank(books, "status") == 1
    assert bank(books, "unmatch", match_id, "--reason", "two deposits") == 1
    assert bank(books, "unmatch", str(uuid.uuid4()), "--reason", "x") == 1
    assert "there is no match" in capsys.readouterr().err


def test_a_bad_file_stops_all_and_says_where_it_is_bad(
    books: Books, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add_account(books) == 0
    good = csv_statement(Line(DAY, "1.00"), day=DAY, opening="0.00", closing="1.00")
    bad = good.replace(b"1.00,,,\nclosing", b"1.0x,,,\nclosing")
    paths = [file_of(tmp_path, "good.csv", good), file_of(tmp_path, "bad.csv", bad)]
    assert bank(books, "import", *paths) == 1
    said = capsys.readouterr().err
    assert "nothing was imported" in said
    assert "bad.csv, line 3, amount: must be an amount such as 1250.00" in said
    assert books.fetch("SELECT count(*) FROM bank_statements WHERE tenant_id = %s") == [(0,)]
    other = file_of(tmp_path, "other.csv", good.replace(b"OPERATING", b"SAVINGS"))
    assert bank(books, "import", paths[0], other) == 1
    assert "no bank account is known as 'SAVINGS'" in capsys.readouterr().err
    assert books.fetch("SELECT count(*) FROM bank_statements WHERE tenant_id = %s") == [(0,)]


def test_a_file_without_end_is_read_no_further_than_the_bound(
    books: Books, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hpts.commands.bank.STATEMENT_FILE_BYTES_MAX", 1_000)
    assert bank(books, "import", "/dev/zero") == 1
    assert "/dev/zero is over 1000 bytes" in capsys.readouterr().err


def test_what_cannot_be_added_is_refused_with_the_reason(
    books: Books, capsys: pytest.CaptureFixture[str]
) -> None:
    assert add_account(books) == 0
    assert add_account(books) == 1
    assert "bank_account_ref is taken" in capsys.readouterr().err
    assert (
        bank(books, "account", "add", "--ref", "A", "--account-code", "9999", "--currency", "USD")
        == 1
    )
    assert "account_code is not in the tenant's chart" in capsys.readouterr().err
    assert bank(books, "items", "--ref", "NOBODY") == 1
    assert main(["bank", "status", "--tenant", str(uuid.uuid4())]) == 1
    assert "there is no tenant" in capsys.readouterr().err
