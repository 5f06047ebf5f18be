"""Amounts and currencies, at their bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpts.domain.limits import AMOUNT_MINOR_MAX
from hpts.domain.money import ACTIVE_CURRENCIES, check_amount, check_currency
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
