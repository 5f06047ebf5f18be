"""Reversals: the mirror image, once, never of a reversal, never below zero."""

from __future__ import annotations

import uuid

import pytest

from .client import (
    account_totals,
    answered,
    in_parallel,
    lines_of,
    new_uuid,
    owed,
    persist,
    posted,
    refused,
    reversal_body,
    utc_day,
)

OPPOSITE = {"DR": "CR", "CR": "DR"}


def mirror(entry):
    return sorted(
        (
            line["account_code"],
            OPPOSITE[line["direction"]],
            line["amount_minor"],
            line["currency"],
            line["layer"],
            line.get("loan_id"),
            line.get("borrower_id"),
        )
        for line in entry["lines"]
    )


def plain(entry):
    return mirror(
        {"lines": [{**line, "direction": OPPOSITE[line["direction"]]} for line in entry["lines"]]}
    )


def test_a_reversal_exchanges_the_sides_of_every_line(api):
    loan = api.open_loan(1_000)
    posted(api.accrue([(loan.loan_id, 30)]))
    payment = posted(api.pay(loan, 1_500))
    original = answered(api.entry(payment["journal_entry_id"]))
    result = posted(api.reverse(payment["journal_entry_id"], effective_at=utc_day(-1)))
    assert result["reverses_entry_id"] == payment["journal_entry_id"]
    assert uuid.UUID(result["journal_entry_id"]).version == 7
    reversal = answered(api.entry(result["journal_entry_id"]))
    assert plain(reversal) == mirror(original)
    assert len(lines_of(reversal)) == len(lines_of(original))
    assert reversal["event_type"] == "reversal"
    assert reversal["reverses_entry_id"] == payment["journal_entry_id"]
    assert reversal["effective_at"] == utc_day(-1)
    assert reversal["posted_at"] == result["posted_at"]
    assert reversal["actor"] == "tester"


def test_a_reversal_belongs_to_the_flow_of_its_original(api):
    loan = api.open_loan(100)
    payment = posted(api.pay(loan, 10))
    original = answered(api.entry(payment["journal_entry_id"]))
    result = posted(api.reverse(payment["journal_entry_id"]))
    reversal = answered(api.entry(result["journal_entry_id"]))
    assert reversal["correlation_id"] == original["correlation_id"]
    assert result.get("correlation_id", original["correlation_id"]) == original["correlation_id"]


def test_the_original_stays_as_it_was(api):
    payment = posted(api.pay(api.open_loan(100), 10))
    before = api.entry(payment["journal_entry_id"])
    posted(api.reverse(payment["journal_entry_id"]))
    assert api.entry(payment["journal_entry_id"]).content == before.content


def test_reversing_a_payment_restores_the_loan(api):
    loan = api.open_loan(1_000)
    posted(api.accrue([(loan.loan_id, 30)]))
    payment = posted(api.pay(loan, 1_500))
    assert owed(api, loan) == (0, 0, 0)
    posted(api.reverse(payment["journal_entry_id"]))
    assert owed(api, loan) == (1_000, 30, 0)
    assert account_totals(api, "1000") == (1_500, 1_500, 0)
    assert account_totals(api, "2100") == (470, 470, 0)


def test_a_restored_loan_is_paid_again_in_the_usual_order(api):
    loan = api.open_loan(1_000)
    posted(api.accrue([(loan.loan_id, 30)]))
    posted(api.reverse(posted(api.pay(loan, 200))["journal_entry_id"]))
    allocation = posted(api.pay(loan, 40))["allocation"]
    assert (allocation["interest_minor"], allocation["principal_minor"]) == ("30", "10")


def test_reversing_an_accrual_takes_the_interest_back(api):
    loan = api.open_loan(1_000)
    accrual = posted(api.accrue([(loan.loan_id, 30)]))
    posted(api.reverse(accrual["journal_entry_id"]))
    assert owed(api, loan) == (1_000, 0, 0)
    assert account_totals(api, "4000") == (30, 30, 0)


def test_reversing_the_only_disbursement_leaves_the_loan_with_nothing_owed(api):
    loan = api.open_loan(500)
    entry = answered(api.journal(loan.loan_id))["items"][0]
    posted(api.reverse(entry["journal_entry_id"]))
    assert owed(api, loan) == (0, 0, 0)
    assert posted(api.pay(loan, 9))["allocation"]["suspense_minor"] == "9"


