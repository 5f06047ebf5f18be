"""`hpts verify --since FILE` goes on from where it ended, and believes nothing newer than that."""

import io
import json
from pathlib import Path

import pytest

from hpts.store.verify import verify, verify_tenant
from hpts.store.verify_progress import VerifiedTenant

from .ledger_fixture import Books, accrual, days_ago, disbursement, payment, reversal
from .verify_story import OF_ENTRY, ONE, TWO


@pytest.fixture
def books(own_database_url: str) -> Books:
    books = Books(own_database_url)
    books.post(disbursement(ONE, 1_000, on=days_ago(40)), disbursement(TWO, 500))
    books.post(accrual({ONE: 30, TWO: 15}))
    return books


def kept(books: Books) -> VerifiedTenant:
    verified = verify_tenant(books.database_url, books.tenant_id)
    assert verified.findings == []
    return verified.kept


def found(books: Books, since: VerifiedTenant) -> dict[str, str]:
    verified = verify_tenant(books.database_url, books.tenant_id, since=since)
    return {finding.check: finding.row for finding in verified.findings}


def test_only_what_came_since_is_walked_and_the_sums_go_on(books: Books) -> None:
    since = kept(books)
    books.post(payment(ONE, 430), payment(TWO, 700))
    verified = verify_tenant(books.database_url, books.tenant_id, since=since)
    assert verified.findings == []
    assert verified.counts["entries"] == 1 + 2, "the last block is walked once more"
    assert verified.kept == kept(books)


def test_it_may_be_repeated_and_goes_on_after_each(books: Books) -> None:
    since = VerifiedTenant(0, "", [])
    for amount in range(1, 5):
        books.post(payment(ONE, amount), payment(TWO, amount))
        (paid,) = books.post(payment(ONE, 10 + amount))
        books.post(reversal(paid))
        verified = verify_tenant(books.database_url, books.tenant_id, since=since)
        assert verified.findings == []
        since = verified.kept
    assert since == kept(books)


def test_nothing_new_is_sound(books: Books) -> None:
    since = kept(books)
    verified = verify_tenant(books.database_url, books.tenant_id, since=since)
    assert (verified.findings, verified.kept) == ([], since)


def test_a_changed_line_of_a_new_entry_is_found(books: Books) -> None:
    since = kept(books)
    (paid,) = books.post(payment(ONE, 430))
    books.tamper(f"UPDATE journal_lines SET amount_minor = 431 {OF_ENTRY}", entry=paid)
    rows = found(books, since)
    assert rows["entry_hash"] == f"journal_entries {paid}"
    assert "account_totals" in rows


def test_an_older_block_that_was_rewritten_is_found(books: Books) -> None:
    since = kept(books)
    books.post(payment(ONE, 430))
    books.tamper(
        "UPDATE ledger_blocks SET block_hash = sha256('x') WHERE tenant_id = %(tenant)s"
        " AND block_number = 2"
    )
    assert found(books, since)["block_chain"] == "ledger_blocks 2"


def test_a_ledger_that_was_cut_off_is_found(books: Books) -> None:
    books.post(payment(ONE, 430))
    since = kept(books)
    books.tamper(
        "DELETE FROM ledger_blocks WHERE tenant_id = %(tenant)s AND block_number = 3",
        "UPDATE ledger_heads SET (block_number, previous_hash, block_hash) = (SELECT block_number,"
        " previous_hash, block_hash FROM ledger_blocks WHERE tenant_id = %(tenant)s AND"
        " block_number = 2) WHERE tenant_id = %(tenant)s",
    )
    assert found(books, since)["block_chain"] == "ledger_blocks 3"


def test_changed_totals_and_loans_are_found_though_their_lines_are_old(books: Books) -> None:
    since = kept(books)
    books.post(payment(ONE, 430))
    books.tamper(
        "UPDATE loans SET principal_minor = principal_minor + 1 WHERE tenant_id = %(tenant)s"
        " AND loan_id = %(loan)s",
        loan=TWO,
    )
    assert found(books, since) == {"loans": "loans"}
    books.tamper(
        "UPDATE account_totals SET debit_minor = debit_minor + 1 WHERE tenant_id = %(tenant)s"
        " AND account_code = 1100"
    )
    assert found(books, since) == {"loans": "loans", "account_totals": "account_totals 1100 USD S"}


def test_the_file_holds_every_tenant_and_is_written_only_for_sound_ones(
    books: Books, tmp_path: Path
) -> None:
    other = Books(books.database_url)
    other.post(disbursement(ONE, 5))
    path = tmp_path / "verified.json"
    out = io.StringIO()
    verify(books.database_url, None, out, path)
    first = json.loads(path.read_text())["tenants"]
    assert {str(books.tenant_id), str(other.tenant_id)} <= first.keys()
    (paid,) = books.post(payment(ONE, 430))
    other.post(disbursement(TWO, 5))
    books.tamper(f"UPDATE journal_lines SET amount_minor = 431 {OF_ENTRY}", entry=paid)
    out = io.StringIO()
    assert verify(books.database_url, None, out, path) == 1
    assert "since block 2, verified before" in out.getvalue()
    second = json.loads(path.read_text())["tenants"]
    assert second[str(books.tenant_id)] == first[str(books.tenant_id)]
    assert second[str(other.tenant_id)]["block_number"] == 2


def test_a_file_of_something_else_is_refused_and_kept(books: Books, tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear auditor")
    with pytest.raises(ValueError, match="is not a file of"):
        verify(books.database_url, books.tenant_id, io.StringIO(), path)
    assert path.read_text() == "Dear auditor"
