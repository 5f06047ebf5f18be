"""The days of a pool: what is posted, in which order."""

from collections import Counter, defaultdict
from datetime import date, timedelta
from fractions import Fraction
from itertools import groupby

import pytest

from hpts.demo.days import PoolDays
from hpts.demo.interest import YEAR_WEIGHT, DayCount, day_weight
from hpts.demo.oracle import Oracle
from hpts.demo.portfolio import Portfolio, build_portfolio
from hpts.demo.postings import Posting

SEED = 7


@pytest.fixture(scope="module")
def portfolio() -> Portfolio:
    return build_portfolio(
        tenant_id="0197a000-0000-7000-8000-000000000001",
        seed=SEED,
        loan_count=300,
        months=12,
        last_day=date(2026, 3, 14),
    )


@pytest.fixture(scope="module")
def postings(portfolio) -> list[tuple[date, Posting]]:
    """Everything that all pools post, with the day on which it is posted."""
    print(f"seed={SEED}")
    oracle, found = Oracle(), []
    for pool in portfolio.pools:
        days = PoolDays(pool, [loan for loan in portfolio.loans if loan.pool == pool], oracle)
        for day in portfolio.days():
            found += [(day, batch) for batch in days.accrue(day)]
            found += [(day, posting) for moves in days.move(day) for posting in moves]
    return found


def of_type(postings, event_type: str) -> list[tuple[date, Posting]]:
    return [(day, p) for day, p in postings if p.entry.event_type == event_type]


def test_every_key_is_used_once_and_fits_the_contract(postings):
    keys = [posting.entry.key for _, posting in postings]
    assert len(keys) == len(set(keys))
    assert all(8 <= len(key) <= 255 for key in keys)


def test_a_loan_is_lent_everything_before_it_accrues_or_pays(portfolio, postings):
    loan_postings = [p for _, p in postings if p.entry.event_type != "accrual"]
    for loan in portfolio.loans:
        own = [p for p in loan_postings if p.entry.lines[0].loan_id == loan.loan_id]
        kinds = [kind for kind, _ in groupby(p.entry.event_type for p in own)]
        assert kinds[0] == "disbursement"
        assert kinds.count("disbursement") == 1


def test_a_day_without_interest_has_no_batch(portfolio, postings):
    thirty = {p.program_id for p in portfolio.pools if p.convention is DayCount.THIRTY_360}
    batches = [
        (day, p.request)
        for day, p in of_type(postings, "accrual")
        if p.request.program_id in thirty and p.entry.currency == "EUR"
    ]
    assert batches
    assert not [day for day, _ in batches if day.day == 31]
    assert all(int(p.total_accrued_minor) > 0 for _, p in of_type(postings, "accrual"))


def test_over_the_year_each_loan_accrues_its_exact_interest_rounded_down_once(portfolio, postings):
    loans = {loan.loan_id: loan for loan in portfolio.loans}
    accrued: Counter[str] = Counter()
    exact: defaultdict[str, Fraction] = defaultdict(Fraction)
    for day, batch in of_type(postings, "accrual"):
        for share in batch.request.loans:
            loan = loans[share.loan_id]
            convention = loan.pool.convention
            year_part = Fraction(day_weight(convention, day), YEAR_WEIGHT[convention])
            rate = Fraction(loan.rate_bps, 10_000)
            exact[loan.loan_id] += int(share.outstanding_principal_minor) * rate * year_part
            accrued[loan.loan_id] += int(share.interest_minor)
    assert len(accrued) == len(loans)
    for loan_id, total in accrued.items():
        assert total == exact[loan_id].numerator // exact[loan_id].denominator


def test_a_batch_names_only_loans_with_principal(postings):
    for _, batch in of_type(postings, "accrual"):
        assert batch.loan_count == len(batch.request.loans)
        assert all(int(s.outstanding_principal_minor) > 0 for s in batch.request.loans)


def test_a_returned_payment_is_reversed_later_and_collected_again(postings):
    paid_on = {p.entry.key: day for day, p in of_type(postings, "payment_received")}
    reversals = of_type(postings, "reversal")
    assert len(paid_on) // 100 < len(reversals) < len(paid_on) // 25
    assert all(day > paid_on[p.reverses_key] for day, p in reversals)
    again = [p for _, p in of_type(postings, "payment_received") if _is_second_try(p)]
    assert 0 < len(again) <= len(reversals)


def test_some_payments_reach_suspense_and_some_are_backdated(postings):
    payments = of_type(postings, "payment_received")
    assert any(p.allocation.suspense_minor != "0" for _, p in payments)
    backdated = [p for day, p in payments if p.entry.effective_at < day]
    assert backdated
    assert all(day - p.entry.effective_at <= timedelta(days=2) for day, p in payments)


def test_some_loans_are_repaid_whole(portfolio, postings):
    oracle = Oracle()
    for _, posting in postings:
        oracle.post(posting.entry)
    totals = [oracle.loans[loan.loan_id].total_minor for loan in portfolio.loans]
    assert 0 in totals
    assert any(total > 0 for total in totals)


def _is_second_try(posting: Posting) -> bool:
    return posting.request.metadata["manner"] == "collected_again"
