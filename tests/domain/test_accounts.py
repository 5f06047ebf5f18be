"""The chart of accounts is the one every tenant starts with."""

import ast
from pathlib import Path

import pytest

import hpts
from hpts.domain.accounts import TEMPLATE, Chart, chart_of

CHART_OF_ACCOUNTS = """
1000 | Cash | asset | DR
1010 | Payments in Transit | asset | DR
1100 | Principal Receivable | asset | DR
1200 | Interest Receivable | asset | DR
1300 | Fees Receivable | asset | DR
1900 | Allowance for Credit Losses | contra-asset | CR
2000 | Disbursement Clearing | liability | CR
2100 | Unapplied Payments (suspense) | liability | CR
3000 | Retained Earnings | equity | CR
4000 | Interest Income | income | CR
4100 | Fee Income | income | CR
4200 | Recovery Income | income | CR
5000 | Charge-off Expense | expense | DR
5100 | Waivers | contra-income | DR
5200 | Provision Expense | expense | DR
9000 | Commitments | memorandum | DR
9100 | Commitments Contra | memorandum | CR
"""
"""The ledger rules, section 1, word for word."""


def test_the_template_is_the_chart_of_the_rules() -> None:
    rows = [line.split(" | ") for line in CHART_OF_ACCOUNTS.split("\n") if line]
    assert [
        [str(account.account_code), account.name, account.account_type, account.normal_balance]
        for account in TEMPLATE
    ] == [[code, name, kind, normal[0]] for code, name, kind, normal in rows]


def test_every_role_has_one_account() -> None:
    assert len({account.role for account in TEMPLATE}) == len(TEMPLATE)
    assert len({account.account_code for account in TEMPLATE}) == len(TEMPLATE)


def test_rules_post_to_these_roles() -> None:
    assert chart_of(TEMPLATE) == Chart(
        cash=1000,
        principal_receivable=1100,
        interest_receivable=1200,
        fees_receivable=1300,
        disbursement_clearing=2000,
        suspense=2100,
        interest_income=4000,
    )


def test_a_tenant_may_number_its_accounts_otherwise() -> None:
    moved = [account._replace(account_code=account.account_code + 7) for account in TEMPLATE]
    assert chart_of(moved).suspense == 2107


@pytest.mark.parametrize("role", Chart.__struct_fields__)
def test_a_chart_without_an_account_for_a_role_is_no_chart(role: str) -> None:
    with pytest.raises(KeyError, match=role):
        chart_of(account for account in TEMPLATE if account.role != role)


def test_accounts_have_their_numbers_in_one_place() -> None:
    other_uses = {1000, 2000, 3000}  # milliseconds a second, the epoch, the port
    codes = {account.account_code for account in TEMPLATE} - other_uses
    source = Path(hpts.__file__).parent
    found = [
        f"{path.relative_to(source)}:{node.lineno}"
        for path in source.rglob("*.py")
        if path.stem not in ("accounts", "limits") and "demo" not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and (node.value in codes or node.value in map(str, codes))
    ]
    assert found == []
