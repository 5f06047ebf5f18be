"""The relay's connection tells what PostgreSQL refuses from a connection that is lost."""

import asyncio
import uuid

import pytest

from hpts.store.feed import START, Headline
from hpts.store.relay import KeptDelivery, RelayConnection
from hpts.store.wire import ConnectionLost, StatementFailed

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
        for call in (connection.active_tenants(), connection.hold(TENANT_ID)):
            with pytest.raises(ConnectionLost):
                await call
        await other.close()

    asyncio.run(check())
