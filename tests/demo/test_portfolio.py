"""The portfolio: reproducible, varied, and in the past."""

from collections import Counter
from datetime import date, timedelta

import pytest

from hpts.demo.behaviour import Manner, PlannedPayment, amount_on_day
from hpts.demo.interest import DayCount
from hpts.demo.money import JPY, USD
from hpts.demo.portfolio import OPENING_DAYS, Portfolio, build_portfolio

TENANT = "0197a000-0000-7000-8000-000000000001"
OTHER_TENANT = "0197a000-0000-7000-8000-000000000002"
LAST_DAY = date(2026, 3, 14)


def build(tenant: str = TENANT, seed: int = 1, loans: int = 600, months: int = 12) -> Portfolio:
    print(f"seed={seed}")
    return build_portfolio(
        tenant_id=tenant, seed=seed, loan_count=loans, months=months, last_day=LAST_DAY
    )


def test_the_same_seed_and_tenant_give_the_same_portfolio():
    assert build() == build()


def test_another_seed_or_tenant_gives_other_ids():
    ids = [
        {loan.loan_id for loan in p.loans} for p in (build(), build(seed=2), build(OTHER_TENANT))
    ]
    assert len(set.union(*ids)) == 1800


def test_all_conventions_currencies_and_manners_occur():
    portfolio = build()
    assert {pool.convention for pool in portfolio.pools} == set(DayCount)
    assert len({(pool.program_id, pool.currency.code) for pool in portfolio.pools}) == 6
    assert len({pool.program_id for pool in portfolio.pools}) == 2
    payments = [payment for loan in portfolio.loans for payment in loan.payments]
    manners = Counter(payment.manner for payment in payments)
    assert set(manners) == set(Manner) - {Manner.COLLECTED_AGAIN}
    returned = sum(payment.returned_after_days > 0 for payment in payments)
    assert len(payments) // 100 < returned < len(payments) // 33
    assert any(payment.backdated_days for payment in payments)
    assert any(len(loan.tranches) == 2 for loan in portfolio.loans)


def test_a_year_ends_on_the_last_day_and_every_loan_opens_in_its_first_weeks():
    portfolio = build()
    assert portfolio.days()[0] == date(2025, 3, 15)
    assert portfolio.days()[-1] == LAST_DAY
    openings = {(loan.tranches[0].day - portfolio.first_day).days for loan in portfolio.loans}
    assert min(openings) >= 0
    assert max(openings) < OPENING_DAYS


def test_payments_have_positive_amounts_and_come_after_the_disbursement():
    for loan in build().loans:
        assert all(payment.amount_minor > 0 for payment in loan.payments)
        first = min(payment.day for payment in loan.payments)
        assert first - timedelta(days=2) > loan.tranches[-1].day


@pytest.mark.parametrize(
    ("manner", "settles", "owed", "expected"),
    [
        (Manner.ON_TIME, False, 0, 0),
        (Manner.ON_TIME, False, 900, 500),
        (Manner.ON_TIME, False, 300, 300),
        (Manner.ON_TIME, True, 900, 900),
        (Manner.OVER, False, 300, 500),
        (Manner.OVER, False, 0, 0),
        (Manner.PAYOFF, False, 10_001, 11_000),
    ],
)
def test_only_over_and_payoff_pass_what_is_owed(manner, settles, owed, expected):
    planned = PlannedPayment(day=LAST_DAY, amount_minor=500, manner=manner, settles=settles)
    assert amount_on_day(planned, owed_minor=owed, currency=USD) == expected


def test_a_payoff_in_yen_is_rounded_to_ten_yen():
    planned = PlannedPayment(day=LAST_DAY, amount_minor=500, manner=Manner.PAYOFF)
    assert amount_on_day(planned, owed_minor=10_001, currency=JPY) == 10_010
