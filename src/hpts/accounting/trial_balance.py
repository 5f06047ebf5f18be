"""The trial balance: every account's balance on its side, and the sides' totals by currency.

The sums come from one statement and every entry balances, so the totals of both sides are equal at
any moment. A total is over many accounts and may pass int64; it is a decimal string like the rest.
"""

from itertools import groupby
from typing import NamedTuple

import msgspec

from hpts.domain.accounts import Account
from hpts.domain.entries import Layer
from hpts.domain.instants import Instant
from hpts.store.accounting_reads import AccountingReads, AccountSum


class TrialBalanceQuery(NamedTuple):
    """Which accounts' balances: of one currency or of all, everything posted or by a day."""

    currency: str | None
    layer: str
    as_of_date: str | None
    known_at: Instant | None = None


class TrialBalanceLine(msgspec.Struct, frozen=True):
    account_code: str
    account_name: str
    account_type: str
    currency: str
    dr_balance_minor: str
    cr_balance_minor: str
    debit_minor: str
    credit_minor: str


class TrialBalanceTotal(msgspec.Struct, frozen=True):
    currency: str
    dr_balance_minor: str
    cr_balance_minor: str
    debit_minor: str
    credit_minor: str


class TrialBalance(msgspec.Struct, frozen=True):
    as_of_date: str
    layer: str
    accounts: list[TrialBalanceLine]
    totals: list[TrialBalanceTotal]


async def read_trial_balance(
    reads: AccountingReads, tenant_id: bytes, query: TrialBalanceQuery, *, today: str
) -> TrialBalance:
    """Every account of the chart in the query's currency, or in each currency that its layer was
    ever posted in. `today` dates the answer where the query has no day."""
    chart, sums = await reads.trial_balance(
        tenant_id,
        layer=chr(Layer[query.layer]),
        currency=query.currency,
        as_of_date=query.as_of_date,
        known_at=query.known_at,
    )
    found = {currency: list(group) for currency, group in groupby(sums, lambda one: one.currency)}
    currencies = found if query.currency is None else {query.currency: found.get(query.currency)}
    lines: list[TrialBalanceLine] = []
    totals: list[TrialBalanceTotal] = []
    for currency, own in currencies.items():
        by_account = {one.account_code: one for one in own or ()}
        nothing = AccountSum(0, currency, 0, 0)
        balances = [(account, by_account.get(account.account_code, nothing)) for account in chart]
        lines += [_line(account, one) for account, one in balances]
        totals.append(_total(currency, [one for _, one in balances]))
    return TrialBalance(query.as_of_date or today, query.layer, lines, totals)


def _line(account: Account, one: AccountSum) -> TrialBalanceLine:
    net = one.debit_minor - one.credit_minor
    return TrialBalanceLine(
        f"{account.account_code:04d}",
        account.name,
        account.account_type,
        one.currency,
        str(one.debit_minor),
        str(one.credit_minor),
        str(max(net, 0)),
        str(max(-net, 0)),
    )


def _total(currency: str, sums: list[AccountSum]) -> TrialBalanceTotal:
    nets = [one.debit_minor - one.credit_minor for one in sums]
    return TrialBalanceTotal(
        currency,
        str(sum(one.debit_minor for one in sums)),
        str(sum(one.credit_minor for one in sums)),
        str(sum(net for net in nets if net > 0)),
        str(-sum(net for net in nets if net < 0)),
    )
