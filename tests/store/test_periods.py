"""Closing and reopening the books: append-only, audited, and no posting slips into a closed day."""

import asyncio
import datetime
import json
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
import pytest

from hpts.domain.audit import Origin
from hpts.domain.entries import day_of
from hpts.domain.periods import CLOSE, REOPEN, PeriodChange
from hpts.domain.rejections import Refusal, Rejection
from hpts.ledger import Ledger
from hpts.posting import Command, Outcome, Posted
from hpts.store.admin_requests import AdminReply, AdminRequest, AdminRequests, Change
from hpts.store.periods import PeriodRequest, PeriodRow, change_periods
from hpts.store.tenancy import TenantUnknown
from hpts.store.tenants import set_late_postings, set_tenant_status
from hpts.store.verify import verify_tenant

from .ledger_fixture import (
    Books,
    accrual,
    days_ago,
    disbursement,
    open_ledger,
    payment,
    posting_of,
    reversal,
    until_blocked,
)

Found = TypeVar("Found")


def with_ledger(books: Books, use: Callable[[Ledger], Awaitable[Found]]) -> Found:
    async def scenario() -> Found:
        async with open_ledger(books.database_url) as ledger:
            return await use(ledger)

    return asyncio.run(scenario())


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
    async def posting(ledger: Ledger) -> Outcome:
        return await ledger.post(books.tenant_id.bytes, posting_of(command, **how))

    return with_ledger(books, posting)


def records(books: Books) -> list[tuple[Any, ...]]:
    return books.fetch(
        "SELECT record_number, kind, closed_through, reason, actor, block_number"
        " FROM period_records WHERE tenant_id = %s ORDER BY record_number"
    )


def events(books: Books) -> list[tuple[Any, ...]]:
    return books.fetch(
        "SELECT action, outcome, actor, source, subject, problem_code, trace_id, details::text"
        " FROM audit_events WHERE tenant_id = %s AND action LIKE 'period.%%' ORDER BY event_number"
    )


def boundary(books: Books) -> datetime.date | None:
    ((through,),) = books.fetch("SELECT closed_through FROM ledger_heads WHERE tenant_id = %s")
    return through  # type: ignore[no-any-return]


@pytest.fixture
def books(database_url: str) -> Books:
    return Books(database_url)


def test_closing_and_reopening_are_records_and_the_last_one_counts(books: Books) -> None:
    books.post(disbursement(uuid.uuid4(), 100))
    close(books, days_ago(40))
    close(books, days_ago(10))
    change(books, REOPEN, days_ago(20))
    assert records(books) == [
        (1, "close", days_ago(40), "month end", "controller-é", 1),
        (2, "close", days_ago(10), "month end", "controller-é", 1),
        (3, "reopen", days_ago(21), "month end", "controller-é", 1),
    ]
    assert boundary(books) == days_ago(21)
    change(books, REOPEN, datetime.date.min)
    assert records(books)[-1][1:3] == ("reopen", None)
    assert boundary(books) is None


def test_records_cannot_be_changed_even_by_the_owner(books: Books) -> None:
    close(books, days_ago(10))
    with psycopg.connect(books.database_url) as connection:
        for statement in (
            "UPDATE period_records SET closed_through = NULL",
            "DELETE FROM period_records",
            "TRUNCATE period_records",
        ):
            with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
                connection.execute(statement.encode())


def test_a_closing_moves_on_and_ends_today(books: Books) -> None:
    tomorrow = days_ago(-1)
    assert rejection_of(change(books, CLOSE, tomorrow)) == (
        Rejection.PERIOD_NOT_OVER,
        f"must be {days_ago(0)} or earlier",
    )
    close(books, days_ago(5))
    for day in (days_ago(5), days_ago(6)):
        assert rejection_of(change(books, CLOSE, day)) == (
            Rejection.PERIOD_CLOSED,
            f"must be {days_ago(4)} or later: the books are closed through {days_ago(5)}",
        )
    close(books, days_ago(0))
    assert isinstance(post(books, disbursement(uuid.uuid4(), 1, on=tomorrow)), Posted)


def test_only_a_closed_day_is_reopened(books: Books) -> None:
    assert rejection_of(change(books, REOPEN, days_ago(5))) == (
        Rejection.PERIOD_NOT_CLOSED,
        "no day is closed",
    )
    close(books, days_ago(5))
    assert rejection_of(change(books, REOPEN, days_ago(4))) == (
        Rejection.PERIOD_NOT_CLOSED,
        f"must be {days_ago(5)} or earlier",
    )
    assert boundary(books) == days_ago(5)


