"""Day counts: what a day weighs under each convention, and that rounding never drifts."""

from datetime import date, timedelta
from fractions import Fraction
from random import Random

import pytest

from hpts.demo.interest import YEAR_WEIGHT, DayCount, day_weight, divide_interest


def days_after(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n + 1) for n in range((last - first).days)]


def weigh(convention: DayCount, first: date, last: date) -> Fraction:
    weight = sum(day_weight(convention, day) for day in days_after(first, last))
    return Fraction(weight, YEAR_WEIGHT[convention])


@pytest.mark.parametrize(
    ("convention", "first", "last", "years"),
    [
        (DayCount.ACT_365, date(2025, 1, 1), date(2026, 1, 1), Fraction(1)),
        (DayCount.ACT_365, date(2024, 1, 1), date(2025, 1, 1), Fraction(366, 365)),
        (DayCount.ACT_360, date(2025, 1, 1), date(2026, 1, 1), Fraction(365, 360)),
        (DayCount.ACT_ACT, date(2024, 1, 1), date(2025, 1, 1), Fraction(1)),
        (
            DayCount.ACT_ACT,
            date(2023, 12, 1),
            date(2024, 1, 11),
            Fraction(31, 365) + Fraction(10, 366),
        ),
        (DayCount.THIRTY_360, date(2025, 1, 1), date(2026, 1, 1), Fraction(1)),
        (DayCount.THIRTY_360, date(2025, 1, 15), date(2025, 2, 15), Fraction(30, 360)),
        (DayCount.THIRTY_360, date(2025, 2, 28), date(2025, 3, 1), Fraction(3, 360)),
        (DayCount.THIRTY_360, date(2024, 2, 29), date(2024, 3, 1), Fraction(2, 360)),
        (DayCount.THIRTY_360, date(2025, 1, 30), date(2025, 1, 31), Fraction(0)),
    ],
)
def test_a_period_is_the_conventions_fraction_of_a_year(convention, first, last, years):
    assert weigh(convention, first, last) == years


@pytest.mark.parametrize("convention", list(DayCount))
@pytest.mark.parametrize("seed", range(5))
def test_the_sum_of_daily_interest_is_the_exact_interest_rounded_down_once(convention, seed):
    print(f"seed={seed}")
    rng = Random(seed)
    principal, rate = rng.randint(1, 10 ** rng.randint(1, 12)), rng.randint(0, 3000)
    first = date(2023, 6, 1) + timedelta(days=rng.randrange(400))
    last = first + timedelta(days=rng.randint(1, 800))
    total = carry = 0
    for day in days_after(first, last):
        interest, carry = divide_interest(
            principal_minor=principal,
            rate_bps=rate,
            convention=convention,
            weight=day_weight(convention, day),
            carry=carry,
        )
        assert interest >= 0
        total += interest
    exact = principal * Fraction(rate, 10_000) * weigh(convention, first, last)
    assert total == exact.numerator // exact.denominator
