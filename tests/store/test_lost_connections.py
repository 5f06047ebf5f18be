"""A connection lost at any moment loses nothing and doubles nothing: the same batch runs again, and
the idempotency keys make that safe."""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable

import psycopg
import pytest

from hpts.domain import limits
from hpts.domain.rejections import Refusal, Rejection
from hpts.ledger import Ledger
from hpts.posting import Outcome, Posted, Unavailable
from hpts.store.reconcile import reconcile
from hpts.store.tenants import set_tenant_status
from hpts.store.verify import verify_tenant

from .cutting_proxy import Cut, CuttingProxy, Pipeline, Plan
from .ledger_fixture import (
    Books,
    accrual,
    disbursement,
    open_ledger,
    payment,
    posting_of,
    reversal,
    until_blocked,
)
from .scenarios import play, post_all

EVERY_CUT = [cut for cut in Cut if cut is not Cut.NEVER]
SEEDS = (1, 2, 3)


def once(when: Callable[[Pipeline], bool], cut: Cut) -> Plan:
    """Cut the first pipeline of which `when` is true."""
    pending = [cut]

    def plan(pipeline: Pipeline) -> Cut:
        return pending.pop() if pending and when(pipeline) else Cut.NEVER

    return plan


def opens(pipeline: Pipeline) -> bool:
    return "begin_writing" in pipeline.statements


def assert_posted_once(books: Books, outcomes: list[Outcome], entries_before: int = 0) -> None:
    for outcome in outcomes:
        assert isinstance(outcome, Posted), outcome
        assert not outcome.is_replay, "nobody else posted under this key"
    posted = {uuid.UUID(bytes=outcome.journal_entry_id) for outcome in outcomes}  # type: ignore[union-attr]
    assert len(posted) == len(outcomes)
    rows = books.fetch("SELECT journal_entry_id FROM journal_entries WHERE tenant_id = %s")
    kept = {entry_id for (entry_id,) in rows}
    assert posted <= kept, "nothing is lost"
    assert len(kept) == entries_before + len(posted), "nothing is doubled"
    assert_sound(books)


def assert_sound(books: Books) -> None:
    assert reconcile(books.database_url, books.tenant_id, None).mismatched_account_count == 0
    assert verify_tenant(books.database_url, books.tenant_id).findings == []


def owed(books: Books, loan_id: uuid.UUID) -> tuple[int, int, int]:
    ((*components,),) = books.fetch(
        "SELECT principal_minor, interest_minor, fees_minor FROM loans"
        " WHERE tenant_id = %s AND loan_id = %s",
        loan_id,
    )
    return tuple(components)  # type: ignore[return-value]


@pytest.mark.parametrize("cut", EVERY_CUT)
@pytest.mark.parametrize("where", [opens, lambda pipeline: pipeline.commits], ids=["open", "write"])
def test_a_batch_whose_connection_is_cut_is_posted_exactly_once(
    database_url: str, cut: Cut, where: Callable[[Pipeline], bool]
) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    commands = [disbursement(loan_id, 1_000), payment(loan_id, 300), payment(loan_id, 50)]

    async def scenario() -> None:
        async with (
            CuttingProxy(database_url, once(where, cut)) as proxy,
            open_ledger(proxy.database_url) as ledger,
        ):
            outcomes = await post_all(ledger, books, *commands)
            assert proxy.cut_count == 1
        assert_posted_once(books, outcomes)
        assert owed(books, loan_id) == (650, 0, 0)

    play(scenario())


@pytest.mark.parametrize("cut", EVERY_CUT)
@pytest.mark.parametrize("kind", ["accrual", "reversal"])
def test_accruals_and_reversals_too(database_url: str, cut: Cut, kind: str) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    (opened,) = books.post(disbursement(loan_id, 1_000))
    command = accrual({loan_id: 7}) if kind == "accrual" else reversal(opened)

    async def scenario() -> None:
        plan = once(lambda pipeline: pipeline.commits, cut)
        async with (
            CuttingProxy(database_url, plan) as proxy,
            open_ledger(proxy.database_url) as ledger,
        ):
            outcomes = await post_all(ledger, books, command)
        assert_posted_once(books, outcomes, entries_before=1)
        assert owed(books, loan_id) == ((1_000, 7, 0) if kind == "accrual" else (0, 0, 0))

    play(scenario())


