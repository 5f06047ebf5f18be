"""Accounting reads: the chart, the trial balance, statements of accounts and loans, as JSON or CSV.

A page of a statement says what the balance was before its first line and is after its last one. A
CSV has all lines, whatever a page would hold.
"""

import datetime
import uuid
from typing import Annotated, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from hpts.accounting.account_statement import (
    AccountStatementLine,
    AccountStatementQuery,
    Reached,
    open_account_statement,
)
from hpts.accounting.chart import read_chart
from hpts.accounting.loan_statement import (
    LoanComponents,
    LoanReached,
    LoanStatementLine,
    LoanStatementQuery,
    open_loan_statement,
    read_loan,
)
from hpts.accounting.portions import DIRECTIONS
from hpts.accounting.report_tables import (
    account_table,
    chart_table,
    loan_statement_table,
    loan_table,
    trial_balance_table,
)
from hpts.accounting.trial_balance import TrialBalanceQuery, read_trial_balance
from hpts.domain.limits import LINES_PER_ENTRY_MAX
from hpts.http.accept import wants_csv
from hpts.http.balances import ACCOUNT_CODE
from hpts.http.csv_answers import json_form, streamed_csv, whole_csv
from hpts.http.messages import Request, Response
from hpts.http.page_tokens import PAGED, Coded, read_page, seal
from hpts.http.parameters import LAYERS, Parameters, today
from hpts.http.problems import ProblemRaised
from hpts.ledger import Ledger
from hpts.store.accounting_reads import AccountKey

TRIAL_BALANCE_PARAMETERS = frozenset(("currency", "layer", "as_of_date", "known_at"))
PERIOD = frozenset(("from_date", "to_date"))
ACCOUNT_ENTRIES_PARAMETERS = frozenset(("currency", "layer")) | PERIOD | PAGED
LOAN_STATEMENT_PARAMETERS = PERIOD | PAGED

Balance = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Sequence = Annotated[int, msgspec.Meta(ge=0, le=LINES_PER_ENTRY_MAX)]
REACHED: Coded[Reached] = Coded(
    tuple[datetime.date, uuid.UUID, Sequence, Balance, uuid.UUID], Reached
)
LOAN_REACHED: Coded[LoanReached] = Coded(tuple[datetime.date, uuid.UUID, uuid.UUID], LoanReached)

Place = TypeVar("Place", bound=msgspec.Struct)


class AccountEntryPage(msgspec.Struct, frozen=True):
    account_code: str
    account_name: str
    normal_balance: str
    currency: str
    layer: str
    opening_balance_minor: str
    items: list[AccountStatementLine]
    closing_balance_minor: str
    next_page_token: str | UnsetType


class LoanStatementPage(msgspec.Struct, frozen=True):
    loan_id: str
    borrower_id: str
    currency: str
    opening: LoanComponents
    lines: list[LoanStatementLine]
    closing: LoanComponents
    next_page_token: str | UnsetType


async def list_accounts(request: Request, ledger: Ledger) -> Response:
    """The tenant's chart of accounts."""
    is_csv = wants_csv(request)
    Parameters(request).check()
    chart = await read_chart(ledger.accounting, request.client().tenant_id)
    return await whole_csv(chart_table(chart)) if is_csv else json_form(chart)


async def get_trial_balance(request: Request, ledger: Ledger) -> Response:
    """Every account's balance, with totals that are equal."""
    is_csv = wants_csv(request)
    parameters = Parameters(request, TRIAL_BALANCE_PARAMETERS)
    query = TrialBalanceQuery(
        parameters.currency(),
        parameters.layer(),
        parameters.date("as_of_date"),
        parameters.instant("known_at"),
    )
    parameters.check()
    found = await read_trial_balance(
        ledger.accounting, request.client().tenant_id, query, today=today(query.known_at)
    )
    return await whole_csv(trial_balance_table(found)) if is_csv else json_form(found)


async def list_account_entries(request: Request, ledger: Ledger) -> Response:
    """The statement of an account in one currency and layer."""
    is_csv = wants_csv(request)
    tenant_id = request.client().tenant_id
    parameters = Parameters(request, ACCOUNT_ENTRIES_PARAMETERS)
    code = parameters.path_text("account_code", ACCOUNT_CODE, "must be four digits")
    currency = parameters.required_currency()
    layer = parameters.layer()
    dates = parameters.period()
    place = ("account", tenant_id, code, currency, layer, *dates)
    asked = read_page(parameters, place, REACHED, is_csv=is_csv)
    parameters.check()
    key = AccountKey(int(code), currency, LAYERS[layer].decode())
    query = AccountStatementQuery(key, *dates)
    statement = await open_account_statement(ledger.accounting, tenant_id, query)
    if statement is None:
        raise ProblemRaised("not_found")
    if is_csv:
        return await streamed_csv(account_table(statement, query))
    page = await statement.read_page(asked.size, asked.place or statement.start)
    return json_form(
        AccountEntryPage(
            code,
            statement.account.name,
            DIRECTIONS[statement.account.normal_balance],
            currency,
            layer,
            str(page.opening_minor),
            page.lines,
            str(page.closing_minor),
            _token(place, REACHED, page.reached),
        )
    )


async def get_loan(request: Request, ledger: Ledger) -> Response:
    """What is known of a loan beside its balance."""
    is_csv = wants_csv(request)
    parameters = Parameters(request)
    _, loan_id = parameters.path_identifier("loan_id")
    parameters.check()
    loan = await read_loan(ledger.accounting, request.client().tenant_id, loan_id)
    if loan is None:
        raise ProblemRaised("not_found")
    return await whole_csv(loan_table(loan)) if is_csv else json_form(loan)


async def get_loan_statement(request: Request, ledger: Ledger) -> Response:
    """The statement of a loan: opening, lines, closing."""
    is_csv = wants_csv(request)
    tenant_id = request.client().tenant_id
    parameters = Parameters(request, LOAN_STATEMENT_PARAMETERS)
    _, loan_id = parameters.path_identifier("loan_id")
    dates = parameters.period()
    place = ("loan", tenant_id, loan_id, *dates)
    asked = read_page(parameters, place, LOAN_REACHED, is_csv=is_csv)
    parameters.check()
    query = LoanStatementQuery(loan_id, *dates)
    statement = await open_loan_statement(ledger.accounting, tenant_id, query)
    if statement is None:
        raise ProblemRaised("not_found")
    if is_csv:
        return await streamed_csv(loan_statement_table(statement, query))
    page = await statement.read_page(asked.size, asked.place or statement.start)
    return json_form(
        LoanStatementPage(
            loan_id,
            statement.terms.borrower_id,
            statement.terms.currency,
            page.opening,
            page.lines,
            page.closing,
            _token(place, LOAN_REACHED, page.reached),
        )
    )


def _token(
    place: tuple[object, ...], shape: Coded[Place], reached: Place | None
) -> str | UnsetType:
    return UNSET if reached is None else seal(place, shape.write(reached))