def test_an_entry_is_reversed_once(api):
    payment = posted(api.pay(api.open_loan(100), 10))
    posted(api.reverse(payment["journal_entry_id"]))
    refused(api.reverse(payment["journal_entry_id"]), 422, "already_reversed")


def test_of_many_reversals_at_once_one_is_posted(api):
    loan = api.open_loan(100)
    payment = posted(api.pay(loan, 10))["journal_entry_id"]
    tasks = [
        lambda key=f"reversal-race-{index}": persist(lambda: api.reverse(payment, key=key))
        for index in range(12)
    ]
    replies = in_parallel(tasks, threads=12)
    assert sorted(reply.status_code for reply in replies) == [201] + [422] * 11
    for reply in replies:
        if reply.status_code == 422:
            refused(reply, 422, "already_reversed")
    assert owed(api, loan) == (100, 0, 0)


def test_a_reversal_is_not_reversible(api):
    payment = posted(api.pay(api.open_loan(100), 10))
    reversal = posted(api.reverse(payment["journal_entry_id"]))
    refused(api.reverse(reversal["journal_entry_id"]), 422, "not_reversible")


def test_an_unknown_entry_cannot_be_reversed(api):
    refused(api.reverse(new_uuid()), 422, "entry_not_found")


def test_an_entry_of_another_tenant_is_unknown(api, other_api):
    theirs = posted(other_api.pay(other_api.open_loan(100), 10))["journal_entry_id"]
    refused(api.reverse(theirs), 422, "entry_not_found")
    posted(other_api.reverse(theirs))


def test_a_disbursement_that_was_paid_back_cannot_be_reversed(api):
    loan = api.open_loan(100)
    disbursement = answered(api.journal(loan.loan_id))["items"][0]["journal_entry_id"]
    payment = posted(api.pay(loan, 1))["journal_entry_id"]
    refused(api.reverse(disbursement), 422, "negative_balance")
    assert owed(api, loan) == (99, 0, 0)
    posted(api.reverse(payment))
    posted(api.reverse(disbursement))
    assert owed(api, loan) == (0, 0, 0)


def test_an_accrual_that_was_paid_cannot_be_reversed(api):
    paid, unpaid = api.open_loan(100), api.open_loan(100)
    accrual = posted(api.accrue([(unpaid.loan_id, 5), (paid.loan_id, 5)]))["journal_entry_id"]
    posted(api.pay(paid, 1))
    refused(api.reverse(accrual), 422, "negative_balance")
    assert owed(api, unpaid) == (100, 5, 0)
    assert owed(api, paid) == (100, 4, 0)


def test_a_refused_reversal_does_not_mark_the_entry(api):
    loan = api.open_loan(100)
    payment = posted(api.pay(loan, 10))["journal_entry_id"]
    late = {"effective_at": utc_day(9)}
    refused(api.reverse(payment, **late), 422, "effective_date_in_future")
    refused(api.reverse(payment, metadata={"a": "x" * 5_000}), 422, "metadata_too_large")
    posted(api.reverse(payment))


def test_rules_are_checked_in_the_order_of_the_table(api):
    payment = posted(api.pay(api.open_loan(100), 10))["journal_entry_id"]
    reversal = posted(api.reverse(payment))["journal_entry_id"]
    late = {"effective_at": utc_day(9)}
    heavy = {"metadata": {"a": "x" * 5_000}}
    for entry_id in (new_uuid(), payment, reversal):
        refused(api.reverse(entry_id, **late, **heavy), 422, "effective_date_in_future")
    refused(api.reverse(new_uuid(), **heavy), 422, "entry_not_found")
    refused(api.reverse(payment, **heavy), 422, "already_reversed")
    refused(api.reverse(reversal, **heavy), 422, "not_reversible")


@pytest.mark.parametrize(
    "reason",
    [
        "error_correction",
        "payment_returned",
        "duplicate",
        "fraud",
        "chargeback",
        "customer_dispute",
        "other",
    ],
)
def test_every_reason_is_accepted(api, reason):
    payment = posted(api.pay(api.open_loan(100), 10))
    posted(api.reverse(payment["journal_entry_id"], reason_code=reason))


def test_a_reason_description_has_1_to_500_characters(api):
    payment = posted(api.pay(api.open_loan(100), 10))["journal_entry_id"]
    for text in ("", "x" * 501):
        body = reversal_body(payment, reason_description=text)
        refused(api.post("/reversals", body), 400, "bad_request")
    posted(api.reverse(payment, reason_description="é" * 500))