def test_changes_are_audited_allowed_or_refused(books: Books) -> None:
    close(books, days_ago(5))
    change(books, CLOSE, days_ago(9))
    change(books, REOPEN, days_ago(5))
    who = ("controller-é", "10.1.2.3")
    details = '{{"day":"{}","reason":"month end"{}}}'
    said = books.fetch(
        'SELECT format(\',"block_number":%%s,"recorded_at":"%%s"\', block_number,'
        " to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))"
        " FROM period_records WHERE tenant_id = %s ORDER BY record_number"
    )
    (closed,), (reopened,) = said
    assert events(books) == [
        ("period.close", "allowed", *who, "period record 1", None, "ab" * 16,
         details.format(days_ago(5), closed)),
        ("period.close", "refused", *who, str(days_ago(9)), "period_closed", "ab" * 16,
         details.format(days_ago(9), "")),
        ("period.reopen", "allowed", *who, "period record 2", None, "ab" * 16,
         details.format(days_ago(5), reopened)),
    ]  # fmt: skip


def test_a_change_under_a_used_key_is_replayed_or_refused(books: Books) -> None:
    digest = b"d" * 32
    first = close(books, days_ago(9), key="close:nine-days", digest=digest)
    again = change(books, CLOSE, days_ago(9), key="close:nine-days", digest=digest)
    assert again == first._replace(is_replay=True)
    other = change(books, CLOSE, days_ago(8), key="close:nine-days")
    assert other == Refusal(Rejection.IDEMPOTENCY_MISMATCH)
    assert len(records(books)) == len(events(books)) == 1


def test_a_refused_change_leaves_its_key_free(books: Books) -> None:
    change(books, REOPEN, days_ago(9), key="reopen:early")
    close(books, days_ago(5))
    found = change(books, REOPEN, days_ago(9), key="reopen:early")
    assert isinstance(found, AdminReply)
    assert not found.is_replay


def test_a_key_that_a_posting_used_closes_nothing(books: Books) -> None:
    assert isinstance(post(books, disbursement(uuid.uuid4(), 100), key="used:by-posting"), Posted)
    found = change(books, CLOSE, days_ago(5), key="used:by-posting")
    assert found == Refusal(Rejection.IDEMPOTENCY_MISMATCH)
    assert records(books) == []


def test_a_suspended_tenant_closes_nothing(books: Books) -> None:
    set_tenant_status(books.database_url, books.tenant_id, "suspended")
    with pytest.raises(TenantUnknown):
        change(books, CLOSE, days_ago(5))
    assert records(books) == []


def commands(loan_id: uuid.UUID, entry_id: uuid.UUID, day: datetime.date) -> list[Command]:
    """One of each kind, as of a day."""
    return [
        payment(loan_id, 1, on=day),
        disbursement(loan_id, 1, on=day),
        accrual({loan_id: 1}, on=day),
        reversal(entry_id, on=day),
    ]


def test_a_posting_into_a_closed_period_is_refused(books: Books) -> None:
    loan_id = uuid.uuid4()
    books.post(disbursement(loan_id, 1_000, on=days_ago(30)))
    (paid,) = books.post(payment(loan_id, 5, on=days_ago(30)))
    close(books, days_ago(10))
    message = f"must be {days_ago(9)} or later: the books are closed through {days_ago(10)}"
    for command in commands(loan_id, paid, days_ago(10)):
        assert rejection_of(post(books, command)) == (Rejection.PERIOD_CLOSED, message)
    for command in commands(loan_id, paid, days_ago(9)):
        assert isinstance(post(books, command), Posted)


def test_what_was_posted_before_the_closing_is_replayed_after_it(books: Books) -> None:
    first = post(books, disbursement(uuid.UUID(int=1), 9, on=days_ago(9)), key="early:one-two",
                 digest=b"e" * 32)  # fmt: skip
    assert isinstance(first, Posted)
    close(books, days_ago(1))
    again = post(books, disbursement(uuid.UUID(int=1), 9, on=days_ago(9)), key="early:one-two",
                 digest=b"e" * 32)  # fmt: skip
    assert again == Posted(first.journal_entry_id, first.reply, True)


