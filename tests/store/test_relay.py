"""The relay's connection: for whom there is something to deliver, what is kept of it, and how what
PostgreSQL refuses is told from a connection that is lost."""

import asyncio
import uuid
from pathlib import Path

import pytest

from hpts.domain.identifiers import UNIX_TO_2000_MICROSECONDS
from hpts.store.feed import START, Headline, Position
from hpts.store.relay import KeptDelivery, RelayConnection
from hpts.store.tenants import set_tenant_status
from hpts.store.wire import ConnectionLost, StatementFailed
from tests.relay.world import World, opened

from .ledger_fixture import Books

TENANT_ID = uuid.uuid4().bytes
DELIVERY = KeptDelivery(
    Headline(str(uuid.uuid4()), "accrual", 0, str(uuid.uuid4()), (), START._replace(entry_count=1)),
    "parked", 1, 1.0, 1.0, None, None, None,
)  # fmt: skip


@pytest.mark.parametrize(
    "delivery",
    [DELIVERY._replace(error="a\0b"), DELIVERY._replace(status="lost")],
    ids=["the driver", "the table"],
)
def test_what_is_refused_leaves_the_connection_as_it_was(
    database_url: str, delivery: KeptDelivery
) -> None:
    async def check() -> None:
        connection = await RelayConnection.open(database_url)
        try:
            with pytest.raises(StatementFailed):
                await connection.keep(TENANT_ID, str(uuid.uuid4()), START, [delivery])
            assert await connection.hold(TENANT_ID)
        finally:
            await connection.close()

    asyncio.run(check())


def test_a_connection_that_the_server_ends_is_lost(database_url: str) -> None:
    async def check() -> None:
        connection, other = [await RelayConnection.open(database_url) for _ in range(2)]
        assert await other.hold(TENANT_ID)
        await connection.close()
        for call in (connection.tenants(), connection.hold(TENANT_ID)):
            with pytest.raises(ConnectionLost):
                await call
        await other.close()

    asyncio.run(check())


def webhook_tenants(database_url: str) -> set[uuid.UUID]:
    async def read() -> set[uuid.UUID]:
        connection = await RelayConnection.open(database_url)
        try:
            return {uuid.UUID(bytes=tenant_id) for tenant_id in await connection.tenants()}
        finally:
            await connection.close()

    return asyncio.run(read())


def test_a_relay_looks_only_at_tenants_that_are_served_and_have_an_endpoint(
    database_url: str, tmp_path: Path
) -> None:
    without = Books(database_url).tenant_id
    with opened(database_url, tmp_path) as world:
        tenant_id = world.books.tenant_id
        assert not webhook_tenants(database_url) & {tenant_id, without}
        endpoints = [world.endpoint("https://192.0.2.1/")[0] for _ in range(2)]
        assert webhook_tenants(database_url) & {tenant_id, without} == {tenant_id}
        set_tenant_status(database_url, tenant_id, "suspended")
        assert tenant_id not in webhook_tenants(database_url)
        set_tenant_status(database_url, tenant_id, "active")
        world.delete(endpoints[0])
        assert tenant_id in webhook_tenants(database_url)
        world.delete(endpoints[1])
        assert tenant_id not in webhook_tenants(database_url)


def keep(
    world: World, endpoint_id: uuid.UUID, place: tuple[int, int], *kept: KeptDelivery
) -> tuple[int, int]:
    """Keep what there is and where the cursor is to be; where it is then."""

    async def run() -> None:
        connection = await RelayConnection.open(world.database_url)
        try:
            position = Position(*place, b"12345678")
            await connection.keep(world.books.tenant_id.bytes, str(endpoint_id), position, [*kept])
        finally:
            await connection.close()

    asyncio.run(run())
    ((block_number, entry_count),) = world.books.fetch(
        "SELECT block_number, entry_count FROM webhook_cursors WHERE tenant_id = %s"
    )
    return block_number, entry_count


def test_deliveries_and_the_cursor_are_kept_together_and_never_taken_back(
    database_url: str, tmp_path: Path
) -> None:
    def delivery(count: int, **given: object) -> KeptDelivery:
        place = START._replace(block_number=3, entry_count=count)
        headline = DELIVERY.headline._replace(entry_id=str(uuid.UUID(int=count)), position=place)
        return DELIVERY._replace(headline=headline, **given)

    refused = delivery(1, status="retrying", next_attempt_at=9.5, response_status=503, error="no")
    held = delivery(2, status="held", attempt_count=0, first_attempt_at=None, last_attempt_at=None)
    with opened(database_url, tmp_path) as world:
        endpoint_id, _ = world.endpoint("https://192.0.2.1/")
        assert keep(world, endpoint_id, (3, 2), refused, held) == (3, 2)
        delivered = delivery(1, status="delivered", attempt_count=2, last_attempt_at=10.0)
        assert keep(world, endpoint_id, (3, 1), delivered) == (3, 2)
        assert keep(world, endpoint_id, (4, 1)) == (4, 1)
        second, first = world.deliveries(endpoint_id)
    at = [
        time + UNIX_TO_2000_MICROSECONDS
        for time in (first.first_attempt_at, first.last_attempt_at)
        if time
    ]
    assert at == [1_000_000, 10_000_000]
    assert (first.status, first.attempt_count, first.next_attempt_at) == ("delivered", 2, None)
    assert (first.response_status, first.error) == (503, "no")
    assert (first.block_number, first.place, second.block_number, second.place) == (3, 0, 3, 1)
    assert (second.status, second.attempt_count, second.first_attempt_at) == ("held", 0, None)
