"""Accounting periods: through which day the books are closed, and where a late posting stands.

A closed day takes no entry. A posting that is effective by then is refused or, where the tenant
wants that, stands on the first open day and says what was asked for.
"""

import datetime

import msgspec

from hpts.domain.entries import date_of
from hpts.domain.rejections import Refusal, Rejection, refuse

CLOSE, REOPEN = "close", "reopen"


class PeriodChange(msgspec.Struct, frozen=True):
    """The wish to close the books through a day, or to reopen them from a day on."""

    kind: str
    day: int
    reason: str


def tag_moved(details: bytes, effective_day: int) -> bytes:
    """An entry's details (a JSON object) that also say which day was asked for."""
    tag = b'"requested_effective_at":"%s"}' % date_of(effective_day).isoformat().encode()
    return details[:-1] + (b"" if details == b"{}" else b",") + tag


class Calendar(msgspec.Struct, frozen=True):
    """On which days a posting may be effective. Days count from 2000-01-01, in UTC."""

    today: int
    closed_through: int | None = None
    moves_late_postings: bool = False

    def entry_day(self, effective_day: int) -> int:
        """The day on which an entry stands that was asked for as of `effective_day`."""
        if self.closed_through is None or effective_day > self.closed_through:
            return effective_day
        return self.closed_through + 1

    def check(self, effective_day: int, field: str = "effective_at") -> Refusal | None:
        """At most tomorrow, for a business day may begin east of Greenwich before it does there;
        and in an open period, unless late postings are moved."""
        if effective_day > self.today + 1:
            latest = date_of(self.today + 1).isoformat()
            return refuse(Rejection.EFFECTIVE_DATE_IN_FUTURE, field, f"must be {latest} or earlier")
        if self.moves_late_postings or self.entry_day(effective_day) == effective_day:
            return None
        return self._refuse_closed(field)

    def check_change(self, change: PeriodChange) -> Refusal | None:
        """A closing must move the boundary on, to today at most, so that a posting may always be
        effective on the first open day. A reopening must reopen a day."""
        if change.kind == CLOSE:
            return self._check_closing(change.day, "closed_through")
        return self._check_reopening(change.day, "reopened_from")

    def _check_closing(self, through: int, field: str) -> Refusal | None:
        if through > self.today:
            latest = date_of(self.today).isoformat()
            return refuse(Rejection.PERIOD_NOT_OVER, field, f"must be {latest} or earlier")
        if self.closed_through is not None and through <= self.closed_through:
            return self._refuse_closed(field)
        return None

    def _check_reopening(self, first_day: int, field: str) -> Refusal | None:
        if self.closed_through is None:
            return refuse(Rejection.PERIOD_NOT_CLOSED, field, "no day is closed")
        if first_day > self.closed_through:
            latest = date_of(self.closed_through).isoformat()
            return refuse(Rejection.PERIOD_NOT_CLOSED, field, f"must be {latest} or earlier")
        return None

    @staticmethod
    def closed_after(change: PeriodChange) -> int | None:
        """The last closed day once the books are changed so; None when no day is closed."""
        if change.kind == CLOSE:
            return change.day
        return None if date_of(change.day) == datetime.date.min else change.day - 1

    def _refuse_closed(self, field: str) -> Refusal:
        through = self.closed_through or 0
        first_open, last_closed = date_of(through + 1).isoformat(), date_of(through).isoformat()
        message = f"must be {first_open} or later: the books are closed through {last_closed}"
        return refuse(Rejection.PERIOD_CLOSED, field, message)
