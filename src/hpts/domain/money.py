"""Checks that every amount and currency passes before it reaches a line.

Amounts are int64 minor units; currencies are the three ASCII letters of an active ISO 4217 code.
"""

import re

from hpts.domain.limits import AMOUNT_MINOR_MAX
from hpts.domain.rejections import Refusal, Rejection, refuse

# ISO 4217 list one, active codes. Funds, precious metals and test codes (XAU, XTS, XXX, ...) are no
# currency that a loan can be paid in and are left out.
ACTIVE_CURRENCIES = frozenset(
    b"""AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD
    CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
    GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD
    KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN
    NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP
    SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UYW UZS VED
    VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG""".split()
)

# ISO 4217's minor units where they are not two digits, of the codes above.
_EXPONENTS = (
    dict.fromkeys(b"BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0)
    | dict.fromkeys(b"BHD IQD JOD KWD LYD OMR TND".split(), 3)
    | {b"UYW": 4}
)
_DECIMAL = re.compile(r"([+-]?)([0-9]{1,19})(?:\.([0-9]*))?")


def exponent_of(currency: bytes) -> int:
    """How many digits of an amount in an active currency stand behind the decimal point."""
    return _EXPONENTS.get(currency, 2)


def parse_decimal(text: str, currency: bytes) -> int:
    """A decimal such as 1250.00 as minor units of the currency, exactly.

    Raises ValueError for anything else, for more decimals than the currency has (zeros too: 1.250
    is a thousand somewhere), and past int64.
    """
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise ValueError("must be an amount such as 1250.00")
    sign, whole, fraction = found[1], found[2], found[3] or ""
    digits = exponent_of(currency)
    if len(fraction) > digits:
        raise ValueError(f"must have at most {digits} decimals in {currency.decode()}")
    minor = int(whole + fraction.ljust(digits, "0"))
    if minor > AMOUNT_MINOR_MAX:
        raise ValueError(f"must be at most {AMOUNT_MINOR_MAX} minor units")
    return -minor if sign == "-" else minor


def check_amount(amount_minor: int, field: str = "amount_minor") -> Refusal | None:
    """Above zero and within int64."""
    if amount_minor <= 0:
        return refuse(Rejection.AMOUNT_NOT_POSITIVE, field, "must be above zero")
    if amount_minor > AMOUNT_MINOR_MAX:
        return refuse(Rejection.AMOUNT_OVERFLOW, field, f"must be at most {AMOUNT_MINOR_MAX}")
    return None


def check_currency(currency: bytes) -> Refusal | None:
    """An active ISO 4217 code."""
    if currency in ACTIVE_CURRENCIES:
        return None
    return refuse(Rejection.UNKNOWN_CURRENCY, "currency", "must be an active ISO 4217 code")
