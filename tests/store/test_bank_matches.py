"""Matches are found whenever something new can be matched, and whoever took the new lines over."""

import datetime
import uuid
from typing import Any

import pytest

from hpts.store.bank_session import BankSession
from tests.bank.banking import Bank, Line, csv_statement
from tests.store.ledger_fixture import Books, days_ago, disbursement, payment, today

LOAN = uuid.uuid5(uuid.NAMESPACE_OID, "bank matches")


@pytest.fixture
def bank(database_url: str) -> Bank:
    bank = Bank(Books(database_url))
    bank.add_account()
    bank.books.post(disbursement(LOAN, 100_000, on=days_ago(60)))
    return bank


def statement(*lines: Line, opening: str = "0.00", closing: str) -> bytes:
    return csv_statement(*lines, day=today().isoformat(), opening=opening, closing=closing)


def line_of(day: datetime.date, amount: str, reference: str = "") -> Line:
    return Line(day.isoformat(), amount, reference=reference, text="credit")


def test_a_known_file_takes_lines_over_and_leaves_none_of_them_unmatched(bank: Bank) -> None:
    of_today = statement(line_of(today(), "50.00"), closing="50.00")
    bank.import_one(of_today)
    bank.books.post(payment(LOAN, 5_000))
    assert not bank.import_one(of_today).is_new
    assert bank.status(today().isoformat()).status == "reconciled"
    assert [rule for rule, _, _ in bank.matches()] == ["amount_and_date"]


def test_what_an_undone_match_sets_free_is_matched_with_what_it_belongs_to(bank: Bank) -> None:
    (wrong,) = bank.books.post(payment(LOAN, 5_000, on=days_ago(20)))
    bank.import_one(statement(line_of(days_ago(1), "50.00", "right-one"), closing="50.00"))
    keys = bank.open_keys()
    assert str(wrong) in {key.source_id for key in keys} and len(keys) == 2
    made = bank.match(keys)
    bank.books.post(payment(LOAN, 5_000, on=days_ago(1)))
    bank.status(today().isoformat())
    assert [rule for rule, _, _ in bank.matches()] == ["manual"]
    bank.undo(made)
    bank.status(today().isoformat())
    assert [rule for rule, _, _ in bank.matches()] == ["amount_and_date"]


def test_the_same_files_give_the_same_items_and_matches_in_any_order(database_url: str) -> None:
    files = [
        csv_statement(
            line_of(today(), "50.00", closing),
            day=today().isoformat(),
            opening=opening,
            closing=closing,
            name=closing,
        )
        for opening, closing in (("0.00", "50.00"), ("50.00", "100.00"), ("100.00", "150.00"))
    ]
    found = []
    for order in (files, files[::-1]):
        bank = Bank(Books(database_url))
        bank.add_account()
        bank.import_files(*order)
        found.append(sorted(bank.open_keys()))
    assert found[0] == found[1]


def test_payments_that_the_bank_cannot_know_of_yet_are_not_looked_at(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []
    real = BankSession.rows

    async def rows(session: BankSession, name: str, **values: Any) -> list[Any]:
        found = await real(session, name, **values)
        if name == "read_open_bank_items" and values["side"] == "L":
            looked_at.append(len(found))
        return found

    monkeypatch.setattr(BankSession, "rows", rows)
    bank.books.post(payment(LOAN, 5_000, on=days_ago(1)))
    yesterday = line_of(days_ago(1), "50.00")
    bank.import_one(
        csv_statement(yesterday, day=days_ago(1).isoformat(), opening="0.00", closing="50.00")
    )
    assert (looked_at, len(bank.matches())) == ([1], 1)
    bank.books.post(payment(LOAN, 700))
    bank.status(today().isoformat())
    assert looked_at == [1, 0], "there is no line that it could be"
    # Until there is one: a line of yesterday can be a payment of today.
    late = line_of(days_ago(1), "7.00")
    bank.import_one(
        csv_statement(late, day=days_ago(1).isoformat(), opening="50.00", closing="57.00")
    )
    assert (looked_at, len(bank.matches())) == ([1, 0, 1], 2)
