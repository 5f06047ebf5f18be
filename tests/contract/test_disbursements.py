"""Disbursements: they open loans, add principal and debit 1100 against 2000."""

from __future__ import annotations

import uuid

import pytest

from .client import (
    INT64_MAX,
    Loan,
    account_totals,
    answered,
    lines_of,
    owed,
    posted,
    refused,
    utc_day,
)
from .document import instant


def test_the_first_disbursement_opens_the_loan(api):
    loan = Loan()
    refused(api.loan(loan.loan_id), 404, "not_found")
    posted(api.disburse(loan, 250_000))
    assert owed(api, loan) == (250_000, 0, 0)


def test_later_disbursements_add_principal(api):
    loan = Loan()
    posted(api.disburse(loan, 1))
    posted(api.disburse(loan, 41))
    assert owed(api, loan) == (42, 0, 0)


def test_a_disbursement_debits_principal_and_credits_clearing(api):
    loan = Loan()
    result = posted(api.disburse(loan, 777, destination_ref="iban:DE89", effective_at=utc_day(-3)))
    entry = answered(api.entry(result["journal_entry_id"]))
    assert lines_of(entry) == [("1100", "DR", 777), ("2000", "CR", 777)]
    assert entry["event_type"] == "disbursement"
    assert entry["effective_at"] == utc_day(-3)
    assert entry["posted_at"] == result["posted_at"]
    assert entry["actor"] == "tester"
    assert "reverses_entry_id" not in entry
    uuid.UUID(entry["correlation_id"])
    for line in entry["lines"]:
        assert line["loan_id"] == loan.loan_id
        assert line["borrower_id"] == loan.borrower_id
        assert line["external_ref"] == "iban:DE89"
        assert (line["currency"], line["layer"]) == ("USD", "SETTLED")


def test_lines_have_no_external_ref_when_no_destination_is_given(api):
    result = posted(api.disburse(Loan(), 5))
    entry = answered(api.entry(result["journal_entry_id"]))
    assert all("external_ref" not in line for line in entry["lines"])


def test_identifiers_are_time_ordered_uuids(api):
    result = posted(api.disburse(Loan(), 5))
    assert uuid.UUID(result["journal_entry_id"]).version == 7
    assert uuid.UUID(result["disbursement_event_id"]).version == 7


def test_every_first_event_has_its_own_correlation_id(api):
    entries = [posted(api.disburse(Loan(), 5))["journal_entry_id"] for _ in range(3)]
    assert len({answered(api.entry(entry))["correlation_id"] for entry in entries}) == 3


def test_location_leads_to_the_entry(api):
    response = api.disburse(Loan(), 5)
    entry = api.client.get(response.headers["Location"], headers=api.authorization(api.token))
    api.document.check_response(entry)
    assert answered(entry)["journal_entry_id"] == posted(response)["journal_entry_id"]


def test_the_first_disbursement_fixes_the_borrower(api):
    loan = api.open_loan(100)
    refused(api.disburse(Loan(loan.loan_id), 1), 422, "borrower_mismatch")
    assert owed(api, loan) == (100, 0, 0)


def test_the_first_disbursement_fixes_the_currency(api):
    loan = api.open_loan(100)
    refused(api.disburse(loan, 1, currency="EUR"), 422, "currency_mismatch")
    assert owed(api, loan) == (100, 0, 0)


def test_currency_is_compared_before_the_borrower(api):
    loan = api.open_loan(100)
    refused(api.disburse(Loan(loan.loan_id, currency="EUR"), 1), 422, "currency_mismatch")


def test_a_disbursement_of_nothing_is_refused(api):
    loan = Loan()
    refused(api.disburse(loan, "0"), 422, "amount_not_positive")
    refused(api.loan(loan.loan_id), 404, "not_found")


@pytest.mark.parametrize("amount", [INT64_MAX + 1, "9999999999999999999"])
def test_an_amount_above_int64_is_refused(api, amount):
    refused(api.disburse(Loan(), amount), 422, "amount_overflow")


