"""Asking the ledger for everything the oracle knows, and noting where the two differ.

Reads only, after the last posting: balances now and on past days, journals, reconciliation.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import msgspec

from hpts.demo import accounts
from hpts.demo.client import Ledger
from hpts.demo.concurrency import await_all
from hpts.demo.errors import DemoError
from hpts.demo.findings import Findings
from hpts.demo.money import CURRENCIES
from hpts.demo.oracle import Components, Oracle, Totals
from hpts.demo.payloads import AccountBalance, LoanBalance, ReconciliationStatus
from hpts.demo.portfolio import Loan, Portfolio

PAST_DAYS_PER_LOAN = 4
PAST_DAYS_OF_ACCOUNTS = 6

_decode_account = msgspec.json.Decoder(AccountBalance).decode
_decode_loan = msgspec.json.Decoder(LoanBalance).decode

AccountBalances = Mapping[tuple[str, str], AccountBalance]
"""By account code and currency."""


async def refuse_used_tenant(ledger: Ledger) -> None:
    """Raises DemoError where an account has moved already: totals could not be compared."""
    for (code, currency), balance in (await read_accounts(ledger)).items():
        if balance.dr_balance_minor != "0" or balance.cr_balance_minor != "0":
            raise DemoError(
                f"account {code} in {currency} has entries already; the demo needs a fresh tenant"
            )


async def check_loans(ledger: Ledger, loans: Sequence[Loan], oracle: Oracle, to: Findings) -> None:
    """What every loan owes now."""

    async def check(loan: Loan) -> None:
        balance = _decode_loan(await ledger.get(f"/loans/{loan.loan_id}/balance"))
        expected = _known_balance(loan, oracle.loans[loan.loan_id])
        _compare_loan("loan balances", f"loan {loan.loan_id}", balance, expected, to)

    await await_all(check(loan) for loan in loans)


async def check_past_loans(
    ledger: Ledger, portfolio: Portfolio, oracle: Oracle, to: Findings
) -> None:
    """What the audited loans owed on a few days, from the eve of the first to the last."""

    async def check(loan: Loan, day: date) -> None:
        path = f"/loans/{loan.loan_id}/balance?as_of_date={day}"
        balance = _decode_loan(await ledger.get(path))
        expected = _known_balance(loan, oracle.loan_as_of(loan.loan_id, day))
        what = f"loan {loan.loan_id} as of {day}"
        _compare_loan("past loan balances", what, balance, expected, to)

    await await_all(
        check(loan, day)
        for shift, loan in enumerate(portfolio.audited)
        for day in spread_days(portfolio, PAST_DAYS_PER_LOAN, shift=shift)
    )


async def check_accounts(ledger: Ledger, oracle: Oracle, to: Findings) -> AccountBalances:
    """Every account's totals now; answers them for the trial balance."""
    balances = await read_accounts(ledger)
    for (code, currency), balance in balances.items():
        expected = oracle.account(code, currency)
        _compare_account("account balances", f"account {code} {currency}", balance, expected, to)
    return balances


async def check_past_accounts(
    ledger: Ledger, portfolio: Portfolio, oracle: Oracle, to: Findings
) -> None:
    """The moved accounts' totals on a few past days."""
    for day in spread_days(portfolio, PAST_DAYS_OF_ACCOUNTS, shift=0):
        for (code, currency), balance in (await read_accounts(ledger, day)).items():
            expected = oracle.account(code, currency, as_of=day)
            what = f"account {code} {currency} as of {day}"
            _compare_account("past account balances", what, balance, expected, to)


async def check_reconciliation(ledger: Ledger, to: Findings) -> ReconciliationStatus:
    """The ledger's own opinion of itself; answers it for the report."""
    body = await ledger.get("/reconciliation/status")
    status = msgspec.json.decode(body, type=ReconciliationStatus)
    kind, rollup = "reconciliation results", status.portfolio_rollup
    integrity = (status.ledger_integrity.status, status.ledger_integrity.mismatched_account_count)
    to.compare(kind, "ledger integrity", ledger=integrity, oracle=("ok", 0))
    to.compare(kind, "portfolio rollup", ledger=rollup.status, oracle="ok")
    to.compare(
        kind,
        "sum of loan balances against principal receivable",
        ledger=rollup.sum_of_loan_balances_minor,
        oracle=rollup.gl_principal_minor,
    )
    return status


async def read_accounts(ledger: Ledger, as_of: date | None = None) -> AccountBalances:
    """All accounts now, or on a past day those that the demo moves."""
    codes = accounts.MOVED if as_of else tuple(account.code for account in accounts.CHART)
    keys = [(code, currency.code) for currency in CURRENCIES for code in codes]
    suffix = f"&as_of_date={as_of}" if as_of else ""
    bodies = await await_all(
        ledger.get(f"/accounts/{code}/balance?currency={currency}{suffix}")
        for code, currency in keys
    )
    return {key: _decode_account(body) for key, body in zip(keys, bodies, strict=True)}


def spread_days(portfolio: Portfolio, count: int, *, shift: int) -> list[date]:
    """`count` days over the portfolio's life; `shift` moves them so that samples differ."""
    eve = portfolio.first_day - timedelta(days=1)
    length = (portfolio.last_day - eve).days
    return [
        eve + timedelta(days=(length * number // count + 7 * shift) % (length + 1))
        for number in range(count)
    ]


def _known_balance(loan: Loan, owed: Components) -> tuple[str, ...]:
    amounts = (owed.principal_minor, owed.interest_minor, owed.fees_minor, owed.total_minor)
    return (loan.pool.currency.code, *map(str, amounts))


def _compare_loan(
    kind: str, what: str, balance: LoanBalance, expected: tuple[str, ...], to: Findings
) -> None:
    said = (
        balance.currency,
        balance.principal_outstanding_minor,
        balance.interest_receivable_minor,
        balance.fees_receivable_minor,
        balance.total_exposure_minor,
    )
    shown = f"{what} (currency, principal, interest, fees, total)"
    to.compare(kind, shown, ledger=said, oracle=expected)


def _compare_account(
    kind: str, what: str, balance: AccountBalance, expected: Totals, to: Findings
) -> None:
    said = (balance.dr_balance_minor, balance.cr_balance_minor)
    known = (str(expected.debits_minor), str(expected.credits_minor))
    to.compare(kind, f"{what} (debits, credits)", ledger=said, oracle=known)
