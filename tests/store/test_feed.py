"""The feed: every reader sees every entry once, in the one order of the chain."""

import asyncio
import contextlib
import datetime
import random
import time
import uuid

import pytest

from hpts.domain import limits
from hpts.embedded import EmbeddedPostgres
from hpts.store.feed import EVERYTHING, START, CursorForeign, FeedPage, Filter, Position
from hpts.store.pool import PoolBusy
from hpts.store.tenancy import TenantUnknown

from .ledger_fixture import (
    Books,
    accrual,
    days_ago,
    disbursement,
    open_ledger,
    payment,
    posting_of,
    reversal,
)


async def read_on(
    books: Books, after: Position = START, wanted: Filter = EVERYTHING, count: int = 3
) -> list[FeedPage]:
    """Pages from a position on until there is no more."""
    pages = []
    async with open_ledger(books.database_url) as ledger:
        while not pages or pages[-1].has_more:
            pages.append(await ledger.feed.page(books.tenant_id.bytes, after, wanted, count))
            after = pages[-1].position
    return pages


def ids_of(pages: list[FeedPage]) -> list[uuid.UUID]:
    return [uuid.UUID(entry.journal_entry_id) for page in pages for entry in page.entries]


def read_all(books: Books, wanted: Filter = EVERYTHING, count: int = 3) -> list[uuid.UUID]:
    return ids_of(asyncio.run(read_on(books, wanted=wanted, count=count)))


def chain(books: Books) -> list[uuid.UUID]:
    """Every entry in the order of the blocks, as the tables say it."""
    rows = books.fetch(
        "SELECT first_entry_id, entry_count FROM ledger_blocks"
        " WHERE tenant_id = %s ORDER BY block_number"
    )
    return [uuid.UUID(int=first.int + place) for first, count in rows for place in range(count)]


def test_pages_of_any_size_give_the_chain(books: Books) -> None:
    loans = [uuid.uuid4() for _ in range(7)]
    books.post(*(disbursement(loan, 1_000) for loan in loans))
    for loan in loans:
        books.post(payment(loan, 5))
    expected = chain(books)
    assert len(expected) == 14
    for count in (1, 2, 3, 7, 14, 15, 1_000):
        assert read_all(books, count=count) == expected


def test_an_entry_comes_as_it_is_read_alone(books: Books) -> None:
    loan, other = uuid.uuid4(), uuid.uuid4()
    books.post(disbursement(loan, 1_000), disbursement(other, 50))
    (accrued,) = books.post(accrual({loan: 3, other: 4}))
    books.post(reversal(accrued))

    async def compare() -> None:
        async with open_ledger(books.database_url) as ledger:
            page = await ledger.feed.page(books.tenant_id.bytes, START, EVERYTHING, 100)
            assert len(page.entries) == 4
            for entry in page.entries:
                alone = await ledger.reads.entry(
                    books.tenant_id.bytes, uuid.UUID(entry.journal_entry_id).bytes
                )
                assert alone == (entry, page.lines[entry.journal_entry_id])

    asyncio.run(compare())


def test_a_filter_lets_through_what_fits_and_nothing_else(books: Books) -> None:
    loan, other = uuid.uuid4(), uuid.uuid4()
    first, second = books.post(
        disbursement(loan, 1_000, on=days_ago(3)), disbursement(other, 500, on=days_ago(2))
    )
    (paid,) = books.post(payment(loan, 10, on=days_ago(1)))
    (accrued,) = books.post(accrual({loan: 3, other: 4}, on=days_ago(1)))
    (elsewhere,) = books.post(accrual({other: 4}, on=days_ago(0)))
    (undone,) = books.post(reversal(accrued))

    def day(count: int) -> bytes:
        return days_ago(count).isoformat().encode()

    def some(**wanted: bytes) -> list[uuid.UUID]:
        return read_all(books, Filter(**wanted), count=2)

    assert some(event_type=b"accrual") == [accrued, elsewhere]
    assert some(loan_id=str(loan).encode()) == [first, paid, accrued, undone]
    assert some(account_code=b"1000") == [paid]
    assert some(account_code=b"4000") == [accrued, elsewhere, undone]
    assert some(from_date=day(2), to_date=day(1)) == [second, paid, accrued]
    assert some(loan_id=str(other).encode(), account_code=b"1200", from_date=day(0)) == [
        elsewhere,
        undone,
    ]
    assert some(loan_id=str(uuid.uuid4()).encode()) == []


