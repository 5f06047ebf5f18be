"""What bank reconciliation compares, in pages; and matches that people make and undo.

A match is never changed: a wrong one is undone by a new record, which says why.
"""

import datetime
import uuid
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from hpts.domain.bank_items import BANK, SIDE_NAMES, ItemKey, format_item, parse_item
from hpts.domain.limits import BANK_MATCH_ITEMS_MAX
from hpts.domain.rejections import FieldError
from hpts.http.administration import Administration, reply_response
from hpts.http.bank_accounts import actor_of, parse_ref
from hpts.http.messages import Request, Response, money_response
from hpts.http.page_tokens import PAGED, Coded, next_token, read_page
from hpts.http.parameters import Parameters
from hpts.http.payloads import Body, Kind
from hpts.http.periods import Reason
from hpts.http.problems import ProblemRaised
from hpts.store.admin_requests import AdminConnection, AdminReply
from hpts.store.bank_matches import MatchRefused, match_by_hand, undo_match
from hpts.store.bank_reads import (
    BEFORE_ALL,
    MATCHED,
    NEWEST_MATCH,
    UNMATCHED,
    Cursor,
    ShownItem,
    cursor_of,
    read_items,
)
from hpts.store.bank_session import BankSession, BankSessions

PAGE_PARAMETERS = PAGED | {"bank_account_ref", "status"}
STATUSES = (UNMATCHED, MATCHED)
Side = Literal["B", "L"]
Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
MatchNumber = Annotated[int, msgspec.Meta(ge=0, le=NEWEST_MATCH)]
PLACES: dict[str, Coded[Cursor]] = {
    UNMATCHED: Coded(tuple[datetime.date, Side, uuid.UUID, Sequence], Cursor),
    MATCHED: Coded(tuple[MatchNumber, Side, uuid.UUID, Sequence], Cursor),
}
ItemId = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]


class ItemMatch(msgspec.Struct, frozen=True):
    match_id: str
    rule: str
    explanation: str


class ReconciliationItem(msgspec.Struct, frozen=True, kw_only=True):
    item_id: str
    side: str
    direction: str
    amount_minor: str
    currency: str
    date: str
    references: list[str]
    text: str
    is_reversal: bool
    journal_entry_id: str | UnsetType
    statement_id: str | UnsetType
    match: ItemMatch | UnsetType


class ReconciliationItemPage(msgspec.Struct, frozen=True):
    items: list[ReconciliationItem]
    next_page_token: str | UnsetType


class MatchRequest(Body, frozen=True):
    bank_account_ref: str
    item_ids: Annotated[list[ItemId], msgspec.Meta(min_length=2, max_length=BANK_MATCH_ITEMS_MAX)]
    reason: Reason


class MatchUndoRequest(Body, frozen=True):
    reason: Reason


class MatchResult(msgspec.Struct, frozen=True):
    match_id: str
    bank_account_ref: str
    status: str


class ByHand(NamedTuple):
    """Items that a person says are the same money."""

    bank_account_ref: str
    items: list[ItemKey]
    reason: str


class ReconciliationItemEndpoints:
    """Listing, matching by hand, undoing."""

    def __init__(self, administration: Administration, sessions: BankSessions) -> None:
        self._administration = administration
        self._sessions = sessions

    async def list_reconciliation_items(self, request: Request) -> Response:
        """A page of a bank account's items of both sides."""
        parameters = Parameters(request, PAGE_PARAMETERS)
        ref = parameters.text("bank_account_ref")
        if ref is None:
            parameters.refuse("bank_account_ref", "required", "must be given")
        status = parameters.choice("status", STATUSES) or UNMATCHED
        tenant_id = request.client().tenant_id
        query = ("listReconciliationItems", tenant_id, ref, status)
        shape = PLACES.get(status, PLACES[UNMATCHED])  # another status is refused below
        asked = read_page(parameters, query, shape)
        parameters.check()
        async with self._sessions.open(tenant_id) as session:
            accounts = {one.bank_account_ref: one for one in await session.bank_accounts()}
            if ref not in accounts:
                parameters.refuse("bank_account_ref", "unknown", "is no bank account here")
                parameters.check()
            found = await read_items(
                session, str(ref), status, asked.place or BEFORE_ALL[status], asked.size + 1
            )
        shown = found[: asked.size]
        token = next_token(query, shown, found, lambda item: shape.write(cursor_of(item)))
        currency = accounts[str(ref)].currency
        page = ReconciliationItemPage([_shown(item, currency) for item in shown], token)
        return money_response(msgspec.json.encode(page))

    async def post_match(self, request: Request) -> Response:
        """Match items by hand."""
        client, actor = request.client(), actor_of(request)

        async def change(connection: AdminConnection, asked: ByHand) -> AdminReply:
            session = BankSession(connection, client.tenant_id)
            try:
                made = await match_by_hand(session, *asked, actor)
            except MatchRefused as refused:
                raise ProblemRaised("match_refused", f"{refused}.") from refused
            return _result(made, asked.bank_account_ref, "matched")

        return reply_response(await self._administration.post(request, MATCH, change))

    async def undo_match(self, request: Request) -> Response:
        """Undo a match."""
        parameters = Parameters(request)
        match_id, _ = parameters.path_identifier("match_id")
        parameters.check()
        client, actor = request.client(), actor_of(request)

        async def change(connection: AdminConnection, reason: str) -> AdminReply:
            session = BankSession(connection, client.tenant_id)
            found = uuid.UUID(bytes=match_id)
            try:
                ref = await undo_match(session, found, reason, actor)
            except LookupError:
                raise ProblemRaised("not_found") from None
            except MatchRefused as refused:
                raise ProblemRaised("match_refused", f"{refused}.") from refused
            return _result(found, ref, "undone")

        return reply_response(
            await self._administration.post(request, UNDO_MATCH, change, subject=match_id)
        )


def _result(match_id: uuid.UUID, bank_account_ref: str, status: str) -> AdminReply:
    result = MatchResult(str(match_id), bank_account_ref, status)
    return AdminReply(201, msgspec.json.encode(result))


def _shown(item: ShownItem, currency: str) -> ReconciliationItem:
    is_bank = item.key.side == BANK
    return ReconciliationItem(
        item_id=format_item(item.key),
        side=SIDE_NAMES[item.key.side],
        direction="in" if item.amount_minor > 0 else "out",
        amount_minor=str(abs(item.amount_minor)),
        currency=currency,
        date=item.day.isoformat(),
        references=list(item.references),
        text=item.text,
        is_reversal=item.is_reversal,
        journal_entry_id=UNSET if is_bank else item.key.source_id,
        statement_id=item.key.source_id if is_bank else UNSET,
        match=UNSET if item.match is None else ItemMatch(*item.match[:3]),
    )


def _by_hand(payload: MatchRequest) -> ByHand:
    items, errors = [], []
    for at, text in enumerate(payload.item_ids):
        try:
            items.append(parse_item(text))
        except ValueError as error:
            errors.append(FieldError(f"item_ids[{at}]", "pattern", str(error)))
    if errors:
        raise ProblemRaised("bad_request", errors=tuple(errors))
    return ByHand(parse_ref(payload.bank_account_ref), items, payload.reason)


def _reason(payload: MatchUndoRequest) -> str:
    return payload.reason


MATCH = Kind("postReconciliationMatch", MatchRequest, _by_hand)
UNDO_MATCH = Kind("undoReconciliationMatch", MatchUndoRequest, _reason)
