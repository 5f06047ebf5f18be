"""What a journal entry is made of, and what one rule hands on: lines in the kernel, facts beside
them.
"""

import datetime
import enum

import msgspec

from hpts.domain.limits import METADATA_BYTES_MAX
from hpts.domain.rejections import Refusal, Rejection, refuse

EPOCH_DAY = datetime.date(2000, 1, 1).toordinal()
"""Days count from PostgreSQL's epoch."""
EPOCH = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
_NAIVE_EPOCH = EPOCH.replace(tzinfo=None)
MICROSECONDS_PER_DAY = 86_400_000_000


class Direction(enum.IntEnum):
    """Which side of an account a line stands on; the values are the letters in the database."""

    DR = ord("D")
    CR = ord("C")


class Layer(enum.IntEnum):
    """Degree of commitment; the values are the letters in the database."""

    SETTLED = ord("S")
    PENDING = ord("P")
    ENCUMBRANCE = ord("E")


DR = int(Direction.DR)
CR = int(Direction.CR)


class EntryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry is, beside its lines. `result` is what the event's reply shows."""

    event_type: bytes
    effective_day: int
    details: bytes
    correlation_id: bytes | None = None
    reverses_entry_id: bytes | None = None
    loan_id: bytes | None = None
    has_many_loans: bool = False
    result: tuple[int, ...] = ()


def day_of(date: datetime.date) -> int:
    """Days from 2000-01-01."""
    return date.toordinal() - EPOCH_DAY


def date_of(day: int) -> datetime.date:
    """The date `day` days from 2000-01-01."""
    return datetime.date.fromordinal(day + EPOCH_DAY)


def day_at(microseconds: int) -> int:
    """The UTC day of an instant in microseconds from 2000-01-01."""
    return microseconds // MICROSECONDS_PER_DAY


def format_timestamp(microseconds: int) -> str:
    """RFC 3339 in UTC, always with six digits of a second."""
    # Without a zone, for isoformat would append its offset; strftime takes three times as long.
    instant = _NAIVE_EPOCH + datetime.timedelta(0, 0, microseconds)
    return instant.isoformat("T", "microseconds") + "Z"


def check_metadata(metadata_bytes: int) -> Refusal | None:
    """At most 4,096 bytes as compact JSON."""
    if metadata_bytes <= METADATA_BYTES_MAX:
        return None
    message = f"is {metadata_bytes} bytes as compact JSON; at most {METADATA_BYTES_MAX} are kept"
    return refuse(Rejection.METADATA_TOO_LARGE, "metadata", message)
