"""Instants at which something was known, as a bound on identifiers, which sort in posting order."""

import datetime
import re

import msgspec

from hpts.domain.entries import (
    EPOCH,
    EPOCH_DAY,
    MICROSECONDS_PER_DAY,
    date_of,
    day_at,
    format_timestamp,
)
from hpts.domain.identifiers import first_identifier

RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:([Zz])|([+\- ])(\d\d):(\d\d))", re.ASCII
)
LATEST = (datetime.datetime.max.replace(tzinfo=datetime.UTC) - EPOCH) // datetime.timedelta(
    microseconds=1
) - MICROSECONDS_PER_DAY


class Instant(msgspec.Struct, frozen=True):
    """An instant in microseconds from 2000-01-01 UTC, before which nothing was ever posted."""

    microseconds: int

    @property
    def before_entry_id(self) -> bytes:
        """The first identifier (16 bytes) that can have been posted later."""
        return _identifier(self.microseconds + 1)

    @property
    def day_entry_id(self) -> bytes:
        """The first identifier that can have been posted on the instant's UTC day."""
        return _identifier(day_at(self.microseconds) * MICROSECONDS_PER_DAY)

    @property
    def day(self) -> datetime.date:
        """The instant's day in UTC."""
        return date_of(day_at(self.microseconds))

    @property
    def month(self) -> datetime.date:
        """The first day of the instant's month in UTC."""
        return self.day.replace(day=1)

    def __str__(self) -> str:
        return format_timestamp(self.microseconds)


def parse_instant(text: str) -> Instant | None:
    """An RFC 3339 instant; None where it is none. Digits beyond microseconds are cut. A plus that
    came as a space, as an unescaped one in a query does, is one."""
    match = RFC_3339.fullmatch(text)
    if match is None:
        return None
    day, time, fraction, _, sign, hours, minutes = match.groups()
    try:
        local = datetime.datetime.fromisoformat(f"{day}T{time}+00:00")
    except ValueError:
        return None
    offset = 60 * int(hours or 0) + int(minutes or 0)
    if int(hours or 0) > 23 or int(minutes or 0) > 59:
        return None
    seconds = (local - EPOCH) // datetime.timedelta(seconds=1) - 60 * (
        -offset if sign == "-" else offset
    )
    microseconds = seconds * 1_000_000 + int((fraction or "0")[:6].ljust(6, "0"))
    return Instant(min(max(microseconds, 0), LATEST))


def end_of_day(text: str) -> Instant:
    """The last microsecond of a day (YYYY-MM-DD) in UTC."""
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        day = datetime.date.max
    end = (day.toordinal() - EPOCH_DAY + 1) * MICROSECONDS_PER_DAY - 1
    return Instant(min(max(end, 0), LATEST))


def _identifier(microseconds: int) -> bytes:
    first = first_identifier(microseconds, 0)
    return first.to_bytes(16, "big")
