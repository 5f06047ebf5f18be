"""Ledger integrity: what the lines add up to, kept as far as they were read, against the totals.

The kept sums come from lines and from nothing else. A drift names the account and the first block
that can have caused it.
"""

import datetime
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import psycopg

from hpts.store.statements import sql

KEPT = {"E": "for ever", "M": "by month", "D": "by day"}
LAST_DAY = datetime.date(9999, 12, 31)
FOR_EVER = datetime.date(1, 1, 1)
"""The period of a total that is kept for ever."""

Connection = psycopg.Connection[Any]
Place = tuple[int, str, str, str, datetime.date]
"""Which total: account, currency, layer, how it is kept, period."""


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """A total that differs from its lines. `kept` is a key of KEPT, `period` the first day that the
    total covers; amounts are minor units as text.

    The total was right when block `agreed_block` was the last; `first_block` is the first one after
    it that posted there, None when none did: then somebody changed what stood.
    """

    account_code: int
    currency: str
    layer: str
    kept: str
    period: datetime.date
    lines_debit_minor: str
    total_debit_minor: str
    lines_credit_minor: str
    total_credit_minor: str
    agreed_block: int
    first_block: int | None

    @property
    def place(self) -> Place:
        """Which total it is."""
        return (self.account_code, self.currency, self.layer, self.kept, self.period)


def add_all_lines(connection: Connection, tenant_id: uuid.UUID) -> None:
    """Add up every line anew."""
    wanted = {"tenant_id": tenant_id}
    connection.execute(sql("delete_reconciliation_sums").encode(), wanted)
    _add(connection, tenant_id, connection.execute(sql("sum_all_lines").encode(), wanted))


def add_new_lines(
    connection: Connection, tenant_id: uuid.UUID, *, after_block: int, through_block: int
) -> set[datetime.date]:
    """Add the lines of the blocks after one, through another; the days of effect they touch."""
    rows = connection.execute(
        sql("sum_new_lines").encode(),
        {"tenant_id": tenant_id, "after_block": after_block, "through_block": through_block},
    ).fetchall()
    _add(connection, tenant_id, rows)
    return {day for _, _, _, day, _, _ in rows}


def find_drift(
    connection: Connection,
    tenant_id: uuid.UUID,
    *,
    days: Iterable[datetime.date] | None,
    agreed_block: int,
    agreed_day_block: int,
    earlier: Mapping[Place, Drift],
) -> list[Drift]:
    """Totals that differ from the lines: those for ever and by month, and those by day of `days`,
    or of all days. `agreed_block` and, for totals by day, `agreed_day_block` say when they were
    found right, `earlier` which were not."""
    found = connection.execute(
        sql("find_drift").encode(),
        {"tenant_id": tenant_id, "all_days": days is None, "days": list(days or ())},
    ).fetchall()
    drifts = [
        drift_of(row, agreed_block=agreed_day_block if row[3] == "D" else agreed_block)
        for row in found
    ]
    return [_place_drift(connection, tenant_id, drift, earlier) for drift in drifts]


def drift_of(row: Sequence[Any], *, agreed_block: int) -> Drift:
    """A row of find_drift.sql or find_drift_as_of.sql."""
    account_code, currency, layer, kept, period, *amounts = row
    lines_debit, total_debit, lines_credit, total_credit = (f"{minor:f}" for minor in amounts)
    return Drift(
        account_code=account_code,
        currency=currency,
        layer=layer,
        kept=kept,
        period=period,
        lines_debit_minor=lines_debit,
        total_debit_minor=total_debit,
        lines_credit_minor=lines_credit,
        total_credit_minor=total_credit,
        agreed_block=agreed_block,
        first_block=None,
    )


def _add(connection: Connection, tenant_id: uuid.UUID, rows: Iterable[Sequence[Any]]) -> None:
    names = ("account_codes", "currencies", "layers", "days", "debits", "credits")
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    values = {name: list(column) for name, column in zip(names, columns, strict=True)}
    connection.execute(sql("add_reconciliation_sums").encode(), {"tenant_id": tenant_id, **values})


def _place_drift(
    connection: Connection,
    tenant_id: uuid.UUID,
    drift: Drift,
    earlier: Mapping[Place, Drift],
) -> Drift:
    known = earlier.get(drift.place)
    if known is None:
        return msgspec.structs.replace(
            drift, first_block=_first_block(connection, tenant_id, drift)
        )
    return msgspec.structs.replace(
        drift, agreed_block=known.agreed_block, first_block=known.first_block
    )


def _first_block(connection: Connection, tenant_id: uuid.UUID, drift: Drift) -> int | None:
    row = connection.execute(
        sql("find_first_block_of_drift").encode(),
        {
            "tenant_id": tenant_id,
            "after_block": drift.agreed_block,
            "from_day": drift.period,
            "to_day": _last_day(drift),
            "account_code": drift.account_code,
            "currency": drift.currency,
            "layer": drift.layer,
        },
    ).fetchone()
    return None if row is None else row[0]


def _last_day(drift: Drift) -> datetime.date:
    if drift.kept == "D":
        return drift.period
    if drift.kept == "E":
        return LAST_DAY
    return (drift.period + datetime.timedelta(days=31)).replace(day=1) - datetime.timedelta(days=1)
