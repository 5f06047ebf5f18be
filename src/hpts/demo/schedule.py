"""Instalment schedules, annuity and linear, by integer arithmetic on minor units.

Every schedule repays its principal exactly: the last instalment takes what rounding left.
"""

from calendar import monthrange
from datetime import date

import msgspec

RATE_UNITS_PER_MONTH = 120_000
"""Basis points of a year's rate are divided by this for a month's: 10,000 x 12."""


class Instalment(msgspec.Struct, frozen=True, kw_only=True):
    due_on: date
    principal_minor: int
    interest_minor: int

    @property
    def amount_minor(self) -> int:
        return self.principal_minor + self.interest_minor


def add_months(day: date, months: int) -> date:
    """The same day of the month `months` later (earlier if negative), or that month's last day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def annuity_instalment(*, principal_minor: int, rate_bps: int, month_count: int) -> int:
    """The level monthly amount, rounded up: P x r x (1+r)^n / ((1+r)^n - 1) over integers."""
    if rate_bps == 0:
        return -(-principal_minor // month_count)
    grown: int = (RATE_UNITS_PER_MONTH + rate_bps) ** month_count
    numerator = principal_minor * rate_bps * grown
    unit_grown: int = RATE_UNITS_PER_MONTH**month_count
    denominator = RATE_UNITS_PER_MONTH * (grown - unit_grown)
    return -(-numerator // denominator)


def annuity_schedule(
    *, principal_minor: int, rate_bps: int, month_count: int, starts_on: date
) -> tuple[Instalment, ...]:
    """Level instalments: the interest part falls as the principal part grows."""
    level = annuity_instalment(
        principal_minor=principal_minor, rate_bps=rate_bps, month_count=month_count
    )
    rows, left = [], principal_minor
    for number in range(1, month_count + 1):
        interest = _month_interest(left, rate_bps)
        repaid = left if number == month_count else max(0, min(left, level - interest))
        rows.append(_instalment(starts_on, number, repaid, interest))
        left -= repaid
    return tuple(rows)


def linear_schedule(
    *, principal_minor: int, rate_bps: int, month_count: int, starts_on: date
) -> tuple[Instalment, ...]:
    """Equal principal parts, so that the instalments fall with the interest."""
    rows, left = [], principal_minor
    for number in range(1, month_count + 1):
        repaid = left // (month_count - number + 1)
        rows.append(_instalment(starts_on, number, repaid, _month_interest(left, rate_bps)))
        left -= repaid
    return tuple(rows)


def _month_interest(principal_minor: int, rate_bps: int) -> int:
    """Half up; only a plan of what the borrower sends, the real interest accrues by day."""
    return (2 * principal_minor * rate_bps + RATE_UNITS_PER_MONTH) // (2 * RATE_UNITS_PER_MONTH)


def _instalment(starts_on: date, number: int, principal: int, interest: int) -> Instalment:
    due_on = add_months(starts_on, number)
    return Instalment(due_on=due_on, principal_minor=principal, interest_minor=interest)
