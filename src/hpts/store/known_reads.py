"""Sums of accounts as they were known at an instant: what was posted by then, and no later entry.

Exact at any moment, however far the tables of known_fold.py are filled: what is not in them is read
line by line, which only takes longer. A read that finds much of that has it folded behind its back.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from hpts.domain.instants import Instant
from hpts.domain.limits import RESTATEMENT_SEARCHED_MAX, UNFOLDED_BLOCKS_MAX
from hpts.store.reads import AccountRow
from hpts.store.tenancy import RunForTenant
from hpts.store.text_format import identifier_text, text_of, text_step
from hpts.store.wire import Rows, Step
from hpts.telemetry import logger

FOR_EVER = "infinity"
LAST_IDENTIFIER = 2**128 - 1

Fold = Callable[[bytes], Awaitable[object]]
"""Folds all that is new of a tenant."""


class RestatementQuery(NamedTuple):
    """What of an account (code, currency, layer as the query has them) changed between two
    instants about a day, which ends with `day_end`."""

    account_code: bytes
    currency: bytes
    layer: bytes
    as_of_date: str
    known_from: Instant
    known_to: Instant
    day_end: Instant


class RestatedEntry(NamedTuple):
    """An entry and what it debits and credits of the account; `posted_at` as in Batch."""

    journal_entry_id: str
    event_type: str
    effective_at: str
    posted_at: int
    debit_minor: int
    credit_minor: int


class Restated(NamedTuple):
    """What was known before and after, entries between, and where the search for them ended if it
    did before the last (16 bytes)."""

    before: AccountRow
    after: AccountRow
    entries: list[RestatedEntry]
    searched_to: bytes | None


def known_steps(
    tenant_id: bytes,
    known_at: Instant,
    *,
    layer: bytes,
    currency: bytes | None,
    account_code: bytes | None,
    as_of_date: str | None,
) -> list[Step]:
    """The sums by account and currency, then how many blocks are not folded yet."""
    return [
        text_step(
            "sum_known",
            tenant_id,
            layer,
            currency,
            (as_of_date or FOR_EVER).encode(),
            identifier_text(known_at.before_entry_id),
            identifier_text(known_at.day_entry_id),
            known_at.month.isoformat().encode(),
            known_at.day.isoformat().encode(),
            account_code,
        ),
        text_step("read_known_backlog", tenant_id),
    ]


class KnownReads:
    """Runs such queries, and has a tenant folded that is much behind; one at a time in a worker."""

    def __init__(self, run: RunForTenant, fold: Fold | None = None) -> None:
        """Without `fold` nothing is folded, as for who may not write."""
        self._run = run
        self._fold = fold
        self._folding: asyncio.Task[None] | None = None

    async def account(
        self,
        tenant_id: bytes,
        account_code: bytes,
        known_at: Instant,
        *,
        currency: bytes,
        layer: bytes,
        as_of_date: str | None,
    ) -> AccountRow | None:
        """An account's totals as they were known, of a day or of all days; None when the chart has
        no such account."""
        accounts, sums, backlog = await self._run(
            tenant_id,
            text_step("read_account", tenant_id, account_code),
            *known_steps(
                tenant_id,
                known_at,
                layer=layer,
                currency=currency,
                account_code=account_code,
                as_of_date=as_of_date,
            ),
        )
        self.note_backlog(tenant_id, backlog)
        if not accounts:
            return None
        name, normal_balance = (text_of(cell) for cell in accounts[0])
        debit, credit = (int(minor or 0) for minor in sums[0][2:]) if sums else (0, 0)
        return AccountRow(name, normal_balance, debit, credit)

    async def restatement(
        self, tenant_id: bytes, query: RestatementQuery, *, after: bytes | None, count: int
    ) -> Restated | None:
        """At most `count` of the entries after one, or from the first; fewer, though there may be
        more, where RESTATEMENT_SEARCHED_MAX were looked through. None when the chart has no such
        account."""
        before_row, after_row = [
            await self.account(
                tenant_id,
                query.account_code,
                known_at,
                currency=query.currency,
                layer=query.layer,
                as_of_date=query.as_of_date,
            )
            for known_at in (query.known_from, query.known_to)
        ]
        if before_row is None or after_row is None:
            return None
        first = query.known_from.before_entry_id
        if after is not None:
            following = int.from_bytes(after, "big") + 1
            first = min(following, LAST_IDENTIFIER).to_bytes(16, "big")
        (rows,) = await self._run(
            tenant_id,
            text_step(
                "read_restatement",
                tenant_id,
                query.account_code,
                query.currency,
                query.layer,
                query.as_of_date.encode(),
                identifier_text(first),
                identifier_text(query.known_to.before_entry_id),
                b"%d" % count,
                identifier_text(query.day_end.before_entry_id),
                b"%d" % max(count, RESTATEMENT_SEARCHED_MAX),
            ),
        )
        reached = rows[0][0]
        return Restated(
            before_row,
            after_row,
            [_restated(row[1:]) for row in rows if row[1] is not None],
            None if reached is None else uuid.UUID(reached.decode()).bytes,
        )

    def note_backlog(self, tenant_id: bytes, backlog: Rows) -> None:
        """Have the tenant folded where a read found that much is not yet."""
        behind = int(backlog[0][0] or 0) if backlog else 0
        is_idle = self._folding is None or self._folding.done()
        if self._fold is not None and behind > UNFOLDED_BLOCKS_MAX and is_idle:
            catching_up = self._catch_up(tenant_id, self._fold)
            self._folding = asyncio.get_running_loop().create_task(catching_up)

    async def close(self) -> None:
        """Stop what is folding; what it has committed stays."""
        if self._folding is not None:
            self._folding.cancel()
            await asyncio.wait((self._folding,))

    async def _catch_up(self, tenant_id: bytes, fold: Fold) -> None:
        try:
            await fold(tenant_id)
        except Exception as error:
            logger.warning("folding what was known when: %s", error)


def _restated(row: tuple[bytes | None, ...]) -> RestatedEntry:
    entry_id, event_type, effective_at, *numbers = row
    posted_at, debit, credit = (int(number or 0) for number in numbers)
    return RestatedEntry(
        text_of(entry_id),
        text_of(event_type),
        text_of(effective_at),
        posted_at,
        debit,
        credit,
    )
