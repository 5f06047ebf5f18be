"""A tenant's chart of accounts, held against the one that every tenant starts with.

Nothing changes a chart: a role on another account would send postings there, and another normal
balance would turn the sign of what is reported.
"""

from hpts.domain.accounts import TEMPLATE, Account
from hpts.store.verify_snapshot import Findings, Row, Snapshot


def check_chart(snapshot: Snapshot, findings: Findings) -> None:
    """Hold every account against the template's of the same code."""
    wanted = {account.account_code: account for account in TEMPLATE}
    for row in snapshot.stream("walk_accounts"):
        account = _account(row)
        expected = wanted.pop(account.account_code, None)
        if expected is None:
            findings.note("accounts", _name(account), "is no account of the chart")
        elif account != expected:
            field, is_, should = next(
                pair
                for pair in zip(Account._fields, account, expected, strict=True)
                if pair[1] != pair[2]
            )
            message = f"{field} is {is_!a}; the chart says {should!a}"
            findings.note("accounts", _name(account), message)
    for account in wanted.values():
        findings.note("accounts", _name(account), "is missing")


def _account(row: Row) -> Account:
    code, *texts = row
    return Account(code, *("" if text is None else text.decode() for text in texts))


def _name(account: Account) -> str:
    return f"accounts {account.account_code:04}"
