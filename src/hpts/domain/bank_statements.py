"""What a bank says of one account, whatever format it came in: a statement and its lines.

Amounts are signed minor units as the account's owner sees them: above zero is money in. A statement
that does not add up, or names another currency or account than it should, is refused whole.
"""

import datetime
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import TypeVar

import msgspec

from hpts.domain.limits import (
    AMOUNT_MINOR_MAX,
    STATEMENT_ERRORS_MAX,
    STATEMENT_REFERENCE_LENGTH_MAX,
    STATEMENT_REFERENCES_MAX,
    STATEMENT_TEXT_LENGTH_MAX,
    STATEMENT_YEAR_MAX,
    STATEMENT_YEAR_MIN,
)
from hpts.domain.rejections import FieldError

NO_REFERENCE = frozenset(("", "NONREF", "NOTPROVIDED", "NOT PROVIDED", "NREF", "N/A"))
"""What banks write where they have no reference; two lines that say so have nothing in common."""


Found = TypeVar("Found")
Read = TypeVar("Read")


class StatementInvalid(Exception):
    """A statement file cannot be imported; `errors` say where and what to do."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One booked movement. `place` says where in the file it stands."""

    booked_on: datetime.date
    value_on: datetime.date | None
    amount_minor: int
    bank_reference: str
    references: tuple[str, ...]
    text: str
    is_reversal: bool
    place: str


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One account's lines over some days, between two balances.

    `opening_is_stated` is false where the bank gives only the closing balance, and the opening one
    is what the lines leave of it.
    """

    identifier: str
    currency: str
    statement_ref: str
    from_date: datetime.date
    to_date: datetime.date
    opening_minor: int
    opening_is_stated: bool
    closing_minor: int
    lines: tuple[StatementLine, ...]
    place: str


def invalid(place: str, message: str, code: str = "invalid") -> StatementInvalid:
    """What to raise where one thing is wrong."""
    return StatementInvalid(FieldError(place, code, message))


def make_line(
    *,
    booked_on: datetime.date,
    amount_minor: int,
    place: str,
    value_on: datetime.date | None = None,
    bank_reference: str = "",
    references: Iterable[str] = (),
    text: str = "",
    is_reversal: bool = False,
) -> StatementLine:
    """A line with its texts as they are kept: no control characters, bounded, no empty names.
    Raises StatementInvalid."""
    _check_days(place, booked_on, value_on)
    bank = _reference(bank_reference)
    kept = dict.fromkeys(found for found in map(_reference, references) if found)
    return StatementLine(
        booked_on=booked_on,
        value_on=value_on,
        amount_minor=amount_minor,
        bank_reference=bank,
        references=tuple(kept)[:STATEMENT_REFERENCES_MAX],
        text=printable(text)[:STATEMENT_TEXT_LENGTH_MAX],
        is_reversal=is_reversal,
        place=place,
    )


def make_statement(
    *,
    identifier: str,
    currency: str,
    statement_ref: str,
    opening_minor: int | None,
    closing_minor: int,
    closing_on: datetime.date,
    lines: Sequence[StatementLine],
    place: str,
    from_date: datetime.date | None = None,
) -> Statement:
    """A statement that adds up. Raises StatementInvalid. Lines that move nothing are left out."""
    _check_days(place, closing_on, from_date)
    moved = sum(line.amount_minor for line in lines)
    if opening_minor is not None and opening_minor + moved != closing_minor:
        raise invalid(
            place,
            f"the lines move {moved} minor units; from the opening balance {opening_minor} to the "
            f"closing balance {closing_minor} it takes {closing_minor - opening_minor}. The file "
            "is not whole, or wrong: get it from the bank again",
            "does_not_add_up",
        )
    opening = closing_minor - moved if opening_minor is None else opening_minor
    if max(abs(opening), abs(closing_minor)) > AMOUNT_MINOR_MAX:
        raise invalid(place, f"no balance may pass {AMOUNT_MINOR_MAX} minor units")
    days = [line.booked_on for line in lines]
    return Statement(
        identifier=printable(identifier).replace(" ", "").upper(),
        currency=currency,
        statement_ref=_reference(statement_ref),
        from_date=min([*days, closing_on] if from_date is None else [*days, closing_on, from_date]),
        to_date=max([*days, closing_on]),
        opening_minor=opening,
        opening_is_stated=opening_minor is not None,
        closing_minor=closing_minor,
        lines=tuple(line for line in lines if line.amount_minor),
        place=place,
    )


def _check_days(place: str, *days: datetime.date | None) -> None:
    """A day far away is a slip of the bank's, and would stay its account's last one for ever."""
    for day in days:
        if day is not None and not STATEMENT_YEAR_MIN <= day.year <= STATEMENT_YEAR_MAX:
            years = f"{STATEMENT_YEAR_MIN} to {STATEMENT_YEAR_MAX}"
            raise invalid(place, f"dates must be of the years {years}, not {day}")


def content_digest(statement: Statement) -> bytes:
    """Of all that a statement says, wherever in a file it stands."""
    bare = [msgspec.structs.replace(line, place="") for line in statement.lines]
    said = msgspec.structs.replace(statement, place="", lines=tuple(bare))
    return sha256(msgspec.json.encode(said)).digest()


def outline_digest(statement: Statement) -> bytes:
    """Of what is the same in every format: the account, the day, the balance, what was moved."""
    amounts = sorted(line.amount_minor for line in statement.lines)
    said = (statement.to_date.isoformat(), statement.closing_minor, amounts)
    return sha256(msgspec.json.encode(said)).digest()


def identity_of(line: StatementLine) -> bytes:
    """What is the same of a line in two statements that overlap: its day, amount and the bank's
    reference; where the bank gives none, all that it says."""
    beside = line.bank_reference or [line.value_on, line.references, line.text]
    said = (line.booked_on, line.amount_minor, beside)
    return sha256(msgspec.json.encode(said)).digest()


def printable(text: str) -> str:
    """The text on one line, without control characters or characters that are no text at all."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _reference(text: str) -> str:
    kept = printable(text)[:STATEMENT_REFERENCE_LENGTH_MAX]
    return "" if kept.upper() in NO_REFERENCE else kept


class Errors:
    """Collects what is wrong with a file, so that all of it is said at once: `with errors:` takes
    note of a StatementInvalid and goes on."""

    def __init__(self) -> None:
        self._found: list[FieldError] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: object, __: object) -> bool:
        if isinstance(error, StatementInvalid):
            self.add(error)
            return True
        return False

    def add(self, error: StatementInvalid) -> None:
        """Note it, up to STATEMENT_ERRORS_MAX."""
        self._found += error.errors[: STATEMENT_ERRORS_MAX - len(self._found)]

    def check(self) -> None:
        """Raises StatementInvalid where anything was noted."""
        if self._found:
            raise StatementInvalid(*self._found)


def read_each(found: Iterable[Found], read: Callable[[Found], Read]) -> list[Read]:
    """What each is read as, at once and not as it is taken. Raises StatementInvalid with what is
    wrong with any of them."""
    errors, kept = Errors(), list[Read]()
    for one in found:
        with errors:
            kept.append(read(one))
    errors.check()
    return kept
