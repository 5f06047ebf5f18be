"""The restatement of an account: what it was known to be about a day at one instant and at another,
and the entries that made the difference, in posting order, as JSON in pages or as CSV.
"""

import msgspec
from msgspec import UNSET, UnsetType

from hpts.accounting.restatement import (
    KnownBalance,
    RestatementItem,
    read_restatement,
    restatement_table,
)
from hpts.domain.instants import LATEST, Instant, end_of_day
from hpts.http.accept import wants_csv
from hpts.http.balances import ACCOUNT_CODE
from hpts.http.csv_answers import json_form, streamed_csv
from hpts.http.messages import Request, Response
from hpts.http.page_tokens import IDENTIFIER, PAGED, read_page, seal
from hpts.http.parameters import LAYERS, Parameters
from hpts.http.problems import ProblemRaised
from hpts.ledger import Ledger
from hpts.store.known_reads import RestatementQuery

PARAMETERS = frozenset(("currency", "layer", "as_of_date", "known_from", "known_to")) | PAGED


class Restatement(msgspec.Struct, frozen=True, kw_only=True):
    account_code: str
    account_name: str
    currency: str
    layer: str
    as_of_date: str
    before: KnownBalance
    after: KnownBalance
    items: list[RestatementItem]
    next_page_token: str | UnsetType


async def get_restatement(request: Request, ledger: Ledger) -> Response:
    """Before, after, and a page of what is between, or all of it as CSV."""
    is_csv = wants_csv(request)
    parameters = Parameters(request, PARAMETERS)
    code = parameters.path_text("account_code", ACCOUNT_CODE, "must be four digits")
    currency, layer = parameters.required_currency(), parameters.layer()
    as_of_date = _required(parameters, "as_of_date", parameters.date("as_of_date"))
    known_from = parameters.instant("known_from")
    _required(parameters, "known_from", parameters.text("known_from"))
    known_to = parameters.instant("known_to") or Instant(LATEST)
    known_from = known_from or Instant(0)
    if known_to.microseconds < known_from.microseconds:
        parameters.refuse("known_to", "range", "must not be before known_from")
    tenant_id = request.client().tenant_id
    place = ("restatement", tenant_id, code, currency, layer, as_of_date, known_from, known_to)
    asked = read_page(parameters, place, IDENTIFIER, is_csv=is_csv)
    parameters.check()
    query = RestatementQuery(
        code.encode(),
        currency.encode(),
        LAYERS[layer],
        as_of_date,
        known_from,
        known_to,
        end_of_day(as_of_date),
    )
    if is_csv:
        table = await restatement_table(ledger.known, tenant_id, query)
        if table is None:
            raise ProblemRaised("not_found")
        return await streamed_csv(table)
    found = await read_restatement(ledger.known, tenant_id, query, asked.place, asked.size)
    if found is None:
        raise ProblemRaised("not_found")
    return json_form(
        Restatement(
            account_code=code,
            account_name=found.account_name,
            currency=currency,
            layer=layer,
            as_of_date=as_of_date,
            before=found.before,
            after=found.after,
            items=found.items,
            next_page_token=UNSET if found.reached is None else seal(place, found.reached),
        )
    )


def _required(parameters: Parameters, name: str, value: str | None) -> str:
    if value is None:
        parameters.refuse(name, "required", "must be given")
    return value or ""
