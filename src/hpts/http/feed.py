"""The journal as a feed: a tenant's entries in the order of its chain, from a cursor on.

A cursor is a place in the chain and good for ever, with any filter: it never expires and no row is
kept for it. It is refused to another tenant, and after a restore that undid the block it stands in.
"""

import asyncio
import time
from collections.abc import Coroutine

import msgspec

from hpts.domain.limits import FEED_PAGE_DEFAULT, FEED_PAGE_MAX, FEED_WAIT_SECONDS_MAX
from hpts.domain.rejections import FieldError
from hpts.http.balances import ACCOUNT_CODE
from hpts.http.journal import JournalEntry, event_types, render_entry
from hpts.http.messages import Request, Response, money_response
from hpts.http.page_tokens import Fixed, seal, unseal
from hpts.http.parameters import Parameters
from hpts.http.problems import ProblemRaised
from hpts.ledger import Ledger
from hpts.store.feed import START, CursorForeign, FeedPage, Filter, Position
from hpts.store.text_format import encoded

FEED_PARAMETERS = frozenset(
    ("after", "limit", "wait", "event_type", "loan_id", "account_code", "from_date", "to_date")
)
LATEST = "latest"
FOREIGN = FieldError(
    "after",
    "other_history",
    "names a place in a history that was undone when the ledger was restored from a backup; "
    "go on from a cursor of before that",
)
POSITION = Fixed(">qi8s", Position)


class JournalFeedPage(msgspec.Struct, frozen=True):
    """`next_cursor` is where to go on; without `has_more` there is nothing there yet."""

    items: list[JournalEntry]
    next_cursor: str
    has_more: bool


class FeedQuery(msgspec.Struct, frozen=True):
    tenant_id: bytes
    after: Position | None
    wanted: Filter
    limit: int
    wait_seconds: int


async def list_journal_entries(request: Request, ledger: Ledger) -> Response:
    """A page of the feed; where there is nothing yet, after waiting for as long as was asked."""
    query = _read_query(request)
    deadline = time.monotonic() + query.wait_seconds
    after = await ledger.feed.latest(query.tenant_id) if query.after is None else query.after
    while True:
        try:
            page = await ledger.feed.page(query.tenant_id, after, query.wanted, query.limit)
        except CursorForeign:
            raise ProblemRaised("bad_request", errors=(FOREIGN,)) from None
        remaining = deadline - time.monotonic()
        if page.entries or page.has_more or remaining <= 0 or ledger.heads.is_closed:
            return money_response(msgspec.json.encode(_render(query.tenant_id, page)))
        after = page.position
        # What comes back from a wait reads again, so a tenant suspended meanwhile is refused.
        wait = ledger.heads.wait_past(query.tenant_id, after.block_number, remaining)
        if not await _unless_hung_up(request, wait):
            deadline = 0


async def _unless_hung_up(request: Request, wait: Coroutine[None, None, None]) -> bool:
    """Wait, but no longer than the client does: its place is wanted. Whether it is still there."""
    waiting = asyncio.ensure_future(wait)
    gone = asyncio.ensure_future(request.until_hung_up())
    try:
        await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            waiting.result()
        return waiting.done()
    finally:
        waiting.cancel()
        gone.cancel()


def _read_query(request: Request) -> FeedQuery:
    parameters = Parameters(request, FEED_PARAMETERS)
    tenant_id = request.client().tenant_id
    loan_id = parameters.identifier("loan_id")
    account_code = parameters.text("account_code")
    if account_code is not None and not ACCOUNT_CODE.fullmatch(account_code):
        parameters.refuse("account_code", "pattern", "must be four digits")
    from_date, to_date = parameters.date("from_date"), parameters.date("to_date")
    event_type = parameters.choice("event_type", event_types())
    limit = parameters.number("limit", default=FEED_PAGE_DEFAULT, highest=FEED_PAGE_MAX)
    wait = parameters.number("wait", default=0, lowest=0, highest=FEED_WAIT_SECONDS_MAX)
    token = parameters.text("after")
    after = None if token == LATEST else _position(tenant_id, token or "")
    if after is None and token != LATEST:
        parameters.refuse("after", "invalid", "must be next_cursor of an earlier page, or latest")
    parameters.check()
    wanted = Filter(*map(encoded, (event_type, loan_id, account_code, from_date, to_date)))
    return FeedQuery(tenant_id, after, wanted, limit, wait)


def _position(tenant_id: bytes, token: str) -> Position | None:
    """The place that a cursor names, the beginning for none, or None where it is no cursor."""
    if not token:
        return START
    return unseal((tenant_id, "feed"), token, POSITION)


def _render(tenant_id: bytes, page: FeedPage) -> JournalFeedPage:
    return JournalFeedPage(
        [render_entry(entry, page.lines[entry.journal_entry_id]) for entry in page.entries],
        seal((tenant_id, "feed"), POSITION.write(*page.position)),
        page.has_more,
    )
