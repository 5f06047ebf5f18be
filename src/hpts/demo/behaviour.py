"""How borrowers really pay: on time, early, late, in parts, too much, or with money that bounces.

Plans only. What a planned payment comes to is decided on its day from what the loan then owes.
"""

import enum
from collections.abc import Sequence
from datetime import date, timedelta
from random import Random

import msgspec

from hpts.demo.money import Currency
from hpts.demo.schedule import Instalment


class Manner(enum.StrEnum):
    ON_TIME = "on_time"
    EARLY = "early"
    LATE = "late"
    PARTIAL = "partial"
    OVER = "over"
    PAYOFF = "payoff"
    COLLECTED_AGAIN = "collected_again"


class PlannedPayment(msgspec.Struct, frozen=True, kw_only=True):
    day: date
    """When it is posted."""
    amount_minor: int
    manner: Manner
    settles: bool = False
    """The last instalment: pays whatever is owed."""
    backdated_days: int = 0
    """How long before `day` it is effective."""
    returned_after_days: int = 0
    """0 for a payment that stands."""


PROFILES = (
    # Percentages of ON_TIME, EARLY, LATE, PARTIAL, OVER, PAYOFF for each kind of borrower.
    (82, 8, 4, 1, 4, 1),
    (60, 2, 24, 10, 3, 1),
    (30, 0, 40, 30, 0, 0),
)
PROFILE_WEIGHTS = (70, 22, 8)
DRAWN_MANNERS = tuple(Manner)[:6]
RETURNED_PER_MILLE = 20
BACKDATED_PERCENT = 6
PAYOFF_ROUNDED_TO_MAJOR = 10


def plan_payments(instalments: Sequence[Instalment], rng: Random) -> tuple[PlannedPayment, ...]:
    """The payments of one borrower over the whole schedule."""
    (profile,) = rng.choices(PROFILES, PROFILE_WEIGHTS)
    planned: list[PlannedPayment] = []
    for number, instalment in enumerate(instalments, 1):
        (manner,) = rng.choices(DRAWN_MANNERS, profile)
        planned += _plan_instalment(instalment, manner, rng, settles=number == len(instalments))
    return tuple(planned)


def amount_on_day(planned: PlannedPayment, *, owed_minor: int, currency: Currency) -> int:
    """What arrives, 0 for nothing: only OVER and PAYOFF may pass what is owed."""
    if owed_minor == 0:
        return 0
    if planned.manner is Manner.OVER:
        return planned.amount_minor
    if planned.manner is Manner.PAYOFF:
        step = PAYOFF_ROUNDED_TO_MAJOR * currency.minor_per_major
        return -(-owed_minor // step) * step
    return owed_minor if planned.settles else min(planned.amount_minor, owed_minor)


def collect_again(amount_minor: int, day: date) -> PlannedPayment:
    """The second try after a payment of `amount_minor` came back."""
    return PlannedPayment(day=day, amount_minor=amount_minor, manner=Manner.COLLECTED_AGAIN)


def _plan_instalment(
    instalment: Instalment, manner: Manner, rng: Random, *, settles: bool
) -> list[PlannedPayment]:
    due_on, amount = instalment.due_on, instalment.amount_minor
    match manner:
        case Manner.EARLY:
            due_on -= timedelta(days=rng.randint(1, 6))
        case Manner.LATE:
            due_on += timedelta(days=rng.randint(2, 20))
        case Manner.OVER:
            amount += amount * rng.randint(5, 60) // 100
        case Manner.PARTIAL:
            first = max(1, amount * rng.randint(25, 80) // 100)
            rest_on = due_on + timedelta(days=rng.randint(4, 14))
            return [
                _draw_payment(due_on, first, manner, rng, settles=False),
                _draw_payment(rest_on, max(1, amount - first), manner, rng, settles=settles),
            ]
    return [_draw_payment(due_on, amount, manner, rng, settles=settles)]


def _draw_payment(
    day: date, amount_minor: int, manner: Manner, rng: Random, *, settles: bool
) -> PlannedPayment:
    returned = rng.randrange(1000) < RETURNED_PER_MILLE
    backdated = rng.randrange(100) < BACKDATED_PERCENT
    return PlannedPayment(
        day=day,
        amount_minor=amount_minor,
        manner=manner,
        settles=settles,
        backdated_days=rng.randint(1, 2) if backdated else 0,
        returned_after_days=rng.randint(2, 5) if returned else 0,
    )
