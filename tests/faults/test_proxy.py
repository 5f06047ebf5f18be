"""The proxy acts exactly where a commit stands: what it stalls or cuts is there, or is not yet."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable

import pytest

from hpts.ledger import Ledger
from hpts.posting import Outcome, Posted
from tests.store.ledger_fixture import Books, disbursement, open_ledger, posting_of

from .proxy import Effect, Moment, Proxy, Trap, take_messages

STALL_SECONDS = 0.4
Post = Callable[[], Awaitable[Outcome]]


def play(database_url: str, trap: Trap, scenario: Callable[[Post, Books], Awaitable[None]]) -> None:
    """With a ledger behind the proxy whose connections are open before the trap is set."""
    books = Books(database_url)

    async def bounded() -> None:
        proxy = Proxy(database_url)
        await proxy.start()
        async with open_ledger(proxy.database_url) as ledger:
            await post(ledger, books)
            proxy.trap = trap
            await scenario(lambda: post(ledger, books), books)
        await proxy.stop()
        assert trap.sprung == 1

    asyncio.run(asyncio.wait_for(bounded(), 30))


async def post(ledger: Ledger, books: Books) -> Outcome:
    command = disbursement(uuid.uuid4(), 1_000)
    return await ledger.post(books.tenant_id.bytes, posting_of(command))


def count_entries(books: Books) -> int:
    ((count,),) = books.fetch("SELECT count(*) FROM journal_entries WHERE tenant_id = %s")
    return int(count)


@pytest.mark.parametrize(
    ("moment", "entries_meanwhile"), [(Moment.BEFORE, 1), (Moment.DURING, 2), (Moment.AFTER, 2)]
)
def test_a_stall_holds_the_link_where_it_says(
    database_url: str, moment: Moment, entries_meanwhile: int
) -> None:
    async def scenario(post: Post, books: Books) -> None:
        began = time.monotonic()
        posting = asyncio.ensure_future(post())
        await asyncio.sleep(STALL_SECONDS / 2)
        assert posting.done() == (moment is Moment.AFTER)
        assert await asyncio.to_thread(count_entries, books) == entries_meanwhile
        assert isinstance(await posting, Posted)
        assert (time.monotonic() - began >= STALL_SECONDS) == (moment is not Moment.AFTER)
        assert isinstance(await post(), Posted)
        assert time.monotonic() - began >= STALL_SECONDS

    play(database_url, Trap(moment, Effect.STALL, STALL_SECONDS, 1), scenario)


@pytest.mark.parametrize(
    ("moment", "effect"),
    [
        *((moment, effect) for moment in Moment for effect in (Effect.CUT, Effect.STALL_AND_CUT)),
        (Moment.DURING, Effect.CUT_UNSEEN),
    ],
)
def test_a_cut_posting_is_posted_once(database_url: str, moment: Moment, effect: Effect) -> None:
    async def scenario(post: Post, books: Books) -> None:
        assert isinstance(await post(), Posted)
        assert isinstance(await post(), Posted)
        assert await asyncio.to_thread(count_entries, books) == 3

    play(database_url, Trap(moment, effect, 0.05, 1), scenario)


def test_messages_are_taken_whole() -> None:
    first, second = b"\0\0\0\x06ab", b"S\0\0\0\x04"
    buffer = bytearray(first + second + b"B\0\0\0")
    assert take_messages(buffer, has_started=False) == [first, second]
    assert buffer == b"B\0\0\0"
    assert take_messages(buffer, has_started=True) == []
    buffer += b"\x05x"
    assert take_messages(buffer, has_started=True) == [b"B\0\0\0\x05x"]
