"""BAI2 (cash management balance reporting), by the bai2 library, control totals and counts checked.

Amounts stand in minor units already. A transaction's type code says its side.
"""

import datetime
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from bai2 import bai2
from bai2.constants import (
    GroupStatus,
    TypeCode,
    TypeCodeLevel,
    TypeCodes,
    TypeCodeTransaction,
)

from hpts.bank_files.decoding import decode, lines_of
from hpts.bank_files.values import read_currency
from hpts.domain.bank_statements import (
    Statement,
    StatementLine,
    invalid,
    make_line,
    make_statement,
    read_each,
)
from hpts.domain.limits import (
    AMOUNT_MINOR_MAX,
    STATEMENT_LINES_PER_FILE_MAX,
    STATEMENTS_PER_FILE_MAX,
)

OPENING, CLOSING = "010", "015"
SIDES = {TypeCodeTransaction.credit: 1, TypeCodeTransaction.debit: -1}
OWN_CODES = {
    TypeCodeTransaction.credit: range(920, 960),
    TypeCodeTransaction.debit: range(960, 1000),
}
"""What a bank may use as it likes, which the library does not know."""
for _transaction, _codes in OWN_CODES.items():
    for _code in map(str, _codes):
        _own = TypeCode(_code, _transaction, TypeCodeLevel.detail, "Of the bank's own")
        TypeCodes.setdefault(_code, _own)
RETURNED = ("return", "reversal", "reversed")
"""Words by which a type code says that it undoes something."""


class _Lines:
    """The file's records one by one; `number` is the line that was read last."""

    def __init__(self, text: str) -> None:
        self._lines = lines_of(text)
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self._lines, 1):
            self.number = number
            if line.strip():
                yield line.strip()


def read_bai2(content: bytes) -> list[Statement]:
    """The file's statements, one an account and group. Raises StatementInvalid."""
    text = decode(content)
    if text.count("\n16,") > STATEMENT_LINES_PER_FILE_MAX:
        raise invalid("line 1", f"must hold at most {STATEMENT_LINES_PER_FILE_MAX} records of 16")
    lines = _Lines(text)
    _check_end(text)
    try:
        file = bai2.parse_from_lines(iter(lines))
    except Exception as error:  # whatever the library trips over is the file's fault
        said = str(error)[:200] or "it ends too early"
        # The library has read one record ahead.
        place = f"line {max(1, lines.number - 1)} or before"
        raise invalid(place, f"cannot be read as BAI2: {said}") from error
    for at, group in enumerate(file.children, 1):
        if group.header.group_status is not GroupStatus.update:
            message = "changes or tests what was sent (status in 02): have it sent as new (1)"
            raise invalid(f"group {at}", message)
    accounts = [(group, account) for group in file.children for account in group.children]
    if len(accounts) > STATEMENTS_PER_FILE_MAX:
        raise invalid("line 1", f"must hold at most {STATEMENTS_PER_FILE_MAX} accounts")
    return read_each(enumerate(accounts, 1), partial(_statement, file.header))


def _check_end(text: str) -> None:
    """One trailer, and it is the last record: of a file that ends sooner the library would read the
    last record for ever, and what follows the trailer it would leave out."""
    lines = lines_of(text)
    codes = [line.strip()[:3] for line in lines if line.strip()]
    if codes.count("99,") != 1 or codes[-1] != "99,":
        raise invalid(
            f"line {len(lines) or 1}", "must end with its one trailer (99): it may be cut off"
        )


def _statement(header: Any, numbered: tuple[int, tuple[Any, Any]]) -> Statement:
    at, (group, account) = numbered
    identifier = account.header.customer_account_number
    place = f"account {at} ({str(identifier)[:40]})"
    day: datetime.date | None = group.header.as_of_date
    currency = account.header.currency or group.header.currency
    if not identifier or day is None:
        raise invalid(place, "must have an account number (03) and an as-of date (02)")
    read_currency(currency or "", place)
    balances = {
        summary.type_code.code: _amount(summary.amount, place)
        for summary in account.header.summary_items
        if summary.type_code is not None and summary.amount is not None
    }
    if CLOSING not in balances:
        raise invalid(place, f"must have the closing ledger balance (type code {CLOSING})")
    return make_statement(
        identifier=identifier,
        currency=currency,
        statement_ref=f"{header.file_id or ''} {header.creation_date or ''}",
        opening_minor=balances.get(OPENING),
        closing_minor=balances[CLOSING],
        closing_on=day,
        lines=list(_lines(account.children, day, place)),
        place=place,
    )


def _lines(details: Sequence[Any], day: datetime.date, place: str) -> Iterator[StatementLine]:
    for at, detail in enumerate(details, 1):
        where = f"{place}, record 16 number {at}"
        code, amount = detail.type_code, detail.amount or 0
        if code is None:
            raise invalid(where, "must have a type code")
        side = SIDES.get(code.transaction)
        if side is None and amount:
            raise invalid(where, f"type code {code.code} does not say whether money came or went")
        valued = (detail.availability or {}).get("date")
        yield make_line(
            booked_on=day,
            value_on=valued if isinstance(valued, datetime.date) else None,
            amount_minor=(side or 0) * _amount(amount, where),
            bank_reference=detail.bank_reference or "",
            references=[detail.customer_reference or ""],
            text=f"{detail.text or ''} ({code.description})",
            is_reversal=any(word in code.description.lower() for word in RETURNED),
            place=where,
        )


def _amount(minor: int, place: str) -> int:
    if abs(minor) > AMOUNT_MINOR_MAX:
        raise invalid(place, f"no amount may pass {AMOUNT_MINOR_MAX} minor units")
    return minor
