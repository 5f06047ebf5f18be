"""Which answers are taken for right and which for wrong, exchange by exchange.

A load test that accepts a wrong answer measures how fast a server can be wrong.
"""

import datetime
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from loadtest.answers import Answer, WrongAnswer
from loadtest.exchanges import LOANS_PER_ACCRUAL, PAGE_SIZE, Exchange, Lender

from .replies import (
    accrued,
    amount_of,
    balance,
    disbursed,
    entry,
    headers,
    new_id,
    paid,
    read,
    replayed,
    reversed_entry,
)

PRINCIPAL = 1_000_000
TODAY = datetime.date(2026, 3, 4)


def lender_with(loans: int = 1, principal_minor: int = PRINCIPAL) -> Lender:
    lender = Lender("tenant", [], seed=7, today=TODAY)
    for _ in range(loans):
        lender.disbursement(amount_minor=principal_minor).check(disbursed())
    return lender


@pytest.fixture
def lender() -> Lender:
    return lender_with()


def pay(lender: Lender) -> tuple[Exchange, Answer]:
    """A payment of principal and its right answer."""
    exchange = lender.payment()
    answer = paid(principal=amount_of(exchange))
    exchange.check(answer)
    return exchange, answer


def refuses(exchange: Exchange, answer: Answer, reason: str) -> None:
    with pytest.raises(WrongAnswer, match=reason):
        exchange.check(answer)


def test_an_opened_loan_takes_part_when_it_is_acknowledged() -> None:
    lender = Lender("tenant", [], seed=7, today=TODAY)
    exchange = lender.disbursement(amount_minor=PRINCIPAL)
    assert lender.loans == []
    exchange.check(disbursed())
    assert [loan.principal_minor for loan in lender.loans] == [PRINCIPAL]


def test_amounts_are_strings_of_minor_units(lender: Lender) -> None:
    for exchange in (lender.payment(), lender.disbursement(), lender.more_principal()):
        amount = msgspec.json.decode(exchange.body)["amount_minor"]
        assert isinstance(amount, str) and amount.isdecimal()
    (loan,) = msgspec.json.decode(lender.accrual().body)["loans"]
    assert all(isinstance(loan[name], str) for name in loan)


def test_every_posting_has_a_key_of_its_own(lender: Lender) -> None:
    keys = [lender.payment().key for _ in range(100)]
    assert len(set(keys)) == 100


@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        (lambda right: right._replace(status=200), "status 200 instead of 201"),
        (lambda right: right._replace(status=0, body=b""), "no answer"),
        (lambda right: right._replace(body=b"{}"), "not a PaymentResult"),
        (lambda right: right._replace(body=right.body[:-1] + b',"x":1}'), "not a PaymentResult"),
        (lambda right: right._replace(body=right.body.replace(b'"0"', b"0")), "not a Payment"),
        (lambda right: right._replace(body=right.body.replace(b'"0"', b'"00"')), "not a Payment"),
        (lambda right: right._replace(headers=headers(location="/v1/x")), "Location"),
        (
            lambda right: right._replace(headers=dict(right.headers) | {"cache-control": "x"}),
            "no-s",
        ),
        (lambda right: right._replace(headers=dict(right.headers) | {"content-type": "x"}), "Type"),
        (
            lambda right: right._replace(
                headers=dict(right.headers) | {"idempotent-replayed": "true"}
            ),
            "as a replay",
        ),
    ],
)
def test_a_bent_payment_is_refused(
    lender: Lender, bend: Callable[[Answer], Answer], reason: str
) -> None:
    exchange = lender.payment()
    refuses(exchange, bend(paid(principal=amount_of(exchange))), reason)


def test_a_problem_is_counted_by_its_code(lender: Lender) -> None:
    problem = Answer(503, {}, b'{"code": "overloaded", "detail": "12345"}')
    refuses(lender.payment(), problem, "^status 503 overloaded instead of 201$")


def test_an_allocation_must_be_the_whole_amount(lender: Lender) -> None:
    exchange = lender.payment()
    refuses(exchange, paid(principal=amount_of(exchange) - 1), "not the amount")


def test_money_the_loan_owes_does_not_go_to_suspense(lender: Lender) -> None:
    exchange, other = lender.payment(), lender.payment()
    refuses(exchange, paid(principal=amount_of(exchange) - 1, suspense=1), "suspense")
    other.check(paid(principal=amount_of(other)))


def test_interest_is_paid_before_principal(lender: Lender) -> None:
    accrual = lender.accrual()
    (line,) = msgspec.json.decode(accrual.body)["loans"]
    interest_minor = int(line["interest_minor"])
    accrual.check(accrued(1, interest_minor))
    exchange = lender.payment()
    amount_minor = amount_of(exchange)
    interest_paid_minor = min(interest_minor, amount_minor)
    exchange.check(paid(interest=interest_paid_minor, principal=amount_minor - interest_paid_minor))
    (loan,) = lender.loans
    assert loan.interest_minor == interest_minor - interest_paid_minor


