"""SWIFT MT940 (customer statement), by the mt-940 library, block by block from :20: to :20:.

The library is given text in memory only: handed a string, its own entry point opens a file of that
name. Lines that it would merge or drop are noticed by counting.
"""

import datetime
import re
from collections.abc import Iterator
from typing import Any

from mt940.models import Balance, Transactions
from mt940.options import Options

from hpts.bank_files.decoding import decode
from hpts.bank_files.values import read_amount, read_currency
from hpts.domain.bank_statements import (
    Statement,
    StatementLine,
    invalid,
    make_line,
    make_statement,
    read_each,
)
from hpts.domain.limits import STATEMENT_LINES_PER_FILE_MAX, STATEMENTS_PER_FILE_MAX

BLOCK = re.compile(r"^(?=:20:)", re.MULTILINE)
LINE = re.compile(r"^:61:", re.MULTILINE)
FIELD = re.compile(r"^:(60[FM]|61|62[FM]):", re.MULTILINE)
CENTURY_ENDS = 2079
"""SWIFT's two digits of a year from 80 on are of the century before."""
OPENING = ("final_opening_balance", "opening_balance", "intermediate_opening_balance")
CLOSING = ("final_closing_balance", "closing_balance", "intermediate_closing_balance")
REFERENCES = ("customer_reference", "end_to_end_reference")
TEXTS = ("transaction_details", "purpose", "applicant_name", "extra_details", "additional_purpose")


def read_mt940(content: bytes) -> list[Statement]:
    """The file's statements. Raises StatementInvalid, with the line where a statement stands."""
    text = decode(content).replace("\r\n", "\n").replace("\r", "\n")
    blocks = list(_blocks(text))
    if not blocks or len(blocks) > STATEMENTS_PER_FILE_MAX:
        raise invalid("line 1", f"must hold 1 to {STATEMENTS_PER_FILE_MAX} statements (:20:)")
    if len(LINE.findall(text)) > STATEMENT_LINES_PER_FILE_MAX:
        raise invalid("line 1", f"must hold at most {STATEMENT_LINES_PER_FILE_MAX} lines (:61:)")
    return read_each(enumerate(blocks, 1), _statement)


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """(line number, text) of each statement. What SWIFT puts around it is left out."""
    line = 1
    for block in BLOCK.split(text):
        if block.startswith(":20:"):
            yield line, re.split(r"^-\}", block, maxsplit=1, flags=re.MULTILINE)[0]
        line += block.count("\n")


def _statement(numbered: tuple[int, tuple[int, str]]) -> Statement:
    at, (first_line, block) = numbered
    place = f"line {first_line}, statement {at}"
    places = [
        f"line {first_line + block.count(chr(10), 0, found.start())}, statement {at}, :61:"
        for found in LINE.finditer(block)
    ]
    parsed = Transactions(options=Options.all())
    try:
        parsed.parse(block)
    except Exception as error:  # whatever the library trips over is the file's fault
        shown = [part for part in error.args if isinstance(part, str)][-1:]
        message = f"cannot be read as MT940: {''.join(shown)[:200]!r}"
        raise invalid(_place_of(error, block, first_line, place), message) from error
    data: dict[str, Any] = parsed.data
    if not data.get("account_identification"):
        raise invalid(place, "must name the account (:25:)")
    closing, currency = _balance(data, CLOSING, place, ":62F:")
    opening, opening_currency = _balance(data, OPENING, place, ":60F:")
    if opening_currency != currency:
        raise invalid(place, "the balances must be in one currency", "currency")
    found = [one for one in parsed.transactions if "amount" in one.data and one.data.get("id")]
    if len(found) != len(places):
        raise invalid(place, "every :61: line must be whole: date, side, amount and type code")
    numbers = [data.get("statement_number"), data.get("sequence_number")]
    return make_statement(
        identifier=data["account_identification"],
        currency=currency,
        statement_ref=" ".join(
            [data.get("transaction_reference") or "", "/".join(n for n in numbers if n)]
        ),
        opening_minor=_minor(opening, currency, f"{place}, :60F:"),
        closing_minor=_minor(closing, currency, f"{place}, :62F:"),
        closing_on=_day(closing.date, place),
        lines=[_line(one.data, currency, where) for one, where in zip(found, places, strict=True)],
        place=place,
    )


def _place_of(error: Exception, block: str, first_line: int, place: str) -> str:
    """Where in the block the library tripped: at the first field that alone makes it trip alike."""
    starts = [found.start() for found in FIELD.finditer(block)]
    for start, end in zip(starts, [*starts[1:], len(block)], strict=True):
        field = block[start:end]
        try:
            Transactions(options=Options.all()).parse(field)
        except Exception as alone:  # as above
            if repr(alone) == repr(error):
                line = first_line + block.count("\n", 0, start)
                statement = place.partition(", ")[2]
                return f"line {line}, {statement}, {field[: field.index(':', 1) + 1]}"
    return place


def _balance(
    data: dict[str, Any], names: tuple[str, ...], place: str, tag: str
) -> tuple[Balance, str]:
    for name in names:
        balance = data.get(name)
        if balance is not None:
            return balance, read_currency(str(balance.amount.currency), f"{place}, {tag}")
    raise invalid(place, f"must have the balance {tag}: the file may be cut off")


def _minor(balance: Balance, currency: str, place: str) -> int:
    return read_amount(f"{balance.amount.amount:f}", currency, place)  # type: ignore[union-attr]


def _line(data: dict[str, Any], currency: str, place: str) -> StatementLine:
    booked = data.get("entry_date") or data.get("guessed_entry_date") or data.get("date")
    return make_line(
        booked_on=_day(booked, place),
        value_on=_day(data.get("date"), place),
        amount_minor=read_amount(f"{data['amount'].amount:f}", currency, place),
        bank_reference=data.get("bank_reference") or "",
        references=[data.get(name) or "" for name in REFERENCES],
        text=" ".join(data.get(name) or "" for name in TEXTS),
        is_reversal=str(data.get("status") or "").upper().startswith("R"),
        place=place,
    )


def _day(given: Any, place: str) -> datetime.date:
    if not isinstance(given, datetime.date):
        raise invalid(place, "must have a date")
    year = given.year - 100 if given.year > CENTURY_ENDS else given.year
    return datetime.date(year, given.month, given.day)
