"""Checks that every amount and currency passes before it reaches a line.

Amounts are int64 minor units; currencies are the three ASCII letters of an active ISO 4217 code.
"""

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
