"""Amounts and currencies, at their bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts.domain.limits import AMOUNT_MINOR_MAX
from hpts.domain.money import (
    ACTIVE_CURRENCIES,
    check_amount,
    check_currency,
    exponent_of,
    parse_decimal,
)
from hpts.domain.rejections import Rejection, refuse

MAJOR = "USD EUR JPY GBP CHF CNY INR BRL MXN CAD AUD NZD SEK NOK DKK PLN CZK HUF RON TRY ZAR KWD"
NEW = "BYN MRU STN VES VED UYW SLE ZWG XCG"
SHARED = "XAF XCD XOF XPF"
WITHDRAWN = "DEM FRF ITL HRK BGN LTL LVL EEK SLL ZWL ZWD ANG CUC VEF VEB BYR MRO STD TRL YUM CSD"
FUNDS = "BOV CHE CHW CLF COU MXV USN USS UYI"
NO_MONEY = "XXX XTS XAU XAG XPT XPD XDR XSU XUA XBA XBB XBC XBD"


@pytest.mark.parametrize("code", f"{MAJOR} {NEW} {SHARED}".split())
def test_an_active_iso_4217_code_is_known(code: str) -> None:
    assert check_currency(code.encode()) is None


@pytest.mark.parametrize("code", f"{WITHDRAWN} {FUNDS} {NO_MONEY} usd Usd AAA ZZZ".split())
def test_a_code_that_no_loan_can_be_paid_in_is_unknown(code: str) -> None:
    refusal = check_currency(code.encode())
    assert refusal is not None
    assert refusal.rejection is Rejection.UNKNOWN_CURRENCY
    assert [error.field for error in refusal.errors] == ["currency"]


def test_every_code_is_three_capital_letters() -> None:
    assert all(
        len(code) == 3 and code.isalpha() and code.isascii() and code.isupper()
        for code in ACTIVE_CURRENCIES
    )
    assert 150 <= len(ACTIVE_CURRENCIES) <= 165  # a line of the list is not lost by an edit


@given(st.integers(1, AMOUNT_MINOR_MAX))
def test_an_amount_is_above_zero_and_within_int64(amount: int) -> None:
    assert check_amount(amount) is None
    assert check_amount(AMOUNT_MINOR_MAX) is None


@given(st.integers(max_value=0))
def test_zero_and_below_is_not_positive(amount: int) -> None:
    expected = refuse(Rejection.AMOUNT_NOT_POSITIVE, "fee_minor", "must be above zero")
    assert check_amount(amount, "fee_minor") == expected


@given(st.integers(AMOUNT_MINOR_MAX + 1))
def test_above_int64_is_an_overflow(amount: int) -> None:
    refusal = check_amount(amount)
    assert refusal is not None
    assert refusal.rejection is Rejection.AMOUNT_OVERFLOW
    assert refusal.errors[0].field == "amount_minor"
    assert str(2**63 - 1) in refusal.errors[0].message


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("1250.00", "USD", 125_000), ("1250", "USD", 125_000), ("-0.05", "USD", -5),
     ("+7.1", "USD", 710),
     ("1250", "JPY", 1_250), ("12.345", "KWD", 12_345), ("1.", "EUR", 100), ("0.0001", "UYW", 1),
     ("92233720368547758.07", "USD", AMOUNT_MINOR_MAX)],
)  # fmt: skip
def test_a_decimal_is_minor_units_by_the_currencys_exponent(
    text: str, currency: str, minor: int
) -> None:
    assert parse_decimal(text, currency.encode()) == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [("1.005", "USD"), ("1.000", "USD"), ("1.0", "JPY"), ("1.2345", "KWD"), ("1,25", "USD"),
     ("", "USD"), (".5", "USD"), ("1e3", "USD"), (" 1", "USD"), ("--1", "USD"), ("1_0", "USD"),
     ("\u0661", "USD"), ("92233720368547758.08", "USD"), ("NaN", "USD"), ("1" * 5_000, "USD")],
)  # fmt: skip
def test_what_is_no_exact_amount_of_the_currency_is_refused(text: str, currency: str) -> None:
    with pytest.raises(ValueError, match="must"):
        parse_decimal(text, currency.encode())


@given(st.integers(-AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX), st.sampled_from(sorted(ACTIVE_CURRENCIES)))
def test_every_amount_is_read_back_as_it_was_written(minor: int, currency: bytes) -> None:
    digits = exponent_of(currency)
    whole = str(abs(minor)).rjust(digits + 1, "0")
    text = f"{whole[:-digits]}.{whole[-digits:]}" if digits else whole
    assert parse_decimal(("-" if minor < 0 else "") + text, currency) == minor
