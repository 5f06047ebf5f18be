"""Days and instants from 2000-01-01, the letters of directions and layers, two checks."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts.domain.entries import (
    CR,
    DR,
    Direction,
    Layer,
    check_metadata,
    date_of,
    day_at,
    day_of,
    format_timestamp,
)
from hpts.domain.rejections import Rejection

DAY = 86_400_000_000
EPOCH = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
instants = st.datetimes(
    EPOCH.replace(tzinfo=None), datetime.datetime(9999, 12, 31, 23, 59, 59, 999_999)
)


def test_directions_and_layers_are_the_letters_of_the_database() -> None:
    assert (chr(DR), chr(CR)) == ("D", "C")
    assert [chr(side) for side in Direction] == ["D", "C"]
    assert {layer.name: chr(layer) for layer in Layer} == {
        "SETTLED": "S",
        "PENDING": "P",
        "ENCUMBRANCE": "E",
    }


def test_days_count_from_the_first_of_2000() -> None:
    assert day_of(datetime.date(2000, 1, 1)) == 0
    assert day_of(datetime.date(1999, 12, 31)) == -1
    assert date_of(9_820) == datetime.date(2026, 11, 20)


@given(st.dates())
def test_a_date_survives_its_number(date: datetime.date) -> None:
    assert date_of(day_of(date)) == date


@pytest.mark.parametrize(
    ("microseconds", "day"), [(0, 0), (DAY - 1, 0), (DAY, 1), (-1, -1), (-DAY, -1), (-DAY - 1, -2)]
)
def test_an_instant_is_on_its_utc_day(microseconds: int, day: int) -> None:
    assert day_at(microseconds) == day


@given(instants)
def test_a_timestamp_is_rfc_3339_in_utc_with_six_digits(instant: datetime.datetime) -> None:
    moment = instant.replace(tzinfo=datetime.UTC)
    microseconds = (moment - EPOCH) // datetime.timedelta(microseconds=1)
    shown = format_timestamp(microseconds)
    assert len(shown) == len("2000-01-01T00:00:00.000000Z")
    assert shown.endswith("Z")
    assert datetime.datetime.fromisoformat(shown) == moment
    assert day_at(microseconds) == day_of(moment.date())


def test_a_timestamp_shows_whole_seconds_with_six_digits_too() -> None:
    assert format_timestamp(0) == "2000-01-01T00:00:00.000000Z"
    assert format_timestamp(848_491_200_000_001) == "2026-11-20T12:00:00.000001Z"


def test_metadata_has_at_most_4096_bytes() -> None:
    assert check_metadata(0) is check_metadata(4_096) is None
    refusal = check_metadata(4_097)
    assert refusal is not None
    assert refusal.rejection is Rejection.METADATA_TOO_LARGE
    assert [error.field for error in refusal.errors] == ["metadata"]
