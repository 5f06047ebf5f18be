"""One relay: holds the tenants that nobody else holds, and delivers for each of their endpoints.

When its connection is lost it holds nothing any more and drops everything at once; whoever takes a
tenant over goes on from the cursors that were kept, so an entry may arrive twice and none is left
out.
"""

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from typing import NamedTuple

from hpts.domain import limits
from hpts.domain.webhooks import Network
from hpts.http.webhook_secrets import WebhookKey
from hpts.relay.endpoint import EndpointRelay, Means
from hpts.store.feed import Feed
from hpts.store.heads import Heads
from hpts.store.pool import Pool, PoolBusy
from hpts.store.relay import RelayConnection
from hpts.store.tenancy import TenantUnknown
from hpts.store.webhooks import EndpointRow, WebhookReads
from hpts.store.wire import ConnectionLost, StatementFailed
from hpts.telemetry import logger

READERS = 4
WAITERS_MAX = 65_536
FAILURES = (ConnectionLost, PoolBusy, StatementFailed, TenantUnknown)


Place = tuple[bytes, str]


class EndpointNumbers(NamedTuple):
    """How an endpoint does, since this relay holds it."""

    tenant_id: bytes
    endpoint_id: str
    delivered_count: int
    failed_count: int
    open_count: int
    delivered_through_block: int


class Relay:
    """All tenants of one database, as far as no other relay holds them."""

    def __init__(self, database_url: str, key: WebhookKey, allowed: Sequence[Network]) -> None:
        self._database_url = database_url
        self._key = key
        self._allowed = allowed
        self._stop = asyncio.Event()
        self._pool = Pool.of_readers(database_url, READERS, waiters_max=WAITERS_MAX)
        self._reads = WebhookReads(self._pool)
        self._running: dict[Place, tuple[EndpointRelay, asyncio.Task[None]]] = {}
        self._ending: dict[Place, asyncio.Task[None]] = {}
        self._unserved: dict[Place, int] = {}
        self._held: set[bytes] = set()

    def numbers(self) -> list[EndpointNumbers]:
        """Of every endpoint that it delivers to now."""
        return [
            EndpointNumbers(
                tenant_id,
                endpoint_id,
                relay.delivered_count,
                relay.failed_count,
                relay.open_count,
                relay.delivered_through_block,
            )
            for (tenant_id, endpoint_id), (relay, _) in self._running.items()
        ]

    def stop(self) -> None:
        """Have `run` come to its end."""
        self._stop.set()

    async def run(self) -> None:
        """Deliver until `stop`. A database that is away is waited for."""
        while not self._stop.is_set():
            try:
                await self._run_connected()
            except FAILURES as error:
                logger.warning("the relay lost its database and starts again: %s", error)
                await self._drop_all()
                await self._pause()
        self._pool.close()

    async def _run_connected(self) -> None:
        connection = await RelayConnection.open(self._database_url)
        heads = Heads(self._pool, poll_ms=limits.WEBHOOK_POLL_MS, waiters_max=WAITERS_MAX)
        means = Means(Feed(self._pool), heads, connection, self._key, self._allowed)
        logger.info("the relay is ready")
        try:
            while not self._stop.is_set():
                await self._look(means)
                await self._pause()
            await self._close_all()
        finally:
            heads.close()
            await connection.close()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), limits.RELAY_LOOK_SECONDS)

    async def _look(self, means: Means) -> None:
        """Take what nobody holds, hear of what has changed, start again what has failed."""
        wanted: set[Place] = set()
        for tenant_id in await means.connection.tenants():
            try:
                rows = await self._reads.endpoints(tenant_id)
            except TenantUnknown:
                continue  # suspended since
            if rows and tenant_id not in self._held:
                if not await means.connection.hold(tenant_id):
                    continue
                self._held.add(tenant_id)
                # Where another relay had it until now: what that one kept last.
                rows = await self._reads.endpoints(tenant_id)
            for row in rows:
                wanted.add((tenant_id, row.endpoint_id))
                await self._ensure(tenant_id, row, means)
        for place in self._running.keys() - wanted:
            self._end(place)
        for place in self._unserved.keys() - wanted:
            del self._unserved[place]
        # One that is ending may keep something yet, which only its holder may.
        for tenant_id in self._held - {tenant_id for tenant_id, _ in wanted | self._ending.keys()}:
            await means.connection.release(tenant_id)
            self._held.discard(tenant_id)

    async def _ensure(self, tenant_id: bytes, row: EndpointRow, means: Means) -> None:
        place = (tenant_id, row.endpoint_id)
        if place in self._ending or self._unserved.get(place) == row.revision:
            return
        found = self._running.get(place)
        if found is not None and found[1].done():
            relay, task = self._running.pop(place)
            error = None if task.cancelled() else task.exception()
            logger.error("webhook endpoint %s starts again: %r", row.endpoint_id, error)
            await relay.drop()
            found = None
        try:
            if found is not None:
                found[0].update(row)
                return
            relay = EndpointRelay(tenant_id, row, means)
        except ValueError as error:  # it may have a secret of our key at its next revision
            logger.error("webhook endpoint %s cannot be served: %s", row.endpoint_id, error)
            self._unserved[place] = row.revision
            if found is not None:
                self._end(place)
            return
        self._unserved.pop(place, None)
        self._running[place] = (relay, asyncio.create_task(relay.run()))

    def _end(self, place: Place) -> None:
        """Have an endpoint come to its end, which may take as long as it may take to answer."""
        ending = asyncio.create_task(_close(place, *self._running.pop(place)))
        self._ending[place] = ending
        ending.add_done_callback(lambda _: self._ending.pop(place))

    async def _close_all(self) -> None:
        for place in list(self._running):
            self._end(place)
        await asyncio.gather(*self._ending.values(), return_exceptions=True)
        self._held.clear()

    async def _drop_all(self) -> None:
        for ending in list(self._ending.values()):
            await _cancel(ending)
        for relay, task in self._running.values():
            await _cancel(task)
            await relay.drop()
        self._running.clear()
        self._unserved.clear()
        self._held.clear()


async def _close(place: Place, relay: EndpointRelay, task: asyncio.Task[None]) -> None:
    await _cancel(task)
    try:
        await relay.close()
    except FAILURES as error:
        logger.warning("webhook endpoint %s was not kept at its end: %s", place[1], error)
    finally:
        await relay.drop()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # it was told, or is of no more interest


async def run_until_stopped(relay: Relay) -> None:
    """Run a relay until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, relay.stop)
    await relay.run()
