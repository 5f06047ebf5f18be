"""Ways to close and reopen a tenant's books, to post under a key, and to see what was recorded."""

import asyncio
import datetime
import uuid
from typing import Any

from hpts.domain.audit import Origin
from hpts.domain.entries import day_of
from hpts.domain.periods import CLOSE, PeriodChange
from hpts.domain.rejections import Refusal, Rejection
from hpts.posting import Command, Outcome
from hpts.store.admin_requests import AdminReply, AdminRequest, AdminRequests, Change
from hpts.store.periods import PeriodRequest, PeriodRow, change_periods

from .ledger_fixture import Books, open_ledger, posting_of


def render(row: PeriodRow) -> bytes:
    return repr(tuple(row)).encode()


def asked(books: Books, kind: str, day: datetime.date) -> Change:
    request = PeriodRequest(
        books.tenant_id.bytes,
        PeriodChange(kind, day_of(day), "month end"),
        "controller-é",
        Origin("10.1.2.3", "ab" * 16),
        render,
    )
    return lambda connection: change_periods(connection, request)


async def ask(
    books: Books,
    kind: str,
    day: datetime.date,
    *,
    key: str | None = None,
    digest: bytes | None = None,
) -> AdminReply | Refusal:
    made = uuid.uuid4()
    request = AdminRequest(
        books.tenant_id.bytes, (key or f"test:{made}").encode(), digest or made.bytes * 2
    )
    return await AdminRequests(books.database_url).run(request, asked(books, kind, day))


def change(books: Books, kind: str, day: datetime.date, **how: Any) -> AdminReply | Refusal:
    return asyncio.run(ask(books, kind, day, **how))


def close(books: Books, day: datetime.date, **how: Any) -> AdminReply:
    found = change(books, CLOSE, day, **how)
    assert isinstance(found, AdminReply), found
    return found


def rejection_of(found: object) -> tuple[Rejection, str]:
    assert isinstance(found, Refusal), found
    (error,) = found.errors
    return found.rejection, error.message


def post(books: Books, command: Command, **how: Any) -> Outcome:
    async def scenario() -> Outcome:
        async with open_ledger(books.database_url) as ledger:
            return await ledger.post(books.tenant_id.bytes, posting_of(command, **how))

    return asyncio.run(scenario())


def records(books: Books) -> list[tuple[Any, ...]]:
    return books.fetch(
        "SELECT record_number, kind, closed_through, reason, actor, block_number"
        " FROM period_records WHERE tenant_id = %s ORDER BY record_number"
    )


def boundary(books: Books) -> datetime.date | None:
    ((through,),) = books.fetch("SELECT closed_through FROM ledger_heads WHERE tenant_id = %s")
    return through  # type: ignore[no-any-return]
