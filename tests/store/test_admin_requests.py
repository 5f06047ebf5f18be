"""An administrative change is made once per idempotency key, together with its reply, or not."""

import asyncio
import hashlib
import uuid
from collections.abc import Awaitable, Callable

import psycopg
import pytest

from hpts.domain.limits import ADMIN_REQUESTS_MAX
from hpts.domain.rejections import Refusal, Rejection
from hpts.store.admin_requests import AdminConnection, AdminReply, AdminRequest, AdminRequests
from hpts.store.pool import PoolBusy
from hpts.store.tenancy import TenantUnknown
from hpts.store.tenants import set_tenant_status
from hpts.store.wire import ConnectionLost, StatementFailed

from .ledger_fixture import Books, disbursement, open_ledger, posting_of

Change = Callable[[AdminConnection], Awaitable[AdminReply | Refusal]]


@pytest.fixture(scope="module")
def books(own_database_url: str) -> Books:
    return Books(own_database_url)


def request_of(books: Books, key: str = "", payload: bytes = b"a") -> AdminRequest:
    named = key or f"test:{uuid.uuid4()}"
    return AdminRequest(books.tenant_id.bytes, named.encode(), hashlib.sha256(payload).digest())


def run(books: Books, request: AdminRequest, change: Change) -> AdminReply | Refusal:
    return asyncio.run(AdminRequests(books.database_url).run(request, change))


def marking(books: Books, day: str, outcome: AdminReply | Refusal) -> Change:
    """A change that leaves a row behind, which `marked` finds."""

    async def change(connection: AdminConnection) -> AdminReply | Refusal:
        await connection.execute(
            "INSERT INTO reconciliation_results VALUES (%s, %s, now(), '{}')",
            (books.tenant_id, day),
        )
        return outcome

    return change


def marked(books: Books, day: str) -> bool:
    rows = books.fetch(
        "SELECT FROM reconciliation_results WHERE tenant_id = %s AND as_of_date = %s", day
    )
    return bool(rows)


DONE = AdminReply(201, b'{"made":"\xc3\xa9"}', "/v1/made/1")


def test_a_change_is_made_once_and_its_reply_answered_again(books: Books) -> None:
    request = request_of(books)
    assert run(books, request, marking(books, "2001-01-01", DONE)) == DONE
    assert marked(books, "2001-01-01")
    again = run(books, request, marking(books, "2001-01-02", AdminReply(201, b"other")))
    assert again == DONE._replace(is_replay=True)
    assert not marked(books, "2001-01-02")


def test_a_refused_change_leaves_nothing_and_its_key_is_free(books: Books) -> None:
    request, refusal = request_of(books), Refusal(Rejection.ENTRY_NOT_FOUND)
    assert run(books, request, marking(books, "2001-02-01", refusal)) == refusal
    assert not marked(books, "2001-02-01")
    assert run(books, request, marking(books, "2001-02-02", DONE)) == DONE


def test_a_change_that_raises_leaves_nothing_and_its_key_is_free(books: Books) -> None:
    async def broken(connection: AdminConnection) -> AdminReply:
        await marking(books, "2001-03-01", DONE)(connection)
        raise RuntimeError("broken")

    request = request_of(books)
    with pytest.raises(RuntimeError, match="broken"):
        run(books, request, broken)
    assert not marked(books, "2001-03-01")
    assert run(books, request, marking(books, "2001-03-02", DONE)) == DONE


def test_a_statement_that_fails_is_told_apart_from_a_lost_connection(books: Books) -> None:
    async def wrong(connection: AdminConnection) -> AdminReply:
        await connection.execute("SELECT 1 / 0")
        return DONE

    async def cut(connection: AdminConnection) -> AdminReply:
        await connection.execute("SET ROLE NONE")
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return DONE

    with pytest.raises(StatementFailed) as failed:
        run(books, request_of(books), wrong)
    assert not failed.value.is_passing
    with pytest.raises((ConnectionLost, StatementFailed)) as lost:
        run(books, request_of(books), cut)
    assert isinstance(lost.value, ConnectionLost) or lost.value.is_passing  # type: ignore[attr-defined]


def test_a_key_is_not_used_for_something_else(books: Books) -> None:
    request = request_of(books)
    run(books, request, marking(books, "2001-04-01", DONE))
    other = request._replace(request_digest=hashlib.sha256(b"b").digest())
    refusal = run(books, other, marking(books, "2001-04-02", DONE))
    assert refusal == Refusal(Rejection.IDEMPOTENCY_MISMATCH)
    assert not marked(books, "2001-04-02")