@pytest.mark.parametrize("seed", SEEDS)
def test_many_postings_under_random_cuts_reconcile_exactly(database_url: str, seed: int) -> None:
    print("seed", seed)
    draw = random.Random(seed)
    books = [Books(database_url) for _ in range(3)]
    loans = {book.tenant_id: [uuid.uuid4() for _ in range(12)] for book in books}
    expected: Counter[tuple[uuid.UUID, uuid.UUID]] = Counter()
    cuts = [draw.choice(EVERY_CUT) for _ in range(25)]

    def plan(_: Pipeline) -> Cut:
        return cuts.pop() if cuts and draw.random() < 0.35 else Cut.NEVER

    async def pay(ledger: Ledger, book: Books) -> Outcome:
        await asyncio.sleep(draw.random())
        loan_id, amount = draw.choice(loans[book.tenant_id]), draw.randint(1, 900)
        expected[(book.tenant_id, loan_id)] -= amount
        return (await post_all(ledger, book, payment(loan_id, amount)))[0]

    async def scenario() -> None:
        async with (
            CuttingProxy(database_url, plan) as proxy,
            open_ledger(proxy.database_url) as ledger,
        ):
            outcomes = {book: [] for book in books}  # type: dict[Books, list[Outcome]]
            for book in books:
                opened = [disbursement(loan_id, 1_000_000) for loan_id in loans[book.tenant_id]]
                outcomes[book] += await post_all(ledger, book, *opened)
            chosen = [draw.choice(books) for _ in range(300)]
            paid = await asyncio.gather(*(pay(ledger, book) for book in chosen))
            for book, outcome in zip(chosen, paid, strict=True):
                outcomes[book].append(outcome)
            print("cuts made:", proxy.cut_count)
            assert proxy.cut_count >= 10
        for book in books:
            assert_posted_once(book, outcomes[book])
            for loan_id in loans[book.tenant_id]:
                principal = 1_000_000 + expected[(book.tenant_id, loan_id)]
                assert owed(book, loan_id) == (principal, 0, 0)

    play(scenario())


def test_a_posting_refused_before_the_loss_is_not_posted_after_it(own_database_url: str) -> None:
    """Its client was told that it left no trace, and may have sent something else meanwhile."""
    books, loan_id = Books(own_database_url), uuid.uuid4()
    with psycopg.connect(own_database_url) as connection:
        connection.execute(
            "ALTER TABLE journal_entries ADD CONSTRAINT culprit"
            " CHECK (idempotency_key <> 'a-key-that-the-database-refuses')"
        )
    commits: list[Pipeline] = []

    def plan(pipeline: Pipeline) -> Cut:
        """The whole batch fails, then the culprit alone; the third to commit is `opening`."""
        if pipeline.commits:
            commits.append(pipeline)
        return Cut.AFTER_ANSWER if pipeline.commits and len(commits) == 3 else Cut.NEVER

    async def scenario() -> None:
        tenant_id = books.tenant_id.bytes
        refused = posting_of(payment(loan_id, 10))
        culprit = posting_of(disbursement(uuid.uuid4(), 1), key="a-key-that-the-database-refuses")
        opening = posting_of(disbursement(loan_id, 1_000))
        async with (
            CuttingProxy(own_database_url, plan) as proxy,
            open_ledger(proxy.database_url) as ledger,
        ):
            outcomes = await asyncio.gather(
                *(ledger.post(tenant_id, posting) for posting in (refused, culprit, opening)),
                return_exceptions=True,
            )
            assert proxy.cut_count == 1
        assert isinstance(outcomes[0], Refusal)
        assert outcomes[0].rejection is Rejection.LOAN_NOT_FOUND
        assert isinstance(outcomes[1], Exception)
        assert isinstance(outcomes[2], Posted)
        assert not outcomes[2].is_replay
        assert owed(books, loan_id) == (1_000, 0, 0), "the refused payment was posted after all"

    play(scenario())


