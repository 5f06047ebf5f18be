"""Accounting reads: the chart of accounts and the trial balance."""

import msgspec

from hpts.accounting.chart import read_chart
from hpts.accounting.trial_balance import TrialBalanceQuery, read_trial_balance
from hpts.http.messages import Request, Response, money_response
from hpts.http.parameters import Parameters, today
from hpts.ledger import Ledger

TRIAL_BALANCE_PARAMETERS = frozenset(("currency", "layer", "as_of_date"))


async def list_accounts(request: Request, ledger: Ledger) -> Response:
    """The tenant's chart of accounts."""
    Parameters(request).check()
    chart = await read_chart(ledger.accounting, request.client().tenant_id)
    return money_response(msgspec.json.encode(chart))


async def get_trial_balance(request: Request, ledger: Ledger) -> Response:
    """Every account's balance, with totals that are equal."""
    parameters = Parameters(request, TRIAL_BALANCE_PARAMETERS)
    query = TrialBalanceQuery(
        parameters.currency(), parameters.layer(), parameters.date("as_of_date")
    )
    parameters.check()
    found = await read_trial_balance(
        ledger.accounting, request.client().tenant_id, query, today=today()
    )
    return money_response(msgspec.json.encode(found))
