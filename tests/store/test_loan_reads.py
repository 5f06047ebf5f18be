"""Reads of loans gather while a query runs; each is answered for itself, and never with less than
was committed before it was asked."""

import asyncio
import uuid
from collections.abc import Iterator
from functools import partial

import pytest

from hpts.domain import limits
from hpts.store import loan_reads
from hpts.store.loan_reads import LoanReads
from hpts.store.pool import Pool, PoolBusy
from hpts.store.tenancy import TenantUnknown, run_for_tenant
from hpts.store.wire import ConnectionLost, Step, Wire

from .ledger_fixture import Books, disbursement, open_ledger, payment, posting_of

AWAY = "host=127.0.0.1 port=1 user=nobody dbname=nothing connect_timeout=2"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many pipelines read balances from here on, each with its number of bytes of loans."""
    sent: list[int] = []
    run = Wire.run

    async def record(wire: Wire, steps: list[Step]) -> object:
        sent.extend(
            len(step.parameters[1] or b"")
            for step in steps
            if step.statement == "read_loan_balances"
        )
        return await run(wire, steps)

    monkeypatch.setattr(Wire, "run", record)
    yield sent


def test_reads_that_come_together_are_one_query_and_each_gets_its_own_loan(
    database_url: str, asked: list[int]
) -> None:
    books = Books(database_url)
    loan_ids = [uuid.uuid4() for _ in range(40)]
    books.post(*(disbursement(loan_id, 100 + at) for at, loan_id in enumerate(loan_ids)))

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            tenant_id = books.tenant_id.bytes
            first = await ledger.reads.loan_now(tenant_id, loan_ids[0].bytes)
            assert first is not None and first.principal_minor == 100
            asked.clear()
            unknown = ledger.reads.loan_now(tenant_id, uuid.uuid4().bytes)
            twice = [*loan_ids, *loan_ids]
            nobody, *found = await asyncio.gather(
                unknown, *(ledger.reads.loan_now(tenant_id, loan_id.bytes) for loan_id in twice)
            )
            assert nobody is None
            owed = [None if loan is None else loan.principal_minor for loan in found]
            assert owed == [*range(100, 140)] * 2

    asyncio.run(scenario())
    assert len(asked) == 1
    assert asked[0] == 20 + 41 * 20, "a loan asked for twice is asked for once"


def test_a_read_never_shows_less_than_was_committed_before_it(database_url: str) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    books.post(disbursement(loan_id, 1_000))

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            tenant_id = books.tenant_id.bytes
            stop = False

            async def read_for_ever() -> None:
                while not stop:
                    await ledger.reads.loan_now(tenant_id, loan_id.bytes)

            readers = [asyncio.create_task(read_for_ever()) for _ in range(8)]
            for paid in range(1, 31):
                await ledger.post(tenant_id, posting_of(payment(loan_id, 1)))
                loan = await ledger.reads.loan_now(tenant_id, loan_id.bytes)
                assert loan is not None and loan.principal_minor == 1_000 - paid
            stop = True
            await asyncio.gather(*readers)

    asyncio.run(scenario())


def test_tenants_do_not_share_a_query(database_url: str, asked: list[int]) -> None:
    ours, theirs, loan_id = Books(database_url), Books(database_url), uuid.uuid4()
    ours.post(disbursement(loan_id, 10))

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            asked.clear()
            mine, other = await asyncio.gather(
                ledger.reads.loan_now(ours.tenant_id.bytes, loan_id.bytes),
                ledger.reads.loan_now(theirs.tenant_id.bytes, loan_id.bytes),
            )
            assert mine is not None and other is None

    asyncio.run(scenario())
    assert len(asked) == 2


def test_what_fails_fails_for_everybody_who_waits(database_url: str) -> None:
    async def ask(url: str, tenant_id: bytes) -> list[object]:
        reads = LoanReads(partial(run_for_tenant, Pool.of_readers(url, 1, waiters_max=1)))
        asking = (reads.read(tenant_id, uuid.uuid4().bytes) for _ in range(3))
        return await asyncio.gather(*asking, return_exceptions=True)

    unknown = asyncio.run(ask(database_url, uuid.uuid4().bytes))
    assert [type(error) for error in unknown] == [TenantUnknown] * 3
    lost = asyncio.run(ask(AWAY, uuid.uuid4().bytes))
    assert all(isinstance(error, ConnectionLost) for error in lost) and len(lost) == 3


def test_too_many_who_wait_are_told_so(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "READ_WAITERS_MAX", 2)

    async def scenario() -> list[object]:
        reads = loan_reads.LoanReads(
            partial(run_for_tenant, Pool.of_readers(database_url, 1, waiters_max=1))
        )
        tenant_id = uuid.uuid4().bytes
        asking = (reads.read(tenant_id, uuid.uuid4().bytes) for _ in range(4))
        return await asyncio.gather(*asking, return_exceptions=True)

    found = [type(error) for error in asyncio.run(scenario())]
    assert found == [TenantUnknown, TenantUnknown, PoolBusy, PoolBusy]


def test_one_that_hangs_up_takes_nobody_elses_answer_away(database_url: str) -> None:
    books, loan_id = Books(database_url), uuid.uuid4()
    books.post(disbursement(loan_id, 10))

    async def scenario() -> None:
        async with open_ledger(database_url) as ledger:
            asking = [
                asyncio.ensure_future(ledger.reads.loan_now(books.tenant_id.bytes, loan_id.bytes))
                for _ in range(3)
            ]
            await asyncio.sleep(0)
            asking[1].cancel()
            first, cancelled, last = await asyncio.gather(*asking, return_exceptions=True)
            assert isinstance(cancelled, asyncio.CancelledError)
            assert first == last and first is not None

    asyncio.run(scenario())