def test_principal_before_interest_is_refused(lender: Lender) -> None:
    accrual = lender.accrual()
    (line,) = msgspec.json.decode(accrual.body)["loans"]
    accrual.check(accrued(1, int(line["interest_minor"])))
    exchange = lender.payment()
    refuses(exchange, paid(principal=amount_of(exchange)), "fees, interest, principal, rest")


def test_what_pays_a_loan_off_leaves_the_rest_in_suspense() -> None:
    lender = lender_with(principal_minor=10)
    exchange = lender.payment()
    exchange.check(paid(principal=10, suspense=amount_of(exchange) - 10))
    (loan,) = lender.loans
    assert (loan.principal_minor, loan.interest_minor) == (0, 0)
    lender.balance().check(balance(loan.loan_id, principal=0))
    # what went to suspense has not lowered anything, also while something is under way
    more = lender.more_principal()
    more.check(disbursed())
    lowest_minor = amount_of(more) - amount_of(lender.payment())
    lender.balance().check(balance(loan.loan_id, principal=lowest_minor))
    refuses(lender.balance(), balance(loan.loan_id, principal=lowest_minor - 1), "lower than")


def test_a_balance_is_known_exactly_while_nothing_is_under_way(lender: Lender) -> None:
    exchange, _ = pay(lender)
    (loan,) = lender.loans
    owed_minor = PRINCIPAL - amount_of(exchange)
    lender.balance().check(balance(loan.loan_id, principal=owed_minor))
    refuses(lender.balance(), balance(loan.loan_id, principal=owed_minor + 1), "answered before")
    refuses(lender.balance(), balance(loan.loan_id, principal=owed_minor - 1), "lower than")
    swapped = balance(loan.loan_id, principal=owed_minor - 1, interest=1)
    refuses(lender.balance(), swapped, "not what was posted")


def test_a_balance_may_be_with_or_without_a_payment_under_way(lender: Lender) -> None:
    (loan,) = lender.loans
    payment, asked = lender.payment(), [lender.balance() for _ in range(4)]
    amount_minor = amount_of(payment)
    asked[0].check(balance(loan.loan_id, principal=PRINCIPAL))
    asked[1].check(balance(loan.loan_id, principal=PRINCIPAL - amount_minor))
    payment.check(paid(principal=amount_minor))
    # asked before the payment was answered, answered after it: both are still possible
    asked[2].check(balance(loan.loan_id, principal=PRINCIPAL))
    refuses(asked[3], balance(loan.loan_id, principal=PRINCIPAL - amount_minor - 1), "lower than")
    refuses(lender.balance(), balance(loan.loan_id, principal=PRINCIPAL), "answered before")


def test_a_payment_whose_answer_was_lost_may_have_been_posted(lender: Lender) -> None:
    (loan,) = lender.loans
    payment = lender.payment()
    refuses(payment, Answer(0, {}, b""), "no answer")
    for principal_minor in (PRINCIPAL, PRINCIPAL - amount_of(payment)):
        lender.balance().check(balance(loan.loan_id, principal=principal_minor))
    lower = balance(loan.loan_id, principal=PRINCIPAL - amount_of(payment) - 1)
    refuses(lender.balance(), lower, "lower than")


def test_a_reversed_payment_is_owed_again(lender: Lender) -> None:
    payment, answer = pay(lender)
    (loan,) = lender.loans
    exchange = lender.reversal()
    body = msgspec.json.decode(exchange.body)
    assert body["reverses_entry_id"] == msgspec.json.decode(answer.body)["journal_entry_id"]
    exchange.check(reversed_entry(body["reverses_entry_id"]))
    lender.balance().check(balance(loan.loan_id, principal=PRINCIPAL))
    without = balance(loan.loan_id, principal=PRINCIPAL - amount_of(payment))
    refuses(lender.balance(), without, "lower than")


def test_another_entry_reversed_is_refused(lender: Lender) -> None:
    pay(lender)
    refuses(lender.reversal(), reversed_entry(new_id()), "another entry")


def test_no_payment_is_reversed_twice(lender: Lender) -> None:
    pay(lender)
    assert lender.reversal().operation == "postReversal"
    assert lender.reversal().operation == "postPayment"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"principal": -1, "interest": 1}, "negative"),
        ({"principal": PRINCIPAL, "total": PRINCIPAL + 1}, "not the sum"),
        ({"principal": PRINCIPAL, "loan_id": new_id()}, "another loan"),
    ],
)
def test_an_impossible_balance_is_refused(
    lender: Lender, changes: dict[str, Any], reason: str
) -> None:
    (loan,) = lender.loans
    refuses(lender.balance(), balance(**({"loan_id": loan.loan_id} | changes)), reason)


