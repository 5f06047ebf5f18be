"""The chart of accounts as the demo knows it: the one place where it names accounts by number.

Written from the contract and not imported from the server, so that the oracle stays independent.
"""

from typing import Final

import msgspec

CASH: Final = "1000"
PRINCIPAL: Final = "1100"
INTEREST: Final = "1200"
FEES: Final = "1300"
DISBURSEMENT_CLEARING: Final = "2000"
SUSPENSE: Final = "2100"
INTEREST_INCOME: Final = "4000"


class Account(msgspec.Struct, frozen=True):
    code: str
    name: str
    normal_balance: str


CHART = (
    Account(CASH, "Cash", "DR"),
    Account("1010", "Payments in Transit", "DR"),
    Account(PRINCIPAL, "Principal Receivable", "DR"),
    Account(INTEREST, "Interest Receivable", "DR"),
    Account(FEES, "Fees Receivable", "DR"),
    Account("1900", "Allowance for Credit Losses", "CR"),
    Account(DISBURSEMENT_CLEARING, "Disbursement Clearing", "CR"),
    Account(SUSPENSE, "Unapplied Payments", "CR"),
    Account("3000", "Retained Earnings", "CR"),
    Account(INTEREST_INCOME, "Interest Income", "CR"),
    Account("4100", "Fee Income", "CR"),
    Account("4200", "Recovery Income", "CR"),
    Account("5000", "Charge-off Expense", "DR"),
    Account("5100", "Waivers", "DR"),
    Account("5200", "Provision Expense", "DR"),
    Account("9000", "Commitments", "DR"),
    Account("9100", "Commitments Contra", "CR"),
)

MOVED = (CASH, PRINCIPAL, INTEREST, DISBURSEMENT_CLEARING, SUSPENSE, INTEREST_INCOME)
"""The accounts that the demo's postings touch."""
