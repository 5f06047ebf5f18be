"""Journal entries: one with its lines, or a loan's in pages, newest posted first.

A page token names the last entry shown and is tied to its query, so that it fits no other. A page
may hold fewer entries than asked for: it ends before it passes PAGE_LINES_MAX lines.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from hpts.accounting.portions import shown_details
from hpts.domain.entries import format_timestamp
from hpts.domain.limits import PAGE_LINES_MAX
from hpts.http.document import load_document
from hpts.http.messages import Request, Response, money_response
from hpts.http.page_tokens import IDENTIFIER, PAGED, PageAsked, next_token, read_page
from hpts.http.parameters import Parameters
from hpts.http.payloads import parse_identifier
from hpts.http.problems import ProblemRaised
from hpts.ledger import Ledger
from hpts.store.reads import EntryRow, LineRow, first_within_lines, lines_by_entry
from hpts.store.text_format import encoded

PAGE_PARAMETERS = PAGED | {"from_date", "to_date", "event_type"}
DIRECTIONS = {"D": "DR", "C": "CR"}
LAYERS = {"S": "SETTLED", "P": "PENDING", "E": "ENCUMBRANCE"}


class JournalLine(msgspec.Struct, frozen=True):
    sequence: int
    account_code: str
    direction: str
    amount_minor: str
    currency: str
    layer: str
    loan_id: str | UnsetType
    borrower_id: str | UnsetType
    external_ref: str | UnsetType


class JournalEntry(msgspec.Struct, frozen=True):
    journal_entry_id: str
    event_type: str
    effective_at: str
    posted_at: str
    lines: list[JournalLine]
    correlation_id: str
    reverses_entry_id: str | UnsetType
    description: str | UnsetType
    actor: str
    requested_effective_at: str | UnsetType


class JournalEntryPage(msgspec.Struct, frozen=True):
    items: list[JournalEntry]
    next_page_token: str | UnsetType


class PageQuery(NamedTuple):
    """Which entries a page is of; a token fits the query it was made for."""

    tenant_id: bytes
    loan_id: bytes
    from_date: str | None
    to_date: str | None
    event_type: str | None


async def get_journal_entry(request: Request, ledger: Ledger) -> Response:
    """One entry with all its lines."""
    parameters = Parameters(request)
    entry_id, _ = parameters.path_identifier("journal_entry_id")
    parameters.check()
    found = await ledger.reads.entry(request.client().tenant_id, entry_id)
    if found is None:
        raise ProblemRaised("not_found")
    entry, lines = found
    return money_response(msgspec.json.encode(render_entry(entry, lines)))


async def list_loan_journal_entries(request: Request, ledger: Ledger) -> Response:
    """A page of a loan's entries."""
    query, asked = _read_query(request)
    entries = await ledger.reads.loan_entries(
        query.tenant_id,
        query.loan_id,
        before=asked.place,
        count=asked.size + 1,
        from_date=encoded(query.from_date),
        to_date=encoded(query.to_date),
        event_type=encoded(query.event_type),
    )
    if entries is None:
        raise ProblemRaised("not_found")
    shown = first_within_lines(entries[: asked.size], PAGE_LINES_MAX)
    entry_ids = [entry.journal_entry_id for entry in shown]
    by_entry = lines_by_entry(entry_ids, await ledger.reads.lines(query.tenant_id, entry_ids))
    page = JournalEntryPage(
        [render_entry(entry, by_entry[entry.journal_entry_id]) for entry in shown],
        next_token(query, shown, entries, lambda entry: parse_identifier(entry.journal_entry_id)),
    )
    return money_response(msgspec.json.encode(page))


def _read_query(request: Request) -> tuple[PageQuery, PageAsked[bytes]]:
    parameters = Parameters(request, PAGE_PARAMETERS)
    loan_id, _ = parameters.path_identifier("loan_id")
    query = PageQuery(
        request.client().tenant_id,
        loan_id,
        parameters.date("from_date"),
        parameters.date("to_date"),
        parameters.choice("event_type", event_types()),
    )
    asked = read_page(parameters, query, IDENTIFIER)
    parameters.check()
    return query, asked


@functools.cache
def event_types() -> tuple[str, ...]:
    """Those of the document."""
    return tuple(load_document()["components"]["schemas"]["EventType"]["enum"])


def render_entry(entry: EntryRow, lines: Iterable[LineRow]) -> JournalEntry:
    """An entry as it is shown: alone, in pages and in the feed."""
    details = shown_details(entry.details)
    return JournalEntry(
        entry.journal_entry_id,
        entry.event_type,
        entry.effective_at,
        format_timestamp(entry.posted_at),
        [_line(line, details.external_ref) for line in lines],
        entry.correlation_id,
        entry.reverses_entry_id or UNSET,
        details.description,
        entry.actor,
        details.requested_effective_at,
    )


def _line(line: LineRow, external_ref: str | UnsetType) -> JournalLine:
    return JournalLine(
        line.sequence,
        f"{line.account_code:04d}",
        DIRECTIONS[line.direction],
        line.amount_minor,
        line.currency,
        LAYERS[line.layer],
        line.loan_id or UNSET,
        line.borrower_id or UNSET,
        external_ref,
    )
