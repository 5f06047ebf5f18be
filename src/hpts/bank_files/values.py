"""Amounts, currencies and days as files write them; what is none is refused, with its place."""

import datetime
import re

from hpts.domain.bank_statements import invalid
from hpts.domain.money import ACTIVE_CURRENCIES, parse_decimal

DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def read_amount(text: str, currency: str, place: str) -> int:
    """Minor units of a decimal with a point. Raises StatementInvalid."""
    try:
        return parse_decimal(text, currency.encode())
    except ValueError as error:
        raise invalid(place, str(error)) from error


def read_currency(text: str, place: str) -> str:
    """An active ISO 4217 code. Raises StatementInvalid."""
    if text.encode() not in ACTIVE_CURRENCIES:
        raise invalid(place, "must be an active ISO 4217 code", "currency")
    return text


def read_day(text: str, place: str) -> datetime.date:
    """A day written YYYY-MM-DD and in no other way. Raises StatementInvalid."""
    try:
        if DAY.fullmatch(text):
            return datetime.date.fromisoformat(text)
    except ValueError:
        pass
    raise invalid(place, "must be a date (YYYY-MM-DD)")
