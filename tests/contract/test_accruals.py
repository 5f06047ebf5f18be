"""Accrual batches: a debit line per loan, one credit, each loan once a day."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from tests.store.ledger_fixture import Books, disbursement

from .client import (
    INT64_MAX,
    Loan,
    account_totals,
    accrual_body,
    answered,
    failing_fields,
    in_parallel,
    lines_of,
    new_uuid,
    owed,
    persist,
    posted,
    refused,
    utc_day,
)

POSTINGS_AT_ONCE = 500
"""Few enough to be answered well within the deadline of a posting."""


def offending_loans(problem) -> set[int]:
    """The positions in loans[] that errors[] names, e.g. 3 for loans[3].loan_id."""
    fields = failing_fields(problem)
    assert all(field.startswith("loans[") for field in fields), fields
    return {int(field.removeprefix("loans[").split("]")[0]) for field in fields}


def test_a_batch_debits_each_loan_and_credits_income_once(api):
    loans = [api.open_loan(1_000) for _ in range(3)]
    interest = {loan.loan_id: 10 + index for index, loan in enumerate(loans)}
    result = posted(api.accrue(interest.items(), accrual_date=utc_day(-2)))
    assert (result["loan_count"], result["total_accrued_minor"]) == (3, "33")
    entry = answered(api.entry(result["journal_entry_id"]))
    assert entry["event_type"] == "accrual"
    assert entry["effective_at"] == utc_day(-2)
    assert entry["posted_at"] == result["posted_at"]
    assert entry["actor"] == "tester"
    uuid.UUID(entry["correlation_id"])
    assert len(lines_of(entry)) == 4
    debits = [line for line in entry["lines"] if line["direction"] == "DR"]
    credits = [line for line in entry["lines"] if line["direction"] == "CR"]
    assert {line["loan_id"]: int(line["amount_minor"]) for line in debits} == interest
    assert {line["account_code"] for line in debits} == {"1200"}
    assert [(line["account_code"], line["amount_minor"]) for line in credits] == [("4000", "33")]
    borrowers = {loan.loan_id: loan.borrower_id for loan in loans}
    assert {line["loan_id"]: line["borrower_id"] for line in debits} == borrowers
    assert "loan_id" not in credits[0] and "borrower_id" not in credits[0]
    for loan in loans:
        assert owed(api, loan) == (1_000, interest[loan.loan_id], 0)
    assert account_totals(api, "4000") == (0, 33, 33)


def test_identifiers_are_time_ordered_uuids(api):
    result = posted(api.accrue([(api.open_loan(5).loan_id, 1)]))
    assert uuid.UUID(result["journal_entry_id"]).version == 7
    assert uuid.UUID(result["accrual_event_id"]).version == 7


def test_a_loan_without_interest_has_no_line(api):
    bearing, resting = api.open_loan(100), api.open_loan(100)
    result = posted(api.accrue([(bearing.loan_id, 3), (resting.loan_id, 0)]))
    assert (result["loan_count"], result["total_accrued_minor"]) == (2, "3")
    entry = answered(api.entry(result["journal_entry_id"]))
    assert sorted(lines_of(entry)) == [("1200", "DR", 3), ("4000", "CR", 3)]
    assert owed(api, resting) == (100, 0, 0)


def test_a_batch_without_any_interest_is_refused(api):
    # An entry has at least two lines, all positive (section 2), so there is nothing to post.
    loan = api.open_loan(100)
    response = api.accrue([(loan.loan_id, 0)])
    assert response.status_code == 422, response.text


def test_an_unknown_loan_is_refused_and_nothing_is_posted(api):
    loan = api.open_loan(100)
    refused(api.accrue([(loan.loan_id, 1), (new_uuid(), 1)]), 422, "loan_not_found")
    assert owed(api, loan) == (100, 0, 0)


def test_a_loan_of_another_tenant_is_unknown(api, other_api):
    refused(api.accrue([(other_api.open_loan(5).loan_id, 1)]), 422, "loan_not_found")


def test_a_batch_is_in_one_currency(api):
    dollars = [api.open_loan(100), api.open_loan(100)]
    euros = api.open_loan(100, currency="EUR")
    interest = [(dollars[0].loan_id, 1), (euros.loan_id, 1), (dollars[1].loan_id, 1)]
    problem = refused(api.accrue(interest), 422, "mixed_currencies")
    assert 1 in offending_loans(problem)
    assert owed(api, dollars[0]) == (100, 0, 0)


def test_a_batch_may_be_in_any_currency(api):
    euros = api.open_loan(100, currency="EUR")
    posted(api.accrue([(euros.loan_id, 9)]))
    assert account_totals(api, "1200", "EUR") == (9, 0, 9)
    assert account_totals(api, "1200", "USD") == (0, 0, 0)


def test_a_loan_stands_in_a_batch_once(api):
    loans = [api.open_loan(100) for _ in range(3)]
    order = [0, 1, 1, 2, 0]
    interest = [(loans[index].loan_id, 1) for index in order]
    problem = refused(api.accrue(interest), 422, "duplicate_loan")
    assert offending_loans(problem) in ({2, 4}, {0, 1, 2, 4})
    assert owed(api, loans[0]) == (100, 0, 0)


def test_a_loan_in_another_case_is_the_same_loan(api):
    loan = api.open_loan(100)
    interest = [(loan.loan_id.lower(), 1), (loan.loan_id.upper(), 1)]
    refused(api.accrue(interest), 422, "duplicate_loan")


def test_a_loan_accrues_once_a_day(api):
    loans = [api.open_loan(100) for _ in range(4)]
    day = utc_day(-1)
    posted(api.accrue([(loans[1].loan_id, 5), (loans[3].loan_id, 5)], accrual_date=day))
    problem = refused(
        api.accrue([(loan.loan_id, 6) for loan in loans], accrual_date=day), 422, "already_accrued"
    )
    assert offending_loans(problem) == {1, 3}
    assert [owed(api, loan)[1] for loan in loans] == [0, 5, 0, 5]
    posted(api.accrue([(loan.loan_id, 6) for loan in loans], accrual_date=utc_day(-2)))
    assert [owed(api, loan)[1] for loan in loans] == [6, 11, 6, 11]


def test_another_program_does_not_make_another_day(api):
    loan = api.open_loan(100)
    posted(api.accrue([(loan.loan_id, 5)]))
    refused(api.accrue([(loan.loan_id, 5)], program_id=new_uuid()), 422, "already_accrued")


def test_a_loan_may_accrue_again_after_the_reversal(api):
    loan = api.open_loan(100)
    first = posted(api.accrue([(loan.loan_id, 5)]))
    posted(api.reverse(first["journal_entry_id"]))
    second = posted(api.accrue([(loan.loan_id, 6)]))
    assert owed(api, loan) == (100, 6, 0)
    refused(api.accrue([(loan.loan_id, 7)]), 422, "already_accrued")
    posted(api.reverse(second["journal_entry_id"]))
    posted(api.accrue([(loan.loan_id, 7)]))
    assert owed(api, loan) == (100, 7, 0)


def test_of_two_batches_at_once_for_one_day_one_is_posted(api):
    loan = api.open_loan(100)
    tasks = [
        lambda key=f"accrual-race-{index}": persist(
            lambda: api.accrue([(loan.loan_id, 5)], key=key)
        )
        for index in range(8)
    ]
    replies = in_parallel(tasks, threads=8)
    assert sorted(reply.status_code for reply in replies) == [201] + [422] * 7
    for reply in replies:
        if reply.status_code == 422:
            refused(reply, 422, "already_accrued")
    assert owed(api, loan) == (100, 5, 0)


def test_an_accrual_may_be_for_tomorrow_and_no_later(api):
    loan = api.open_loan(100)
    interest = [(loan.loan_id, 1)]
    refused(api.accrue(interest, accrual_date=utc_day(3)), 422, "effective_date_in_future")
    posted(api.accrue(interest, accrual_date=utc_day(1)))


@pytest.mark.parametrize("member", ["interest_minor", "outstanding_principal_minor"])
def test_any_amount_above_int64_is_refused(api, member):
    body = accrual_body([(api.open_loan(100).loan_id, 1)])
    body["loans"][0][member] = str(INT64_MAX + 1)
    refused(api.post("/accruals/batch", body), 422, "amount_overflow")


def test_a_total_above_int64_is_refused(api):
    loans = [api.open_loan(100), api.open_loan(100)]
    interest = [(loans[0].loan_id, INT64_MAX), (loans[1].loan_id, 1)]
    refused(api.accrue(interest), 422, "amount_overflow")
    assert owed(api, loans[0]) == (100, 0, 0)


def test_rules_are_checked_in_the_order_of_the_table(api):
    dollars, euros = api.open_loan(100), api.open_loan(100, currency="EUR")
    both = [(dollars.loan_id, 1), (euros.loan_id, 1), (dollars.loan_id, 1)]
    late = {"accrual_date": utc_day(9)}
    refused(api.accrue([*both, (new_uuid(), INT64_MAX + 1)], **late), 422, "amount_overflow")
    refused(api.accrue([*both, (new_uuid(), 1)], **late), 422, "loan_not_found")
    refused(api.accrue(both, **late), 422, "mixed_currencies")
    twice = [both[0], both[2]]
    refused(api.accrue(twice, **late), 422, "duplicate_loan")
    refused(api.accrue(twice[:1], **late), 422, "effective_date_in_future")


@pytest.mark.parametrize("convention", ["ACT_365", "ACT_360", "ACT_ACT", "THIRTY_360"])
def test_every_day_count_convention_is_accepted(api, convention):
    loan = api.open_loan(100)
    posted(api.accrue([(loan.loan_id, 1)], day_count_convention=convention))


def test_a_batch_has_at_least_one_loan_and_at_most_10000(api):
    problem = refused(api.accrue([]), 400, "bad_request")
    assert failing_fields(problem) == {"loans"}
    too_many = [(new_uuid(), 1) for _ in range(10_001)]
    problem = refused(api.accrue(too_many), 400, "bad_request")
    assert failing_fields(problem) == {"loans"}


async def lend(books: Books, loan_ids: list[uuid.UUID], amount_minor: int) -> None:
    async with books.open_for_posting() as post:
        for start in range(0, len(loan_ids), POSTINGS_AT_ONCE):
            portion = loan_ids[start : start + POSTINGS_AT_ONCE]
            await post(*(disbursement(loan_id, amount_minor) for loan_id in portion))


def test_a_batch_of_10000_loans_is_one_entry(server, api_of):
    books = Books(server.database_url)
    loan_ids = [uuid.uuid4() for _ in range(10_000)]
    asyncio.run(lend(books, loan_ids, 1_000))
    api, opened = api_of(str(books.tenant_id)), [Loan(str(loan_id)) for loan_id in loan_ids]
    interest = [(loan.loan_id, index + 1) for index, loan in enumerate(opened)]
    total = 10_000 * 10_001 // 2

    def accrue(key):
        # The greatest request there is may find a loaded server busy; persist asks again.
        return persist(lambda: api.accrue(interest, key=key))

    first = accrue("accrual:ten-thousand")
    result = posted(first)
    assert (result["loan_count"], result["total_accrued_minor"]) == (10_000, str(total))
    entry = answered(api.entry(result["journal_entry_id"]))
    lines = lines_of(entry)
    assert len(lines) == 10_001
    assert sorted(amount for code, _, amount in lines if code == "1200") == list(range(1, 10_001))
    replay = accrue("accrual:ten-thousand")
    assert (replay.status_code, replay.content) == (200, first.content)
    problem = refused(accrue("accrual:another-key"), 422, "already_accrued")
    assert offending_loans(problem) == set(range(10_000))
    assert owed(api, opened[9_999]) == (1_000, 10_000, 0)
    entry_id = result["journal_entry_id"]
    posted(persist(lambda: api.reverse(entry_id, key="reversal:ten-thousand")))
    assert owed(api, opened[9_999]) == (1_000, 0, 0)
    assert account_totals(api, "1200") == (total, total, 0)