def test_a_key_of_a_posting_is_not_used_for_something_else(books: Books) -> None:
    async def post() -> None:
        async with open_ledger(books.database_url) as ledger:
            posting = posting_of(disbursement(uuid.uuid4(), 5), key="posting:0001")
            await ledger.post(books.tenant_id.bytes, posting)

    asyncio.run(post())
    refusal = run(books, request_of(books, "posting:0001"), marking(books, "2001-05-01", DONE))
    assert refusal == Refusal(Rejection.IDEMPOTENCY_MISMATCH)


def test_a_key_at_work_is_answered_at_once_to_changes_and_to_postings(books: Books) -> None:
    async def both() -> tuple[object, object]:
        requests, request = AdminRequests(books.database_url), request_of(books)
        found: list[object] = []

        async def slow(_: AdminConnection) -> AdminReply:
            found.append(await requests.run(request, marking(books, "2001-06-01", DONE)))
            async with open_ledger(books.database_url) as ledger:
                key = request.idempotency_key.decode()
                posting = posting_of(disbursement(uuid.uuid4(), 5), key=key)
                found.append(await ledger.post(books.tenant_id.bytes, posting))
            return DONE

        assert await requests.run(request, slow) == DONE
        return found[0], found[1]

    in_progress = Refusal(Rejection.IDEMPOTENCY_IN_PROGRESS)
    assert asyncio.run(both()) == (in_progress, in_progress)


def test_many_of_one_key_at_once_change_once(books: Books) -> None:
    async def many() -> list[AdminReply | Refusal]:
        workers, request = [AdminRequests(books.database_url) for _ in range(4)], request_of(books)
        change = marking(books, "2001-07-01", DONE)
        tries = [worker.run(request, change) for worker in workers for _ in range(4)]
        return await asyncio.gather(*tries)

    outcomes = asyncio.run(many())
    assert outcomes.count(DONE) == 1
    others = {outcome for outcome in outcomes if isinstance(outcome, AdminReply)} - {DONE}
    assert others <= {DONE._replace(is_replay=True)}
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert all(one == Refusal(Rejection.IDEMPOTENCY_IN_PROGRESS) for one in refused)


def test_the_transaction_is_the_tenants_in_the_application_role(books: Books) -> None:
    other = Books(books.database_url)

    async def look(tenant_id: bytes) -> tuple[object, ...]:
        async with AdminRequests(books.database_url).transaction(tenant_id) as connection:
            query = "SELECT current_user, array_agg(DISTINCT tenant_id) FROM accounts"
            return await (await connection.execute(query)).fetchone() or ()

    assert asyncio.run(look(books.tenant_id.bytes)) == ("hpts_app", [books.tenant_id])
    assert asyncio.run(look(other.tenant_id.bytes)) == ("hpts_app", [other.tenant_id])


def test_an_unknown_or_suspended_tenant_is_refused(own_database_url: str) -> None:
    async def enter(tenant_id: bytes) -> None:
        async with AdminRequests(own_database_url).transaction(tenant_id):
            pytest.fail("entered")

    suspended = Books(own_database_url)
    set_tenant_status(own_database_url, suspended.tenant_id, "suspended")
    with pytest.raises(TenantUnknown):
        run(suspended, request_of(suspended), marking(suspended, "2001-01-01", DONE))
    for tenant_id in (suspended.tenant_id.bytes, uuid.uuid4().bytes):
        with pytest.raises(TenantUnknown):
            asyncio.run(enter(tenant_id))


def test_too_many_at_once_are_refused_and_places_come_free(books: Books) -> None:
    async def crowd() -> int:
        requests, go = AdminRequests(books.database_url), asyncio.Event()

        async def wait(_: AdminConnection) -> AdminReply:
            await go.wait()
            return DONE

        tasks = [
            asyncio.create_task(requests.run(request_of(books), wait))
            for _ in range(ADMIN_REQUESTS_MAX + 3)
        ]
        await asyncio.sleep(0)
        go.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert await requests.run(request_of(books), wait) == DONE
        return sum(isinstance(outcome, PoolBusy) for outcome in outcomes)

    assert asyncio.run(crowd()) == 3


def test_a_database_that_is_away_is_said(books: Books) -> None:
    away = psycopg.conninfo.make_conninfo(books.database_url, host="127.0.0.1", port=1)

    async def enter() -> None:
        await AdminRequests(away).run(request_of(books), marking(books, "2001-01-01", DONE))

    with pytest.raises(ConnectionLost):
        asyncio.run(enter())
