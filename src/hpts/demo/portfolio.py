"""The portfolio: pools of instalment loans over programs and currencies, drawn from one seed.

Pure: the same tenant, seed, sizes and last day always give the same loans, ids and plans.
"""

from datetime import date, timedelta
from random import Random
from uuid import UUID, uuid5

import msgspec

from hpts.demo.behaviour import PlannedPayment, plan_payments
from hpts.demo.interest import DayCount
from hpts.demo.money import EUR, JPY, USD, Currency
from hpts.demo.schedule import add_months, annuity_schedule, linear_schedule

OPENING_DAYS = 28
"""Loans open in the first four weeks, so that even a one-month run pays all of them out."""
TERMS_MONTHS = (6, 12, 24, 36, 48, 60)
TWO_TRANCHES_PERCENT = 5
AUDITED_LOANS_MAX = 50


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """The loans of one program in one currency: what one accrual batch a day covers."""

    program_id: str
    program_name: str
    currency: Currency
    convention: DayCount
    principal_major_max: int


class Tranche(msgspec.Struct, frozen=True, kw_only=True):
    day: date
    amount_minor: int


class Loan(msgspec.Struct, frozen=True, kw_only=True):
    loan_id: str
    borrower_id: str
    pool: Pool
    rate_bps: int
    tranches: tuple[Tranche, ...]
    payments: tuple[PlannedPayment, ...]


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    first_day: date
    last_day: date
    pools: tuple[Pool, ...]
    loans: tuple[Loan, ...]
    audited: tuple[Loan, ...]
    """The sample whose past balances and journals are compared as well."""

    def days(self) -> list[date]:
        count = (self.last_day - self.first_day).days + 1
        return [self.first_day + timedelta(days=number) for number in range(count)]


PERSONAL = (
    (USD, DayCount.ACT_365, 20_000),
    (EUR, DayCount.ACT_ACT, 20_000),
    (JPY, DayCount.ACT_365, 3_000_000),
)
BUSINESS = (
    (USD, DayCount.ACT_360, 150_000),
    (EUR, DayCount.THIRTY_360, 150_000),
    (JPY, DayCount.ACT_360, 20_000_000),
)


def build_portfolio(
    *, tenant_id: str, seed: int, loan_count: int, months: int, last_day: date
) -> Portfolio:
    """`loan_count` loans dealt out over the pools in turn, living until `last_day`."""
    rng = Random(seed)  # noqa: S311 - a reproducible portfolio, not a secret
    namespace = uuid5(UUID(tenant_id), f"hpts-demo:{seed}")
    first_day = add_months(last_day, -months) + timedelta(days=1)
    pools = _make_pools(namespace)
    loans = tuple(
        _draw_loan(namespace, number, pools[number % len(pools)], first_day, rng)
        for number in range(loan_count)
    )
    audited = rng.sample(loans, min(loan_count, AUDITED_LOANS_MAX))
    return Portfolio(
        first_day=first_day,
        last_day=last_day,
        pools=pools,
        loans=loans,
        audited=tuple(audited),
    )


def _make_pools(namespace: UUID) -> tuple[Pool, ...]:
    return tuple(
        Pool(
            program_id=str(uuid5(namespace, f"program:{name}")),
            program_name=name,
            currency=currency,
            convention=convention,
            principal_major_max=principal_major_max,
        )
        for name, rows in (("personal", PERSONAL), ("business", BUSINESS))
        for currency, convention, principal_major_max in rows
    )


def _draw_loan(namespace: UUID, number: int, pool: Pool, first_day: date, rng: Random) -> Loan:
    opens_on = first_day + timedelta(days=rng.randrange(OPENING_DAYS))
    principal = _draw_principal(pool, rng)
    rate_bps = rng.randrange(290, 1_490, 5)
    make_schedule = linear_schedule if rng.randrange(4) == 0 else annuity_schedule
    schedule = make_schedule(
        principal_minor=principal,
        rate_bps=rate_bps,
        month_count=rng.choice(TERMS_MONTHS),
        starts_on=opens_on,
    )
    # Every tenth borrower has two loans, which the ledger must keep apart.
    borrower = number - 1 if number % 10 == 9 else number
    return Loan(
        loan_id=str(uuid5(namespace, f"loan:{number}")),
        borrower_id=str(uuid5(namespace, f"borrower:{borrower}")),
        pool=pool,
        rate_bps=rate_bps,
        tranches=_draw_tranches(principal, opens_on, rng),
        payments=plan_payments(schedule, rng),
    )


def _draw_principal(pool: Pool, rng: Random) -> int:
    """A round sum, from a twentieth of the pool's largest up to it."""
    step_major = pool.principal_major_max // 200
    return rng.randint(10, 200) * step_major * pool.currency.minor_per_major


def _draw_tranches(principal_minor: int, opens_on: date, rng: Random) -> tuple[Tranche, ...]:
    if rng.randrange(100) >= TWO_TRANCHES_PERCENT:
        return (Tranche(day=opens_on, amount_minor=principal_minor),)
    first = principal_minor * rng.randint(40, 70) // 100
    second_on = opens_on + timedelta(days=rng.randint(5, 20))
    return (
        Tranche(day=opens_on, amount_minor=first),
        Tranche(day=second_on, amount_minor=principal_minor - first),
    )
