"""A link that falls silent is given up within seconds, and nothing is lost or doubled by that; a
database that takes its time is waited for.
"""

import asyncio
import time
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from hpts.posting import DATABASE_UNAVAILABLE, Outcome, Posted
from hpts.store import wire as wires
from hpts.store.silence import PROBE_SECONDS_MAX, backend_of, end_session, is_at_work
from hpts.store.statements import WRITER_STATEMENTS
from hpts.store.verify import verify_tenant
from hpts.store.wire import RUN_SECONDS_MAX, ConnectionLost, Step, Wire
from tests.faults.background import Background
from tests.faults.proxy import Effect, Moment, Proxy, Trap

from .ledger_fixture import Books, disbursement, open_ledger, posting_of

REAL = (wires.SILENT_SECONDS_MAX, wires.GRACE_SECONDS)
SILENT_SECONDS = 0.5
OPEN_TRANSACTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'hpts' AND xact_start IS NOT NULL
"""
SLEEP_AT_COMMIT = """
CREATE FUNCTION sleep_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(3);
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER sleeps AFTER INSERT ON ledger_blocks DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION sleep_at_commit();
"""


@pytest.fixture
def background() -> Iterator[Background]:
    with Background() as found:
        yield found


@pytest.fixture
def proxy(own_database_url: str, background: Background) -> Iterator[Proxy]:
    found = Proxy(own_database_url)
    background.run(found.start())
    yield found
    background.run(found.stop())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no test takes as long as the real bounds, which another test holds."""
    monkeypatch.setattr(wires, "SILENT_SECONDS_MAX", SILENT_SECONDS)
    monkeypatch.setattr(wires, "GRACE_SECONDS", 0.2)


def test_the_bounds_give_a_silent_link_up_within_ten_seconds() -> None:
    silent, grace = REAL
    assert silent + PROBE_SECONDS_MAX + grace < 10
    assert wires.LINK["tcp_user_timeout"] <= 10_000
    assert wires.LINK["keepalives_idle"] + 4 * wires.LINK["keepalives_interval"] <= 10


def hold_requests(proxy: Proxy) -> None:
    """What is sent on the links that there are is swallowed for good; new ones work."""
    for link in proxy.links:
        link.to_server.is_held = True


@pytest.mark.parametrize("lost", ["requests", "answers"])
def test_a_posting_on_a_link_that_falls_silent_is_there_at_most_once(
    proxy: Proxy, background: Background, lost: str
) -> None:
    """Of the first pipeline: nothing was posted. Of a COMMIT that was done, see below."""
    books = Books(proxy._direct)
    loan = uuid.uuid4()

    async def scenario() -> tuple[Outcome, Outcome, float]:
        async with open_ledger(proxy.database_url) as ledger:
            tenant_id = books.tenant_id.bytes
            await ledger.post(tenant_id, posting_of(disbursement(loan, 1)))
            hold = proxy.hold_answers if lost == "answers" else lambda: hold_requests(proxy)
            background.call(hold)
            began = time.monotonic()
            posting = posting_of(disbursement(loan, 2), key="test:silent")
            first = await ledger.post(tenant_id, posting)
            again = posting_of(
                disbursement(loan, 2), key="test:silent", digest=posting.request_digest
            )
            return first, await ledger.post(tenant_id, again), time.monotonic() - began

    first, again, seconds = asyncio.run(scenario())
    assert isinstance(again, Posted)
    assert isinstance(first, Posted) or first == DATABASE_UNAVAILABLE
    assert seconds < RUN_SECONDS_MAX / 2
    assert books.fetch("SELECT principal_minor FROM loans WHERE tenant_id = %s") == [(3,)]
    assert verify_tenant(books.database_url, books.tenant_id).findings == []


def lend_twice(proxy: Proxy, background: Background, books: Books, trap: Trap) -> Outcome:
    """What becomes of a loan's second disbursement when a trap is laid after its first."""
    loan = uuid.uuid4()

    async def scenario() -> Outcome:
        async with open_ledger(proxy.database_url) as ledger:
            tenant_id = books.tenant_id.bytes
            await ledger.post(tenant_id, posting_of(disbursement(loan, 1)))
            background.call(setattr, proxy, "trap", trap)
            return await ledger.post(tenant_id, posting_of(disbursement(loan, 2)))

    return asyncio.run(scenario())


def test_a_commit_whose_answer_is_swallowed_is_answered_as_posted_and_once(
    proxy: Proxy, background: Background
) -> None:
    books = Books(proxy._direct)
    assert isinstance(lend_twice(proxy, background, books, swallowing()), Posted)
    assert books.fetch("SELECT principal_minor FROM loans WHERE tenant_id = %s") == [(3,)]


def swallowing() -> Trap:
    """The answer to the next COMMIT stays on its way for longer than anybody waits."""
    return Trap(Moment.DURING, Effect.STALL, 3_600, 1)


