"""Balances of a loan and of an account, now or at the end of a day."""

import re
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from hpts.domain.accounts import Chart
from hpts.domain.entries import format_timestamp
from hpts.http.messages import Request, Response, money_response
from hpts.http.parameters import LAYERS, Parameters, today
from hpts.http.problems import ProblemRaised
from hpts.ledger import Ledger
from hpts.store.loan_reads import LoanRow
from hpts.store.reads import AccountRow
from hpts.store.text_format import encoded

ACCOUNT_CODE = re.compile(r"[0-9]{4}")
LOAN_PARAMETERS = frozenset(("as_of_date", "known_at"))
ACCOUNT_PARAMETERS = frozenset(("currency", "layer", "as_of_date", "known_at"))


class LoanBalance(msgspec.Struct, frozen=True, kw_only=True):
    loan_id: str
    currency: str
    as_of_date: str
    principal_outstanding_minor: str
    interest_receivable_minor: str
    fees_receivable_minor: str
    total_exposure_minor: str
    last_activity_at: str | UnsetType = UNSET


class AccountBalance(msgspec.Struct, frozen=True, kw_only=True):
    account_code: str
    account_name: str
    currency: str
    layer: Literal["SETTLED", "PENDING", "ENCUMBRANCE"]
    as_of_date: str
    dr_balance_minor: str
    cr_balance_minor: str
    normal_balance_minor: str


async def get_loan_balance(request: Request, ledger: Ledger) -> Response:
    """What a loan owes. The day's true numbers, even where backdated entries make them negative."""
    parameters = Parameters(request, LOAN_PARAMETERS)
    loan_id, shown = parameters.path_identifier("loan_id")
    as_of_date, known_at = parameters.date("as_of_date"), parameters.instant("known_at")
    parameters.check()
    tenant_id = request.client().tenant_id
    if as_of_date is None and known_at is None:
        loan = await ledger.reads.loan_now(tenant_id, loan_id)
        return _loan_response(shown, loan, today())
    loan, owed, newest = await ledger.reads.loan_as_of(tenant_id, loan_id, as_of_date, known_at)
    chart = await ledger.chart(tenant_id)
    then = loan and _as_of(loan, chart, owed, newest)
    return _loan_response(shown, then, as_of_date or today(known_at))


async def get_account_balance(request: Request, ledger: Ledger) -> Response:
    """Everything debited and credited to an account in one currency and layer."""
    parameters = Parameters(request, ACCOUNT_PARAMETERS)
    code = parameters.path_text("account_code", ACCOUNT_CODE, "must be four digits")
    currency = parameters.required_currency()
    layer = parameters.layer()
    as_of_date, known_at = parameters.date("as_of_date"), parameters.instant("known_at")
    parameters.check()
    tenant_id = request.client().tenant_id
    if known_at is None:
        account = await ledger.reads.account(
            tenant_id,
            code.encode(),
            currency.encode(),
            LAYERS[layer],
            encoded(as_of_date),
        )
    else:
        account = await ledger.known.account(
            tenant_id,
            code.encode(),
            known_at,
            currency=currency.encode(),
            layer=LAYERS[layer],
            as_of_date=as_of_date,
        )
    if account is None:
        raise ProblemRaised("not_found")
    return _account_response(code, account, currency, layer, as_of_date or today(known_at))


def _as_of(loan: LoanRow, chart: Chart, owed: dict[int, int], newest: int | None) -> LoanRow:
    return LoanRow(
        loan.currency,
        owed.get(chart.principal_receivable, 0),
        owed.get(chart.interest_receivable, 0),
        owed.get(chart.fees_receivable, 0),
        newest,
    )


def _loan_response(shown: str, loan: LoanRow | None, as_of_date: str) -> Response:
    if loan is None:
        raise ProblemRaised("not_found")
    balance = LoanBalance(
        loan_id=shown,
        currency=loan.currency,
        as_of_date=as_of_date,
        principal_outstanding_minor=str(loan.principal_minor),
        interest_receivable_minor=str(loan.interest_minor),
        fees_receivable_minor=str(loan.fees_minor),
        total_exposure_minor=str(loan.principal_minor + loan.interest_minor + loan.fees_minor),
        last_activity_at=UNSET
        if loan.last_activity_at is None
        else format_timestamp(loan.last_activity_at),
    )
    return money_response(msgspec.json.encode(balance))


def _account_response(
    code: str, account: AccountRow, currency: str, layer: str, as_of_date: str
) -> Response:
    net = account.debit_minor - account.credit_minor
    balance = AccountBalance(
        account_code=code,
        account_name=account.name,
        currency=currency,
        layer=layer,  # type: ignore[arg-type]
        as_of_date=as_of_date,
        dr_balance_minor=str(account.debit_minor),
        cr_balance_minor=str(account.credit_minor),
        normal_balance_minor=str(net if account.normal_balance == "D" else -net),
    )
    return money_response(msgspec.json.encode(balance))