def test_a_page_without_a_fitting_entry_moves_on(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FEED_SCAN_ENTRIES_MAX", 4)
    loans = [uuid.uuid4() for _ in range(9)]
    for loan in loans:
        books.post(disbursement(loan, 1_000))
    (paid,) = books.post(payment(loans[0], 1))
    pages = asyncio.run(read_on(books, wanted=Filter(event_type=b"payment_received")))
    assert [len(page.entries) for page in pages] == [0, 0, 1]
    assert [page.position.block_number for page in pages] == [4, 8, 10]
    assert ids_of(pages) == [paid]


def test_looking_for_an_account_is_bounded_by_lines(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FEED_SCAN_LINES_MAX", 4)
    loan = uuid.uuid4()
    books.post(disbursement(loan, 1_000))  # 2 lines
    books.post(accrual({loan: 1}))  # 2 lines
    (paid,) = books.post(payment(loan, 5))  # 3 lines: cash, interest, principal
    pages = asyncio.run(read_on(books, wanted=Filter(account_code=b"1000"), count=10))
    assert ids_of(pages) == [paid]
    assert [len(page.entries) for page in pages] == [0, 1]


def test_a_page_ends_before_it_has_too_many_lines(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PAGE_LINES_MAX", 5)
    loans = [uuid.uuid4() for _ in range(8)]
    books.post(*(disbursement(loan, 1_000) for loan in loans))
    books.post(accrual(dict.fromkeys(loans, 1)))
    books.post(payment(loans[0], 5))
    pages = asyncio.run(read_on(books, count=100))
    assert ids_of(pages) == chain(books)
    assert [len(page.entries) for page in pages] == [2, 2, 2, 2, 1, 1]


def test_the_end_is_a_position_that_goes_on(books: Books) -> None:
    loan = uuid.uuid4()
    books.post(disbursement(loan, 1_000))

    async def end() -> tuple[FeedPage, Position]:
        (page,) = await read_on(books)
        async with open_ledger(books.database_url) as ledger:
            return page, await ledger.feed.latest(books.tenant_id.bytes)

    page, latest = asyncio.run(end())
    assert page.position == latest
    (again,) = asyncio.run(read_on(books, latest))
    assert again == FeedPage([], {}, latest, False)
    (paid,) = books.post(payment(loan, 1))
    assert ids_of(asyncio.run(read_on(books, latest))) == [paid]


def test_an_empty_ledger_has_an_end(books: Books) -> None:
    assert asyncio.run(read_on(books)) == [FeedPage([], {}, START, False)]


def test_a_position_of_another_history_is_refused(books: Books) -> None:
    loan = uuid.uuid4()
    books.post(disbursement(loan, 1_000), disbursement(uuid.uuid4(), 1_000))
    (page,) = asyncio.run(read_on(books, count=10))
    here = page.position
    for wrong in (here._replace(block_hash=b"12345678"), here._replace(entry_count=3)):
        with pytest.raises(CursorForeign):
            asyncio.run(read_on(books, wrong))


@pytest.mark.parametrize("posted", [0, 2])
def test_a_position_beyond_the_chain_is_of_another_history(books: Books, posted: int) -> None:
    """As after a restore: who reads on must not wait in silence until it is as long again."""
    for _ in range(posted):
        books.post(disbursement(uuid.uuid4(), 1_000))
    with pytest.raises(CursorForeign):
        asyncio.run(read_on(books, Position(5, 1, b"12345678")))


def test_a_position_that_a_standby_has_not_got_yet_waits(
    servers: tuple[EmbeddedPostgres, EmbeddedPostgres],
) -> None:
    primary, standby = servers
    books = Books(primary.url)
    ahead = Position(5, 1, b"12345678")

    async def read() -> FeedPage:
        async with open_ledger(standby.url) as ledger, asyncio.timeout(20):
            while True:
                with contextlib.suppress(TenantUnknown):  # it has not heard of the tenant yet
                    return await ledger.feed.page(books.tenant_id.bytes, ahead, EVERYTHING, 3)
                await asyncio.sleep(0.02)

    assert asyncio.run(read()) == FeedPage([], {}, ahead, False)


def test_readers_that_tail_while_workers_write_all_see_the_chain(books: Books, seed: int) -> None:
    """Several workers post at once, so blocks are not in the order of their entries' identifiers;
    each reader has a limit of its own."""
    draw = random.Random(seed)
    loans = [uuid.uuid4() for _ in range(40)]
    books.post(*(disbursement(loan, 10_000) for loan in loans))
    done = asyncio.Event()

    async def write() -> None:
        async with open_ledger(books.database_url) as ledger:
            for _ in range(25):
                chosen = draw.sample(loans, draw.randint(1, 12))
                postings = [posting_of(payment(loan, 1)) for loan in chosen]
                if draw.random() < 0.2:
                    postings.append(posting_of(accrual({loan: 1 for loan in chosen[:3]})))
                await asyncio.gather(
                    *(ledger.post(books.tenant_id.bytes, posting) for posting in postings)
                )

    async def tail(count: int) -> list[uuid.UUID]:
        found: list[uuid.UUID] = []
        after = START
        async with open_ledger(books.database_url) as ledger:
            while True:
                was_done = done.is_set()
                page = await ledger.feed.page(books.tenant_id.bytes, after, EVERYTHING, count)
                found += [uuid.UUID(entry.journal_entry_id) for entry in page.entries]
                after = page.position
                if was_done and not page.entries and not page.has_more:
                    return found

    async def run() -> list[list[uuid.UUID]]:
        readers = [asyncio.create_task(tail(count)) for count in (1, 2, 7, 50, 1_000)]
        await asyncio.gather(*(write() for _ in range(3)))
        done.set()
        return await asyncio.gather(*readers)

    seen = asyncio.run(run())
    expected = chain(books)
    assert len(expected) > 300
    for found in seen:
        assert found == expected


def test_a_wait_ends_with_the_next_block_of_that_tenant_only(books: Books) -> None:
    other = Books(books.database_url)
    loan = uuid.uuid4()

    async def run() -> tuple[bool, float]:
        async with open_ledger(books.database_url) as ledger:
            started = time.monotonic()
            mine = asyncio.create_task(ledger.heads.wait_past(books.tenant_id.bytes, 0, 30))
            others = asyncio.create_task(ledger.heads.wait_past(other.tenant_id.bytes, 0, 30))
            await asyncio.sleep(0)
            await ledger.post(books.tenant_id.bytes, posting_of(disbursement(loan, 5)))
            await mine
            was_waiting = not others.done()
            ledger.heads.close()
            await others
            await ledger.heads.wait_past(books.tenant_id.bytes, 9, 30)  # at once from now on
            return was_waiting, time.monotonic() - started

    was_waiting, seconds = asyncio.run(run())
    assert was_waiting
    assert seconds < 15


def test_waiters_are_bounded_and_give_their_place_back(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FEED_WAITERS_PER_TENANT_MAX", 2)

    async def run() -> None:
        async with open_ledger(books.database_url) as ledger:
            tenant = books.tenant_id.bytes
            waits = [asyncio.create_task(ledger.heads.wait_past(tenant, 0, 30)) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(PoolBusy):
                await ledger.heads.wait_past(tenant, 0, 30)
            waits[0].cancel()  # as a client that hangs up
            await asyncio.wait(waits[:1])
            await ledger.heads.wait_past(tenant, 0, 0.01)
            ledger.heads.close()
            await waits[1]

    asyncio.run(run())


def test_dates_are_days_of_effect(books: Books) -> None:
    (entry,) = books.post(disbursement(uuid.uuid4(), 5, on=datetime.date(2020, 2, 29)))
    day = b"2020-02-29"
    assert read_all(books, Filter(from_date=day, to_date=day)) == [entry]
    assert read_all(books, Filter(from_date=b"2020-03-01")) == []
