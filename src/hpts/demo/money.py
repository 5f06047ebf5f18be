"""The demo's currencies and how their minor units are written in major units.

Integers only: an amount is divided by the currency's power of ten with divmod, never as a float.
"""

import msgspec


class Currency(msgspec.Struct, frozen=True):
    """An ISO 4217 code and the number of digits after its decimal point."""

    code: str
    digits: int

    @property
    def minor_per_major(self) -> int:
        power: int = 10**self.digits
        return power


USD = Currency("USD", 2)
EUR = Currency("EUR", 2)
JPY = Currency("JPY", 0)
CURRENCIES = (USD, EUR, JPY)


def format_minor(amount_minor: int, currency: Currency) -> str:
    """1234567 as 12,345.67 in USD and as 1,234,567 in JPY."""
    sign = "-" if amount_minor < 0 else ""
    major, minor = divmod(abs(amount_minor), currency.minor_per_major)
    fraction = f".{minor:0{currency.digits}d}" if currency.digits else ""
    return f"{sign}{major:,}{fraction}"
