"""Daily interest under the four day-count conventions, as exact integer fractions of a year.

The part of a minor unit that a day leaves over is carried to the next day, so the sum of all days
is always the exact interest rounded down once: rounding never drifts.
"""

import enum
from calendar import isleap
from datetime import date, timedelta

BASIS_POINTS = 10_000
ONE_DAY = timedelta(days=1)


class DayCount(enum.StrEnum):
    ACT_365 = "ACT_365"
    ACT_360 = "ACT_360"
    ACT_ACT = "ACT_ACT"
    THIRTY_360 = "THIRTY_360"


YEAR_WEIGHT = {
    DayCount.ACT_365: 365,
    DayCount.ACT_360: 360,
    # Common to both kinds of year, so that a carry survives New Year without rounding.
    DayCount.ACT_ACT: 365 * 366,
    DayCount.THIRTY_360: 360,
}
"""How many day weights make a year."""


def day_weight(convention: DayCount, day: date) -> int:
    """What the day from `day` - 1 to `day` weighs, in parts of YEAR_WEIGHT."""
    if convention is DayCount.THIRTY_360:
        return _thirty_360_number(day) - _thirty_360_number(day - ONE_DAY)
    if convention is DayCount.ACT_ACT:
        # ISDA: a day belongs to the year in which it begins.
        return 365 if isleap((day - ONE_DAY).year) else 366
    return 1


def divide_interest(
    *, principal_minor: int, rate_bps: int, convention: DayCount, weight: int, carry: int
) -> tuple[int, int]:
    """(interest_minor, new carry); a carry counts parts of BASIS_POINTS x YEAR_WEIGHT."""
    exact = principal_minor * rate_bps * weight + carry
    return divmod(exact, BASIS_POINTS * YEAR_WEIGHT[convention])


def _thirty_360_number(day: date) -> int:
    """30E/360: every month has 30 days, a 31st weighs nothing, 1 March makes up for February."""
    return day.year * 360 + day.month * 30 + min(day.day, 30)