def test_a_reopened_day_takes_postings_again(books: Books) -> None:
    close(books, days_ago(1))
    change(books, REOPEN, days_ago(3))
    assert isinstance(post(books, disbursement(uuid.uuid4(), 1, on=days_ago(3))), Posted)
    refused = post(books, disbursement(uuid.uuid4(), 1, on=days_ago(4)))
    assert rejection_of(refused)[0] is Rejection.PERIOD_CLOSED


def test_late_postings_are_moved_where_the_tenant_wants_it(books: Books) -> None:
    loan_id = uuid.uuid4()
    books.post(disbursement(loan_id, 1_000, on=days_ago(30)))
    (paid,) = books.post(payment(loan_id, 5, on=days_ago(30)))
    close(books, days_ago(10))
    assert set_late_postings(books.database_url, books.tenant_id, "move")
    for command in commands(loan_id, paid, days_ago(12)):
        outcome = post(books, command)
        assert isinstance(outcome, Posted), outcome
        ((effective_at, details),) = books.fetch(
            "SELECT effective_at, details::text FROM journal_entries"
            " WHERE tenant_id = %s AND journal_entry_id = %s",
            uuid.UUID(bytes=outcome.journal_entry_id),
        )
        assert effective_at == days_ago(9)
        assert json.loads(details)["requested_effective_at"] == str(days_ago(12))
    ((on_time,),) = books.fetch(
        "SELECT count(*) FROM journal_entries WHERE tenant_id = %s AND effective_at <= %s",
        days_ago(10),
    )
    assert on_time == 2


def test_a_posting_on_an_open_day_is_not_tagged(books: Books) -> None:
    close(books, days_ago(10))
    set_late_postings(books.database_url, books.tenant_id, "move")
    books.post(disbursement(uuid.uuid4(), 1_000, on=days_ago(9)))
    ((details,),) = books.fetch("SELECT details::text FROM journal_entries WHERE tenant_id = %s")
    assert "requested_effective_at" not in json.loads(details)


def test_a_moved_accrual_is_the_accrual_of_its_own_day(books: Books) -> None:
    """Neither may it be posted again, nor does it take the place of the day that it stands on."""
    loan_id, own, stands_on = uuid.uuid4(), days_ago(12), days_ago(9)
    books.post(disbursement(loan_id, 1_000, on=days_ago(30)))
    close(books, days_ago(10))
    set_late_postings(books.database_url, books.tenant_id, "move")
    (moved,) = books.post(accrual({loan_id: 7}, on=own))
    again = post(books, accrual({loan_id: 7}, on=own))
    assert isinstance(again, Refusal)
    assert again.rejection is Rejection.ALREADY_ACCRUED
    books.post(accrual({loan_id: 7}, on=stands_on), accrual({loan_id: 7}, on=days_ago(11)))
    twice = post(books, accrual({loan_id: 7}, on=stands_on))
    assert isinstance(twice, Refusal)
    assert twice.rejection is Rejection.ALREADY_ACCRUED
    books.post(reversal(moved))
    books.post(accrual({loan_id: 7}, on=own))
    assert verify_tenant(books.database_url, books.tenant_id).findings == []


def test_a_closing_waits_for_the_batch_that_commits(books: Books) -> None:
    """A batch that has appended its block commits first, and the record names its block."""
    books.post(disbursement(uuid.uuid4(), 1, on=days_ago(9)))

    async def scenario() -> None:
        with psycopg.connect(books.database_url) as holder:
            holder.execute(
                b"UPDATE ledger_heads SET block_number = block_number + 1 WHERE tenant_id = %s",
                (books.tenant_id,),
            )
            closing = asyncio.ensure_future(ask(books, CLOSE, days_ago(5)))
            await until_blocked(holder)
            assert not closing.done()
            holder.commit()
            await closing

    asyncio.run(scenario())
    assert records(books)[0][-1] == 2


