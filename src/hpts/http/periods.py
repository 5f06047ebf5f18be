"""Accounting periods: close the books through a day, reopen them from a day on, list both.

Administrative: each POST is audited, and its key is the tenant's like that of a posting.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from hpts.domain.entries import date_of, format_timestamp
from hpts.domain.limits import PERIOD_REASON_LENGTH_MAX
from hpts.domain.periods import CLOSE, REOPEN, PeriodChange
from hpts.domain.rejections import Refusal
from hpts.http.administration import Administration, reply_response
from hpts.http.messages import Request, Response, money_response
from hpts.http.page_tokens import PAGED, Fixed, next_token, read_page
from hpts.http.parameters import Parameters
from hpts.http.payloads import Body, Kind, parse_day
from hpts.ledger import Ledger
from hpts.store.admin_requests import AdminConnection, AdminReply
from hpts.store.periods import PeriodRequest, PeriodRow, change_periods

BEFORE_ALL = 2**31 - 1
RECORD_NUMBER = Fixed(">i", int)
Reason = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=PERIOD_REASON_LENGTH_MAX, pattern=r"^[^\x00-\x1f]+$"),
]


class PeriodCloseRequest(Body, frozen=True):
    closed_through: str
    reason: Reason


class PeriodReopenRequest(Body, frozen=True):
    reopened_from: str
    reason: Reason


class PeriodRecord(msgspec.Struct, frozen=True, kw_only=True):
    record_number: int
    kind: str
    closed_through: str | UnsetType
    reason: str
    actor: str
    recorded_at: str
    block_number: int


class PeriodRecordPage(msgspec.Struct, frozen=True):
    items: list[PeriodRecord]
    next_page_token: str | UnsetType


class PeriodEndpoints:
    """The two changes."""

    def __init__(self, administration: Administration) -> None:
        self._administration = administration

    async def close_period(self, request: Request) -> Response:
        """Close the books through a day."""
        return await self._change(request, CLOSE_PERIOD)

    async def reopen_period(self, request: Request) -> Response:
        """Reopen the books from a day on."""
        return await self._change(request, REOPEN_PERIOD)

    async def _change(self, request: Request, kind: Kind) -> Response:
        client = request.client()

        async def change(
            connection: AdminConnection, command: PeriodChange
        ) -> AdminReply | Refusal:
            asked = PeriodRequest(client.tenant_id, command, client.actor, request.origin, _render)
            return await change_periods(connection, asked)

        return reply_response(await self._administration.post(request, kind, change))


async def list_periods(request: Request, ledger: Ledger) -> Response:
    """A page of the tenant's closings and reopenings, newest first."""
    parameters = Parameters(request, PAGED)
    tenant_id = request.client().tenant_id
    query = ("listPeriods", tenant_id)
    asked = read_page(parameters, query, RECORD_NUMBER)
    parameters.check()
    rows = await ledger.reads.period_records(
        tenant_id,
        before=BEFORE_ALL if asked.place is None else asked.place,
        count=asked.size + 1,
    )
    shown = rows[: asked.size]
    page = PeriodRecordPage(
        [_record(row) for row in shown],
        next_token(query, shown, rows, lambda row: RECORD_NUMBER.write(row.record_number)),
    )
    return money_response(msgspec.json.encode(page))


def _close(payload: PeriodCloseRequest) -> PeriodChange:
    return PeriodChange(CLOSE, parse_day(payload.closed_through), payload.reason)


def _reopen(payload: PeriodReopenRequest) -> PeriodChange:
    return PeriodChange(REOPEN, parse_day(payload.reopened_from), payload.reason)


def _render(row: PeriodRow) -> bytes:
    return msgspec.json.encode(_record(row))


def _record(row: PeriodRow) -> PeriodRecord:
    through = row.closed_through
    return PeriodRecord(
        record_number=row.record_number,
        kind=row.kind,
        closed_through=UNSET if through is None else date_of(through).isoformat(),
        reason=row.reason,
        actor=row.actor,
        recorded_at=format_timestamp(row.recorded_at),
        block_number=row.block_number,
    )


CLOSE_PERIOD = Kind("closePeriod", PeriodCloseRequest, _close)
REOPEN_PERIOD = Kind("reopenPeriod", PeriodReopenRequest, _reopen)
