"""The tables at the end of a run: trial balance by currency, reconciliation, speed, verdict.

Prints what the ledger answered; amounts in major units, made from integers.
"""

from typing import TextIO

import msgspec

from hpts.demo import accounts
from hpts.demo.checks import AccountBalances
from hpts.demo.findings import Findings
from hpts.demo.money import CURRENCIES, Currency, format_minor
from hpts.demo.payloads import ReconciliationStatus

DISAGREEMENTS_SHOWN_MAX = 100


class TrialRow(msgspec.Struct, frozen=True, kw_only=True):
    account: accounts.Account
    debit_minor: int
    credit_minor: int


def trial_balance(balances: AccountBalances, currency: Currency) -> list[TrialRow]:
    """The accounts that moved in `currency`, each balance on the side on which it stands."""
    rows = []
    for account in accounts.CHART:
        balance = balances[account.code, currency.code]
        debits, credits = int(balance.dr_balance_minor), int(balance.cr_balance_minor)
        if debits or credits:
            rows.append(
                TrialRow(
                    account=account,
                    debit_minor=max(0, debits - credits),
                    credit_minor=max(0, credits - debits),
                )
            )
    return rows


def print_trial_balances(balances: AccountBalances, findings: Findings, out: TextIO) -> None:
    """A table per currency; columns that do not add up are a disagreement of the ledger itself."""
    for currency in CURRENCIES:
        rows = trial_balance(balances, currency)
        debit = sum(row.debit_minor for row in rows)
        credit = sum(row.credit_minor for row in rows)
        out.write(f"\nTrial balance {currency.code}\n")
        out.write(f"  {'account':<34}{'debit':>22}{'credit':>22}\n")
        for row in rows:
            name = f"{row.account.code} {row.account.name}"
            out.write(_trial_line(name, row.debit_minor, row.credit_minor, currency))
        out.write(f"  {'-' * 78}\n")
        out.write(_trial_line("total", debit, credit, currency))
        what = f"trial balance {currency.code}: debit column against credit column"
        findings.compare("trial balances", what, ledger=debit, oracle=credit)
        _compare_normal_balances(balances, currency, findings)


def print_reconciliation(status: ReconciliationStatus, out: TextIO) -> None:
    integrity = status.ledger_integrity
    out.write(f"\nReconciliation as of {status.as_of_date}\n")
    out.write(
        f"  ledger integrity   {integrity.status}"
        f" ({integrity.mismatched_account_count} mismatched accounts)\n"
    )
    out.write(f"  portfolio rollup   {status.portfolio_rollup.status}\n")
    for bank in status.bank_reconciliation:
        out.write(f"  bank {bank.bank_account_ref:<13} {bank.status}\n")


def print_speed(postings_count: int, lines_count: int, elapsed_ms: int, out: TextIO) -> None:
    seconds, rest_ms = divmod(elapsed_ms, 1000)
    out.write(
        f"\n{postings_count:,} postings ({lines_count:,} journal lines)"
        f" in {seconds}.{rest_ms // 100} s:"
        f" {1000 * postings_count // elapsed_ms:,} postings/s,"
        f" {1000 * lines_count // elapsed_ms:,} lines/s\n"
    )


def print_verdict(findings: Findings, out: TextIO) -> None:
    out.write("\nCompared with the demo's own books:\n")
    for kind, count in findings.compared.items():
        out.write(f"  {count:>8,} {kind}\n")
    for text in findings.disagreements[:DISAGREEMENTS_SHOWN_MAX]:
        out.write(f"DISAGREEMENT {text}\n")
    hidden = len(findings.disagreements) - DISAGREEMENTS_SHOWN_MAX
    if hidden > 0:
        out.write(f"... and {hidden:,} more\n")
    count = len(findings.disagreements)
    out.write(f"{count:,} disagreements\n" if count else "All agree.\n")


def _trial_line(name: str, debit: int, credit: int, currency: Currency) -> str:
    shown = [format_minor(amount, currency) if amount else "" for amount in (debit, credit)]
    return f"  {name:<34}{shown[0]:>22}{shown[1]:>22}\n"


def _compare_normal_balances(
    balances: AccountBalances, currency: Currency, findings: Findings
) -> None:
    for account in accounts.CHART:
        balance = balances[account.code, currency.code]
        excess = int(balance.dr_balance_minor) - int(balance.cr_balance_minor)
        findings.compare(
            "normal balances",
            f"normal balance of account {account.code} {currency.code}",
            ledger=balance.normal_balance_minor,
            oracle=str(excess if account.normal_balance == "DR" else -excess),
        )
