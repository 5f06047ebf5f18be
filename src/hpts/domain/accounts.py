"""The chart of accounts: the one place where an account has a number.

Rules name roles; a tenant's Chart maps them to that tenant's codes.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec


class Account(NamedTuple):
    """An account of a chart; `normal_balance` is the side that increases it."""

    account_code: int
    name: str
    account_type: str
    normal_balance: str
    role: str


TEMPLATE: tuple[Account, ...] = (
    Account(1000, "Cash", "asset", "D", "cash"),
    Account(1010, "Payments in Transit", "asset", "D", "payments_in_transit"),
    Account(1100, "Principal Receivable", "asset", "D", "principal_receivable"),
    Account(1200, "Interest Receivable", "asset", "D", "interest_receivable"),
    Account(1300, "Fees Receivable", "asset", "D", "fees_receivable"),
    Account(1900, "Allowance for Credit Losses", "contra-asset", "C", "credit_loss_allowance"),
    Account(2000, "Disbursement Clearing", "liability", "C", "disbursement_clearing"),
    Account(2100, "Unapplied Payments (suspense)", "liability", "C", "suspense"),
    Account(3000, "Retained Earnings", "equity", "C", "retained_earnings"),
    Account(4000, "Interest Income", "income", "C", "interest_income"),
    Account(4100, "Fee Income", "income", "C", "fee_income"),
    Account(4200, "Recovery Income", "income", "C", "recovery_income"),
    Account(5000, "Charge-off Expense", "expense", "D", "chargeoff_expense"),
    Account(5100, "Waivers", "contra-income", "D", "waivers"),
    Account(5200, "Provision Expense", "expense", "D", "provision_expense"),
    Account(9000, "Commitments", "memorandum", "D", "commitments"),
    Account(9100, "Commitments Contra", "memorandum", "C", "commitments_contra"),
)


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's account codes by the roles that rules post to."""

    cash: int
    principal_receivable: int
    interest_receivable: int
    fees_receivable: int
    disbursement_clearing: int
    suspense: int
    interest_income: int


def chart_of(accounts: Iterable[Account]) -> Chart:
    """The chart of a tenant's accounts. Raises KeyError for a role without an account."""
    codes = {account.role: account.account_code for account in accounts}
    return Chart(**{role: codes[role] for role in Chart.__struct_fields__})
