"""The calendar: which days take entries, where a late one stands, how the boundary moves."""

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts.domain.entries import date_of, day_of
from hpts.domain.periods import CLOSE, REOPEN, Calendar, PeriodChange, tag_moved
from hpts.domain.rejections import Rejection

FIRST, LAST = day_of(datetime.date.min), day_of(datetime.date.max)
days = st.integers(FIRST + 2_000, LAST - 2_000)
boundaries = st.none() | st.integers(-1_000, 0)
"""How long before today the last closed day is."""


def calendar(today: int, closed: int | None = None, *, moves: bool = False) -> Calendar:
    return Calendar(today, None if closed is None else today + closed, moves)


@given(days, st.integers(-2, 4))
def test_the_effective_day_is_at_most_tomorrow(today: int, ahead: int) -> None:
    refusal = calendar(today).check(today + ahead, "accrual_date")
    if ahead <= 1:
        assert refusal is None
    else:
        assert refusal is not None
        assert refusal.rejection is Rejection.EFFECTIVE_DATE_IN_FUTURE
        assert refusal.errors[0].field == "accrual_date"
        assert date_of(today + 1).isoformat() in refusal.errors[0].message


@given(days, boundaries, st.integers(-1_100, 1))
def test_a_closed_day_is_refused_and_any_other_stands(
    today: int, closed: int | None, at: int
) -> None:
    days = calendar(today, closed)
    refusal = days.check(today + at)
    if closed is None or at > closed:
        assert refusal is None
        assert days.entry_day(today + at) == today + at
    else:
        assert refusal is not None
        assert refusal.rejection is Rejection.PERIOD_CLOSED
        (error,) = refusal.errors
        assert date_of(today + closed).isoformat() in error.message
        assert date_of(today + closed + 1).isoformat() in error.message


@given(days, boundaries, st.integers(-1_100, 1))
def test_a_late_posting_may_be_moved_to_the_first_open_day(
    today: int, closed: int | None, at: int
) -> None:
    days = calendar(today, closed, moves=True)
    assert days.check(today + at) is None
    stands = days.entry_day(today + at)
    assert stands == (today + at if closed is None else max(today + at, today + closed + 1))
    assert calendar(today, closed).check(stands) is None, "the first open day is open"


@given(days, boundaries, st.integers(-1_100, 3))
def test_a_closing_moves_the_boundary_on_and_not_past_today(
    today: int, closed: int | None, at: int
) -> None:
    change = PeriodChange(CLOSE, today + at, "month end")
    refusal = calendar(today, closed).check_change(change)
    if at > 0:
        assert refusal is not None
        assert refusal.rejection is Rejection.PERIOD_NOT_OVER
    elif closed is not None and at <= closed:
        assert refusal is not None
        assert refusal.rejection is Rejection.PERIOD_CLOSED
    else:
        assert refusal is None
        assert Calendar.closed_after(change) == today + at


@given(days, boundaries, st.integers(-1_100, 3))
def test_a_reopening_moves_the_boundary_back(today: int, closed: int | None, at: int) -> None:
    change = PeriodChange(REOPEN, today + at, "late invoice")
    refusal = calendar(today, closed).check_change(change)
    if closed is None or at > closed:
        assert refusal is not None
        assert refusal.rejection is Rejection.PERIOD_NOT_CLOSED
    else:
        assert refusal is None
        assert Calendar.closed_after(change) == today + at - 1


def test_nothing_is_closed_once_the_first_day_of_all_is_reopened() -> None:
    assert Calendar.closed_after(PeriodChange(REOPEN, FIRST, "start anew")) is None


@pytest.mark.parametrize("details", [b"{}", b'{"method":"ach","metadata":{"a":"}"}}'])
def test_the_tag_is_one_more_member_of_the_details(details: bytes) -> None:
    tagged = json.loads(tag_moved(details, 9_800))
    assert tagged == json.loads(details) | {"requested_effective_at": "2026-10-31"}