@pytest.mark.parametrize("policy", ["refuse", "move"])
def test_a_batch_that_was_decided_before_a_closing_does_not_slip_into_it(
    books: Books, policy: str
) -> None:
    """It waits for the lock that the closing has, is refused by the database, and runs again."""
    set_late_postings(books.database_url, books.tenant_id, policy)
    loan_id = uuid.uuid4()
    books.post(disbursement(loan_id, 1_000, on=days_ago(30)))

    async def scenario() -> list[Outcome]:
        tenant_id = books.tenant_id.bytes
        with psycopg.connect(books.database_url) as holder:
            holder.execute(  # a closing that is about to commit
                b"UPDATE ledger_heads SET closed_through = %s WHERE tenant_id = %s",
                (days_ago(5), books.tenant_id),
            )
            async with open_ledger(books.database_url) as ledger:
                batch = asyncio.gather(
                    ledger.post(tenant_id, posting_of(payment(loan_id, 3, on=days_ago(5)))),
                    ledger.post(tenant_id, posting_of(payment(loan_id, 4, on=days_ago(4)))),
                )
                await until_blocked(holder)
                holder.commit()
                return list(await batch)

    late, timely = asyncio.run(scenario())
    assert isinstance(timely, Posted)
    if policy == "refuse":
        assert rejection_of(late)[0] is Rejection.PERIOD_CLOSED
    else:
        assert isinstance(late, Posted)
    days = books.fetch(
        "SELECT effective_at, count(*) FROM journal_entries WHERE tenant_id = %s GROUP BY 1"
    )
    assert dict(days) == {days_ago(30): 1, days_ago(4): 1 + (policy == "move")}


@pytest.mark.parametrize("policy", ["refuse", "move"])
def test_no_posting_slips_into_a_period_that_is_closed_when_it_commits(
    books: Books, policy: str, seed: int
) -> None:
    """Two workers post backdated payments while the books are closed day by day and reopened. In
    the order of the chain no block after a closing holds an entry effective by then."""
    draw = random.Random(seed)
    set_late_postings(books.database_url, books.tenant_id, policy)
    loan_ids = [uuid.uuid4() for _ in range(12)]
    books.post(*(disbursement(loan_id, 1_000, on=days_ago(60)) for loan_id in loan_ids))
    outcomes: list[Outcome] = []

    async def until_posted(count: int) -> None:
        for _ in range(10_000):
            if len(outcomes) >= count:
                return
            await asyncio.sleep(0.001)
        raise AssertionError("nothing is posted any more")

    async def pay(ledger: Ledger, loan_id: uuid.UUID, done: asyncio.Event) -> None:
        while not done.is_set():
            day = days_ago(draw.randrange(1, 40))
            posting = posting_of(payment(loan_id, 1, on=day))
            outcomes.append(await ledger.post(books.tenant_id.bytes, posting))

    async def scenario() -> None:
        done = asyncio.Event()
        async with open_ledger(books.database_url) as one, open_ledger(books.database_url) as other:
            paying = [
                asyncio.ensure_future(pay((one, other)[at % 2], loan_id, done))
                for at, loan_id in enumerate(loan_ids)
            ]
            for ago in (30, 25, 20, 15, 10, 5, 3, 1):
                for kind, day in ((CLOSE, days_ago(ago)), (REOPEN, days_ago(ago + 2))):
                    found = await ask(books, kind, day)
                    assert isinstance(found, AdminReply), found
                    await until_posted(len(outcomes) + 20)
            done.set()
            await asyncio.gather(*paying)

    asyncio.run(scenario())
    assert check_chain(books) == []
    refused = {rejection_of(each)[0] for each in outcomes if isinstance(each, Refusal)}
    assert refused == ({Rejection.PERIOD_CLOSED} if policy == "refuse" else set())
    assert sum(isinstance(each, Posted) for each in outcomes) > 50


def check_chain(books: Books) -> list[tuple[Any, ...]]:
    """Entries of blocks after a closing, up to the next record, that are effective by its day."""
    return books.fetch(
        "SELECT block.block_number, entry.effective_at, record.closed_through"
        " FROM ledger_blocks AS block"
        " JOIN journal_entries AS entry ON entry.tenant_id = block.tenant_id"
        "  AND entry.journal_entry_id >= block.first_entry_id"
        " CROSS JOIN LATERAL (SELECT count(*) FROM journal_entries AS before"
        "  WHERE before.tenant_id = block.tenant_id"
        "   AND before.journal_entry_id >= block.first_entry_id"
        "   AND before.journal_entry_id < entry.journal_entry_id) AS place (at)"
        " CROSS JOIN LATERAL (SELECT closed_through FROM period_records"
        "  WHERE period_records.tenant_id = block.tenant_id"
        "   AND period_records.block_number < block.block_number"
        "  ORDER BY record_number DESC LIMIT 1) AS record"
        " WHERE block.tenant_id = %s AND place.at < block.entry_count"
        "  AND entry.effective_at <= record.closed_through"
    )
