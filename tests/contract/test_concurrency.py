"""Concurrency: hot loans and accounts, opposite lock orders; sums stay exact, nothing is 5xx."""

from __future__ import annotations

from .client import (
    Loan,
    account_totals,
    answered,
    fresh_key,
    in_parallel,
    owed,
    persist,
    posted,
    refused,
    utc_day,
)


def with_one_key(send):
    """A task that repeats one request under one key until the server is not busy."""
    key = fresh_key()
    return lambda: persist(lambda: send(key))


def settled(response) -> dict:
    """The result of a post that persist may have repeated: 201, or 200 if the 201 was lost."""
    assert response.status_code in (200, 201), response.text
    return response.json()


def test_200_payments_at_once_on_one_loan_are_allocated_within_what_is_owed(api):
    loan = api.open_loan(1_000)
    posted(api.accrue([(loan.loan_id, 100)]))
    tasks = [with_one_key(lambda key: api.pay(loan, 7, key=key)) for _ in range(200)]
    results = [settled(reply) for reply in in_parallel(tasks, threads=32)]
    assert len({result["journal_entry_id"] for result in results}) == 200
    parts = [result["allocation"] for result in results]
    assert all(sum(int(minor) for minor in part.values()) == 7 for part in parts)
    totals = {name: sum(int(part[name]) for part in parts) for name in parts[0]}
    assert totals == {
        "fees_minor": 0,
        "interest_minor": 100,
        "principal_minor": 1_000,
        "suspense_minor": 300,
    }
    assert owed(api, loan) == (0, 0, 0)
    assert account_totals(api, "1000") == (1_400, 0, 1_400)
    assert account_totals(api, "2100") == (0, 300, 300)
    assert account_totals(api, "1200") == (100, 100, 0)


def test_payments_at_once_are_allocated_in_posting_order(api):
    loan = api.open_loan(1_000)
    posted(api.accrue([(loan.loan_id, 100)]))
    tasks = [with_one_key(lambda key: api.pay(loan, 7, key=key)) for _ in range(64)]
    in_parallel(tasks, threads=32)
    page = answered(api.journal(loan.loan_id, event_type="payment_received", page_size=200))
    interest = 100
    assert len(page["items"]) == 64
    for entry in reversed(page["items"]):
        paid = sum(
            int(line["amount_minor"]) for line in entry["lines"] if line["account_code"] == "1200"
        )
        assert paid == min(interest, 7), entry
        interest -= paid


def test_of_many_first_disbursements_one_borrower_opens_the_loan(api):
    loans = [Loan(Loan().loan_id)]
    loans += [Loan(loans[0].loan_id) for _ in range(15)]
    tasks = [with_one_key(lambda key, loan=loan: api.disburse(loan, 10, key=key)) for loan in loans]
    replies = in_parallel(tasks, threads=16)
    winners = [
        loan for loan, reply in zip(loans, replies, strict=True) if reply.status_code in (200, 201)
    ]
    assert len(winners) == 1
    for reply in replies:
        if reply.status_code not in (200, 201):
            refused(reply, 422, "borrower_mismatch")
    assert owed(api, winners[0]) == (10, 0, 0)


def test_many_disbursements_at_once_to_a_new_loan_all_count(api):
    loan = Loan()
    tasks = [with_one_key(lambda key: api.disburse(loan, 3, key=key)) for _ in range(64)]
    for reply in in_parallel(tasks, threads=32):
        settled(reply)
    assert owed(api, loan) == (192, 0, 0)
    assert account_totals(api, "2000") == (0, 192, 192)


def test_batches_and_payments_in_opposite_orders_never_fail(api):
    loans = [api.open_loan(1_000_000) for _ in range(40)]
    tasks = []
    for index in range(20):
        ordered = loans if index % 2 else loans[::-1]
        day = utc_day(-index)
        tasks.append(
            with_one_key(
                lambda key, ordered=ordered, day=day: api.accrue(
                    [(loan.loan_id, 5) for loan in ordered], accrual_date=day, key=key
                )
            )
        )
        tasks += [
            with_one_key(lambda key, loan=loan: api.pay(loan, 11, key=key))
            for loan in ordered[index : index + 20]
        ]
    replies = in_parallel(tasks, threads=32)
    cash = 0
    for reply in replies:
        result = settled(reply)
        if "allocation" in result:
            cash += 11
    exposure = sum(sum(owed(api, loan)) for loan in loans)
    assert exposure == 40 * 1_000_000 + 20 * 40 * 5 - cash
    assert account_totals(api, "1000") == (cash, 0, cash)
    assert account_totals(api, "4000") == (0, 4_000, 4_000)
    status = answered(api.get("/reconciliation/status"))
    assert status["ledger_integrity"]["status"] == "ok"
    assert status["portfolio_rollup"]["status"] == "ok"


def test_a_payment_racing_the_reversal_of_its_accrual_leaves_no_negative_component(api):
    loans = [api.open_loan(1_000) for _ in range(12)]
    accruals = [posted(api.accrue([(loan.loan_id, 50)]))["journal_entry_id"] for loan in loans]
    tasks = []
    for loan, accrual in zip(loans, accruals, strict=True):
        tasks.append(with_one_key(lambda key, loan=loan: api.pay(loan, 50, key=key)))
        tasks.append(with_one_key(lambda key, accrual=accrual: api.reverse(accrual, key=key)))
    replies = in_parallel(tasks, threads=24)
    for loan, payment, reversal in zip(loans, replies[::2], replies[1::2], strict=True):
        paid_interest = settled(payment)["allocation"]["interest_minor"]
        if reversal.status_code in (200, 201):
            assert paid_interest == "0"
            assert owed(api, loan) == (950, 0, 0)
        else:
            refused(reversal, 422, "negative_balance")
            assert paid_interest == "50"
            assert owed(api, loan) == (1_000, 0, 0)


def test_tenants_at_once_do_not_mix(api, other_api):
    ours, theirs = api.open_loan(1_000), other_api.open_loan(1_000)
    tasks = []
    for _ in range(50):
        tasks.append(with_one_key(lambda key: api.pay(ours, 1, key=key)))
        tasks.append(with_one_key(lambda key: other_api.pay(theirs, 2, key=key)))
    for reply in in_parallel(tasks, threads=32):
        settled(reply)
    assert owed(api, ours) == (950, 0, 0)
    assert owed(other_api, theirs) == (900, 0, 0)


def test_balances_read_during_payments_are_whole(api):
    loan = api.open_loan(1_000)
    posted(api.accrue([(loan.loan_id, 500)]))
    writes = [with_one_key(lambda key: api.pay(loan, 10, key=key)) for _ in range(100)]
    reads = [lambda: sum(owed(api, loan))] * 100
    tasks = [task for pair in zip(writes, reads, strict=True) for task in pair]
    seen = [result for result in in_parallel(tasks, threads=24) if isinstance(result, int)]
    assert all(total % 10 == 0 and 500 <= total <= 1_500 for total in seen)
    assert owed(api, loan) == (500, 0, 0)