@pytest.mark.parametrize("currency", ["ABC", "QQQ", "DEM", "ITL", "HRK", "ZZZ"])
def test_a_code_that_is_not_an_active_currency_is_refused(api, currency):
    refused(api.disburse(Loan(currency=currency), 1), 422, "unknown_currency")


@pytest.mark.parametrize("currency", ["USD", "EUR", "JPY", "KWD", "GBP", "CHF"])
def test_active_currencies_are_accepted(api, currency):
    loan = api.open_loan(5, currency=currency)
    assert owed(api, loan) == (5, 0, 0)


def test_rules_are_checked_in_the_order_of_the_table(api):
    loan = api.open_loan(100)
    wrong = Loan(loan.loan_id, currency="ABC")
    late = {"effective_at": utc_day(9)}
    refused(api.disburse(wrong, "0", **late), 422, "amount_not_positive")
    refused(api.disburse(wrong, INT64_MAX + 1, **late), 422, "amount_overflow")
    refused(api.disburse(wrong, 1, **late), 422, "unknown_currency")
    wrong = Loan(loan.loan_id, currency="EUR")
    refused(api.disburse(wrong, 1, **late), 422, "currency_mismatch")
    refused(api.disburse(Loan(loan.loan_id), 1, **late), 422, "borrower_mismatch")
    refused(api.disburse(loan, 1, **late), 422, "effective_date_in_future")


def test_a_disbursement_may_be_effective_tomorrow_and_no_later(api):
    refused(api.disburse(Loan(), 1, effective_at=utc_day(3)), 422, "effective_date_in_future")
    refused(api.disburse(Loan(), 1, effective_at="9999-12-31"), 422, "effective_date_in_future")
    posted(api.disburse(Loan(), 1, effective_at=utc_day(1)))


@pytest.mark.parametrize("day", ["1970-01-01", "1900-02-28", "2024-02-29"])
def test_a_disbursement_may_be_long_ago(api, day):
    result = posted(api.disburse(Loan(), 1, effective_at=day))
    assert answered(api.entry(result["journal_entry_id"]))["effective_at"] == day


def test_metadata_may_take_4096_bytes_and_no_more(api):
    fitting = {"a": "x" * 4088}
    posted(api.disburse(Loan(), 1, metadata=fitting))
    refused(api.disburse(Loan(), 1, metadata={"a": "x" * 4089}), 422, "metadata_too_large")


def test_white_space_around_metadata_does_not_count(api):
    loan = Loan()
    body = (
        f'{{"loan_id":"{loan.loan_id}","borrower_id":"{loan.borrower_id}","amount_minor":"1",'
        f'"currency":"USD","effective_at":"{utc_day()}","method":"ach",'
        f'"metadata":{{{" " * 9000}"a":1}}}}'
    )
    posted(api.post("/disbursements", body.encode()))


@pytest.mark.parametrize("reference", ["x", "r" * 255, "😀" * 255, 'quote " \\ \t é'])
def test_a_destination_ref_is_kept_as_it_was_sent(api, reference):
    result = posted(api.disburse(Loan(), 1, destination_ref=reference))
    entry = answered(api.entry(result["journal_entry_id"]))
    assert {line["external_ref"] for line in entry["lines"]} == {reference}


def test_entries_are_recorded_in_posting_order(api):
    loan = api.open_loan(10, effective_at=utc_day(-1))
    results = [posted(api.disburse(loan, 1, effective_at=utc_day(-day))) for day in range(5)]
    instants = [instant(result["posted_at"]) for result in results]
    assert instants == sorted(instants)


def test_two_tenants_may_use_one_loan_id(api, other_api):
    loan = api.open_loan(100)
    theirs = Loan(loan.loan_id, currency="EUR")
    posted(other_api.disburse(theirs, 7))
    assert owed(api, loan) == (100, 0, 0)
    assert owed(other_api, theirs) == (7, 0, 0)
    assert account_totals(api, "1100") == (100, 0, 100)
