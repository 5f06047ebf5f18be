"""The restatement of an account: what it was known to be about a day at one instant and at another,
and the entries that made the difference, in posting order, in pages.
"""

import msgspec
from msgspec import UNSET, UnsetType

from hpts.domain.entries import format_timestamp
from hpts.domain.instants import LATEST, Instant, end_of_day
from hpts.domain.limits import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX
from hpts.http.balances import ACCOUNT_CODE
from hpts.http.messages import Request, Response, money_response
from hpts.http.page_tokens import IDENTIFIER, read_place, seal
from hpts.http.parameters import LAYERS, Parameters
from hpts.http.payloads import parse_identifier
from hpts.http.problems import ProblemRaised
from hpts.ledger import Ledger
from hpts.store.known_reads import RestatedEntry, RestatementQuery
from hpts.store.reads import AccountRow

PARAMETERS = frozenset(
    ("currency", "layer", "as_of_date", "known_from", "known_to", "page_size", "page_token")
)


class KnownBalance(msgspec.Struct, frozen=True):
    dr_balance_minor: str
    cr_balance_minor: str
    normal_balance_minor: str


class RestatementItem(msgspec.Struct, frozen=True):
    journal_entry_id: str
    event_type: str
    effective_at: str
    posted_at: str
    debit_minor: str
    credit_minor: str
    effect_minor: str


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
    """Before, after, and a page of what is between."""
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
    size = parameters.number("page_size", default=PAGE_SIZE_DEFAULT, highest=PAGE_SIZE_MAX)
    tenant_id = request.client().tenant_id
    place = ("restatement", tenant_id, code, currency, layer, as_of_date, known_from, known_to)
    after = read_place(parameters, place, IDENTIFIER)
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
    found = await ledger.known.restatement(tenant_id, query, after=after, count=size + 1)
    if found is None:
        raise ProblemRaised("not_found")
    shown = found.entries[:size]
    answer = Restatement(
        account_code=code,
        account_name=found.before.name,
        currency=currency,
        layer=layer,
        as_of_date=as_of_date,
        before=_balance(found.before),
        after=_balance(found.after),
        items=[_item(entry, found.before.normal_balance) for entry in shown],
        next_page_token=seal(place, parse_identifier(shown[-1].journal_entry_id))
        if len(shown) < len(found.entries)
        else UNSET,
    )
    return money_response(msgspec.json.encode(answer))


def _required(parameters: Parameters, name: str, value: str | None) -> str:
    if value is None:
        parameters.refuse(name, "required", "must be given")
    return value or ""


def _balance(row: AccountRow) -> KnownBalance:
    return KnownBalance(
        str(row.debit_minor),
        str(row.credit_minor),
        _signed(row.debit_minor, row.credit_minor, row.normal_balance),
    )


def _item(entry: RestatedEntry, normal_balance: str) -> RestatementItem:
    return RestatementItem(
        entry.journal_entry_id,
        entry.event_type,
        entry.effective_at,
        format_timestamp(entry.posted_at),
        str(entry.debit_minor),
        str(entry.credit_minor),
        _signed(entry.debit_minor, entry.credit_minor, normal_balance),
    )


def _signed(debit: int, credit: int, normal_balance: str) -> str:
    return str(debit - credit if normal_balance == "D" else credit - debit)
