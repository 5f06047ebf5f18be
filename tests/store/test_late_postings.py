"""No posting slips into a closed period: it is refused or moved, whoever commits first."""

import asyncio
import datetime
import json
import random
import uuid
from typing import Any

import psycopg
import pytest

from hpts.domain.periods import CLOSE, REOPEN
from hpts.domain.rejections import Refusal, Rejection
from hpts.ledger import Ledger
from hpts.posting import Command, Outcome, Posted
from hpts.store.admin_requests import AdminReply
from hpts.store.tenants import set_late_postings
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
from .period_changes import ask, change, close, post, records, rejection_of


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