@pytest.mark.parametrize("cut", [Cut.AFTER_ANSWER, Cut.CLIENT_ONLY])
def test_what_was_posted_is_answered_so_though_its_tenant_was_suspended_meanwhile(
    database_url: str, cut: Cut
) -> None:
    """A refusal would tell the client that nothing was posted."""
    books = Books(database_url)

    def plan(pipeline: Pipeline) -> Cut:
        if "insert_entries" not in pipeline.statements:
            return Cut.NEVER
        assert set_tenant_status(database_url, books.tenant_id, "suspended")
        return cut

    async def scenario() -> None:
        async with (
            CuttingProxy(database_url, plan) as proxy,
            open_ledger(proxy.database_url) as ledger,
        ):
            outcomes = await post_all(ledger, books, disbursement(uuid.uuid4(), 1_000))
            assert proxy.cut_count == 1
            refused = await post_all(ledger, books, disbursement(uuid.uuid4(), 1_000))
        assert refused == [Refusal(Rejection.TENANT_UNKNOWN)]
        assert set_tenant_status(database_url, books.tenant_id, "active")
        assert_posted_once(books, outcomes)

    play(scenario())


def test_a_database_that_is_away_is_answered_promptly_and_used_when_it_is_back(
    database_url: str,
) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()

    async def scenario() -> None:
        proxy = CuttingProxy(database_url)
        await proxy.start()
        url = proxy.database_url
        await proxy.stop()
        async with open_ledger(url) as ledger:
            for _ in range(2):
                started = time.monotonic()
                (outcome,) = await post_all(ledger, books, disbursement(loan_id, 10))
                assert outcome == Unavailable("database_unavailable")
                assert time.monotonic() - started < 1
                await proxy.start()
                outcomes = await post_all(ledger, books, disbursement(loan_id, 10))
                assert isinstance(outcomes[0], Posted)
                await proxy.stop()
        assert owed(books, loan_id) == (20, 0, 0)

    play(scenario())


def test_a_commit_of_unknown_outcome_waits_for_the_database_until_the_deadline(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUEUE_WAIT_MS_MAX", 700)
    books, loan_id = Books(database_url), uuid.uuid4()

    async def scenario() -> None:
        proxy = CuttingProxy(
            database_url, once(lambda pipeline: pipeline.commits, Cut.AFTER_ANSWER)
        )
        await proxy.start()
        async with open_ledger(proxy.database_url) as ledger:
            posting = posting_of(disbursement(loan_id, 10))
            waiting = asyncio.create_task(ledger.post(books.tenant_id.bytes, posting))
            await proxy.was_cut.wait()
            await proxy.stop()
            again = posting_of(payment(loan_id, 1))
            assert await ledger.post(books.tenant_id.bytes, again) == Unavailable(
                "database_unavailable"
            ), "of this one nothing was sent"
            assert not waiting.done()
            started = time.monotonic()
            assert await waiting == Unavailable("database_unavailable")
            assert time.monotonic() - started < 2
            await proxy.start()
            key = posting.idempotency_key.decode()
            retried = posting_of(posting.command, key=key, digest=posting.request_digest)
            outcome = await ledger.post(books.tenant_id.bytes, retried)
            assert isinstance(outcome, Posted)
            assert outcome.is_replay, "the client's retry finds what was committed"
            await proxy.stop()
        assert owed(books, loan_id) == (10, 0, 0)

    play(scenario())


def test_a_backend_terminated_amid_a_batch_is_replaced(database_url: str) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            await post_all(ledger, books, disbursement(loan_id, 1_000))
            with psycopg.connect(database_url) as holder:
                holder.execute(
                    "SELECT FROM ledger_heads WHERE tenant_id = %s FOR UPDATE", (books.tenant_id,)
                )
                waiting = asyncio.create_task(
                    post_all(ledger, books, payment(loan_id, 1), payment(loan_id, 2))
                )
                pid = await until_blocked(holder)
                holder.execute("SELECT pg_terminate_backend(%s)", (pid,))
            outcomes = await waiting
        assert_posted_once(books, outcomes, entries_before=1)
        assert owed(books, loan_id) == (997, 0, 0)

    play(scenario())
