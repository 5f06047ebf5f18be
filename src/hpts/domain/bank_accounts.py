"""A bank account: which ledger account in which currency it is compared with, and its names."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from hpts.domain.bank_statements import printable
from hpts.domain.money import ACTIVE_CURRENCIES

REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\-]{0,99}")
IDENTIFIER = re.compile(r"[!-~]{1,100}")
IDENTIFIERS_MAX = 10


class BankAccount(NamedTuple):
    """`identifiers` are what statement files call it: an IBAN, an account number."""

    bank_account_ref: str
    account_code: int
    currency: str
    identifiers: tuple[str, ...]


class BankAccountRefused(Exception):
    """The bank account cannot be added: the field at fault, and what it must be."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}")
        self.field = field
        self.message = message


def make_bank_account(
    bank_account_ref: str, account_code: str, currency: str, identifiers: Iterable[str]
) -> BankAccount:
    """A bank account of good form; without identifiers files call it by its reference. Raises
    BankAccountRefused."""
    if not REF.fullmatch(bank_account_ref):
        raise BankAccountRefused("bank_account_ref", f"must match ^{REF.pattern}$")
    if not re.fullmatch("[0-9]{4}", account_code):
        raise BankAccountRefused("account_code", "must be four digits")
    if currency.encode() not in ACTIVE_CURRENCIES:
        raise BankAccountRefused("currency", "must be an active ISO 4217 code")
    names = sorted({normal_identifier(name) for name in identifiers} or {bank_account_ref})
    if len(names) > IDENTIFIERS_MAX or not all(IDENTIFIER.fullmatch(name) for name in names):
        raise BankAccountRefused(
            "identifiers", f"must be at most {IDENTIFIERS_MAX}, of 1 to 100 ASCII characters"
        )
    return BankAccount(bank_account_ref, int(account_code), currency, tuple(names))


def normal_identifier(text: str) -> str:
    """As files and people write it, without spaces and in upper case."""
    return printable(text).replace(" ", "").upper()