def test_a_replay_repeats_the_request_and_wants_the_same_bytes(lender: Lender) -> None:
    # the disbursement that opened the loan is the one posting so far
    exchange = lender.replay()
    assert (exchange.operation, exchange.path) == ("replay", "/v1/disbursements")
    payment_lender = Lender("tenant", lender.loans, seed=8, today=TODAY)
    payment, answer = pay(payment_lender)
    again = payment_lender.replay()
    assert (again.key, again.body, again.path) == (payment.key, payment.body, payment.path)
    again.check(replayed(answer))


@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        (lambda first: first, "status 201 instead of 200"),
        (lambda first: first._replace(status=200), "without Idempotent-Replayed"),
        (lambda first: replayed(first)._replace(body=first.body + b" "), "body of a replay"),
        (
            lambda first: replayed(first)._replace(
                headers=headers(idempotent_replayed="true", location="/v1/journal-entries/x")
            ),
            "Location of a replay",
        ),
    ],
)
def test_a_bent_replay_is_refused(bend: Callable[[Answer], Answer], reason: str) -> None:
    lender = Lender("tenant", lender_with().loans, seed=8, today=TODAY)
    _, answer = pay(lender)
    refuses(lender.replay(), bend(answer), reason)


def test_a_key_is_never_replayed_twice_at_a_time(lender: Lender) -> None:
    assert lender.replay().operation == "replay"
    assert lender.replay().operation == "postPayment"


def test_no_loan_accrues_twice_for_a_day() -> None:
    lender = lender_with(loans=LOANS_PER_ACCRUAL + 30)
    seen = set()
    for number in range(6):
        if number == 3:  # opened meanwhile
            lender.disbursement(amount_minor=PRINCIPAL).check(disbursed())
        body = msgspec.json.decode(lender.accrual().body)
        days = {(loan["loan_id"], body["accrual_date"]) for loan in body["loans"]}
        assert len(days) == len(body["loans"]) <= LOANS_PER_ACCRUAL
        assert not days & seen
        seen |= days


@pytest.mark.parametrize(("count", "total"), [(2, 0), (1, 1)])
def test_an_accrual_of_another_count_or_total_is_refused(
    lender: Lender, count: int, total: int
) -> None:
    exchange = lender.accrual()
    (line,) = msgspec.json.decode(exchange.body)["loans"]
    refuses(exchange, accrued(count, int(line["interest_minor"]) + total), "loan_count|total_acc")


def at(second: int) -> str:
    return f"2026-03-04T05:06:{second:02}.5Z"


def test_a_history_is_sorted_balanced_and_the_loans_own(lender: Lender) -> None:
    (loan,) = lender.loans
    pay(lender)
    newer, older = entry(loan.loan_id, at(2)), entry(loan.loan_id, at(1))
    lender.history().check(read({"items": [newer, older]}))
    for items, reason in (
        ([older, newer], "not sorted"),
        ([newer, newer], "not sorted"),
        ([newer, entry(loan.loan_id, at(1), credit=99)], "not balanced"),
        ([newer, entry(new_id(), at(1))], "another loan"),
        ([newer], "answered before"),
        ([entry(loan.loan_id, at(3)), newer, older], "more entries than were sent"),
    ):
        refuses(lender.history(), read({"items": items}), reason)


def test_the_next_page_shows_nothing_again_and_nothing_newer(lender: Lender) -> None:
    (loan,) = lender.loans
    for _ in range(PAGE_SIZE + 2):
        pay(lender)
    first = [entry(loan.loan_id, at(59 - number)) for number in range(PAGE_SIZE)]
    for items, reason in (
        ([first[-1]], "earlier page"),
        ([entry(loan.loan_id, at(59))], "or newer"),
    ):
        lender.history().check(read({"items": first, "next_page_token": "abc"}))
        follows = lender.history()
        assert follows.path.endswith(f"page_size={PAGE_SIZE}&page_token=abc")
        refuses(follows, read({"items": items}), reason)
    lender.history().check(read({"items": first, "next_page_token": "abc"}))
    lender.history().check(read({"items": [entry(loan.loan_id, at(1))]}))


def test_a_page_longer_than_asked_for_is_refused(lender: Lender) -> None:
    (loan,) = lender.loans
    items = [entry(loan.loan_id, at(59 - number)) for number in range(PAGE_SIZE + 1)]
    refuses(lender.history(), read({"items": items}), "more entries than were asked for")