def test_a_session_lost_with_locks_held_is_ended_and_the_posting_goes_on(
    proxy: Proxy, background: Background
) -> None:
    """All but the COMMIT has arrived, nothing more ever does, not even the end of the link: no
    timeout of PostgreSQL's counts in the middle of a pipeline."""
    books = Books(proxy._direct)
    trap = Trap(Moment.BEFORE, Effect.STALL, 3_600, 1)
    assert isinstance(lend_twice(proxy, background, books, trap), Posted), (
        "its loan was free before it had to be given up"
    )
    assert books.fetch("SELECT principal_minor FROM loans WHERE tenant_id = %s") == [(3,)]


def test_locks_of_whom_nobody_can_reach_are_given_up_by_postgresql(
    proxy: Proxy, background: Background
) -> None:
    """The worker cannot ask, and goes on waiting; the database asks nobody."""
    books = Books(proxy._direct)
    books.post(disbursement(uuid.uuid4(), 1))

    async def scenario() -> None:
        wire = await Wire.connect(proxy.database_url, (*WRITER_STATEMENTS, "enter_tenant"))
        tenant = str(books.tenant_id).encode()
        await wire.run([Step("begin_writing"), Step("enter_tenant", (tenant,), True)])
        await wire.run([Step("read_last_block", (books.tenant_id.bytes,))])
        background.call(proxy.hold_all)
        background.call(setattr, proxy, "refuses", True)
        assert await asyncio.to_thread(is_ended, proxy._direct), "its transaction is still open"
        wire.close()

    asyncio.run(scenario())


def is_ended(database_url: str) -> bool:
    """Whether nobody holds a transaction open any more, within half a minute."""
    deadline = time.monotonic() + 30
    with psycopg.connect(database_url, autocommit=True) as connection:
        while time.monotonic() < deadline:
            found = connection.execute(OPEN_TRANSACTIONS).fetchone()
            if found == (0,):
                return True
            time.sleep(0.1)
    return False


def test_a_session_at_work_is_never_ended_nor_one_of_another_program(own_database_url: str) -> None:
    async def scenario() -> list[bool]:
        url = own_database_url
        connect = psycopg.AsyncConnection.connect
        async with (
            await connect(url, application_name="hpts") as busy,
            await connect(url, application_name="another") as other,
            await connect(url, application_name="hpts") as lost,
        ):
            backends = [
                backend_of(url, each.pgconn, each.info.backend_pid) for each in (busy, other, lost)
            ]
            for each in (other, lost):
                await each.execute("SELECT 1")  # idle in a transaction
            working = asyncio.create_task(busy.execute("SELECT pg_sleep(2)"))
            await asyncio.sleep(0.5)
            for backend in backends:
                await end_session(backend)
            await working
            states = []
            for each in (busy, other, lost):
                try:
                    await each.execute("SELECT 1")
                except psycopg.OperationalError:
                    states.append(False)
                else:
                    states.append(True)
            return states

    assert asyncio.run(scenario()) == [True, True, False]


def test_a_commit_that_takes_its_time_is_waited_for(
    own_database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Six times as long as the link may be silent unasked."""
    books = Books(own_database_url)
    with psycopg.connect(own_database_url) as connection:
        connection.execute(SLEEP_AT_COMMIT)

    async def scenario() -> Outcome:
        async with open_ledger(own_database_url) as ledger:
            command = disbursement(uuid.uuid4(), 2)
            return await ledger.post(books.tenant_id.bytes, posting_of(command))

    try:
        assert isinstance(asyncio.run(scenario()), Posted)
    finally:
        with psycopg.connect(own_database_url) as connection:
            connection.execute("DROP TRIGGER sleeps ON ledger_blocks")
            connection.execute("DROP FUNCTION sleep_at_commit")
    assert "connection lost" not in caplog.text
    assert books.fetch("SELECT count(*) FROM journal_entries WHERE tenant_id = %s") == [(1,)]


def test_a_database_that_cannot_be_asked_is_waited_for_to_the_end(
    proxy: Proxy, background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "RUN_SECONDS_MAX", 2.5)

    async def scenario() -> float:
        wire = await Wire.connect(proxy.database_url, (*WRITER_STATEMENTS, "enter_tenant"))
        background.call(proxy.hold_answers)
        background.call(setattr, proxy, "refuses", True)
        began = time.monotonic()
        with pytest.raises(ConnectionLost, match="no answer"):
            await wire.run([Step("enter_tenant", (b"none",), True)])
        return time.monotonic() - began

    assert asyncio.run(scenario()) > 2


def test_a_session_is_told_by_its_state(own_database_url: str) -> None:
    async def scenario() -> list[bool | None]:
        async with await psycopg.AsyncConnection.connect(own_database_url) as connection:
            row = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
            assert row is not None
            backend = backend_of(own_database_url, connection.pgconn, row[0])
            states = [await is_at_work(backend)]  # idle in a transaction
            await connection.rollback()
            states.append(await is_at_work(backend))  # idle
            sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(3)"))
            await asyncio.sleep(0.5)
            states.append(await is_at_work(backend))
            await sleeping
        states.append(await is_at_work(backend))  # gone
        nowhere = backend._replace(conninfo="host=127.0.0.1 port=1 connect_timeout=1")
        return [*states, await is_at_work(nowhere)]

    assert asyncio.run(scenario()) == [False, False, True, False, None]
