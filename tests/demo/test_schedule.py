"""Schedules: integer instalments that repay the principal exactly."""

from datetime import date
from random import Random

import pytest

from hpts.demo.schedule import (
    add_months,
    annuity_instalment,
    annuity_schedule,
    linear_schedule,
)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2025, 1, 31), 1, date(2025, 2, 28)),
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2025, 11, 15), 2, date(2026, 1, 15)),
        (date(2025, 1, 15), -12, date(2024, 1, 15)),
        (date(2025, 12, 31), -1, date(2025, 11, 30)),
    ],
)
def test_a_month_later_is_the_same_day_or_the_months_last(day, months, expected):
    assert add_months(day, months) == expected


def test_a_known_annuity_is_rounded_up_to_the_minor_unit():
    # 10,000.00 at 6 % over 12 months: 860.664297... a month.
    assert annuity_instalment(principal_minor=1_000_000, rate_bps=600, month_count=12) == 86_067


def test_without_interest_an_annuity_divides_the_principal():
    assert annuity_instalment(principal_minor=100, rate_bps=0, month_count=3) == 34


@pytest.mark.parametrize("make", [annuity_schedule, linear_schedule])
@pytest.mark.parametrize("seed", range(20))
def test_a_schedule_repays_its_principal_exactly(make, seed):
    print(f"seed={seed}")
    rng = Random(seed)
    principal, months = rng.randint(100_000, 10**9), rng.choice((1, 6, 12, 60))
    rows = make(
        principal_minor=principal,
        rate_bps=rng.randrange(0, 2000),
        month_count=months,
        starts_on=date(2024, 5, 31),
    )
    assert sum(row.principal_minor for row in rows) == principal
    assert all(row.principal_minor > 0 and row.interest_minor >= 0 for row in rows)
    assert [row.due_on for row in rows] == sorted({row.due_on for row in rows})


def test_annuity_instalments_are_level_and_linear_ones_fall():
    terms = {
        "principal_minor": 1_200_000,
        "rate_bps": 900,
        "month_count": 24,
        "starts_on": date(2024, 1, 1),
    }
    level = [row.amount_minor for row in annuity_schedule(**terms)]
    assert len(set(level[:-1])) == 1
    assert 0 <= level[0] - level[-1] <= 24
    falling = [row.amount_minor for row in linear_schedule(**terms)]
    assert falling == sorted(falling, reverse=True)
    assert {row.principal_minor for row in linear_schedule(**terms)} == {50_000}
