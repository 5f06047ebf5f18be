"""Delivers one endpoint's entries: reads the chain, sends, tries again, keeps how far it has come.

Each endpoint has tasks, connections and a window of its own, so one that hangs or fails delays no
other. The clock and the dice are given, so that tests need not wait for three days.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Sequence
from random import SystemRandom
from typing import NamedTuple

import msgspec

from hpts.domain import limits
from hpts.domain.entries import format_timestamp
from hpts.domain.identifiers import UNIX_TO_2000_MICROSECONDS
from hpts.domain.webhooks import Network, retry_after_ms, sign
from hpts.http.webhook_secrets import WebhookKey
from hpts.relay.sender import Answer, Sender
from hpts.relay.window import Item, Window
from hpts.store.feed import Feed
from hpts.store.heads import Heads
from hpts.store.relay import KeptDelivery, RelayConnection
from hpts.store.webhooks import EndpointRow

FORGET_SECONDS = 3_600
BEFORE_ALL = (0, 0)
_dice = SystemRandom()


class JournalEntryPosted(msgspec.Struct, frozen=True):
    """The message."""

    journal_entry_id: str
    tenant_id: str
    event_type: str
    occurred_at: str
    correlation_id: str


class Means(NamedTuple):
    """What endpoints share."""

    feed: Feed
    heads: Heads
    connection: RelayConnection
    key: WebhookKey
    allowed: Sequence[Network]
    now: Callable[[], float] = time.time
    draw: Callable[[int], int] = _dice.randrange
    open_sender: Callable[[str, Sequence[Network]], Sender] = Sender


class EndpointRelay:
    """One endpoint. The counts go up for as long as it is held. Raises ValueError, also from
    `update`, where its secrets were sealed under another key."""

    def __init__(self, tenant_id: bytes, row: EndpointRow, means: Means) -> None:
        self._tenant_id = tenant_id
        self._tenant = str(uuid.UUID(bytes=tenant_id))
        self._means = means
        self._read_to = row.position
        self._window = Window(row.position)
        self._kept_at = row.position
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._sends: set[asyncio.Task[None]] = set()
        self._sends_max = limits.WEBHOOK_SENDS_AT_ONCE
        self._failure: BaseException | None = None
        self._is_closing = False
        self._hears_redrive = True
        self._restored_to: tuple[int, int] | None = None
        self.delivered_count = 0
        self.failed_count = 0
        self.row = row
        self._take_secrets()
        self._sender = means.open_sender(row.url, means.allowed)

    @property
    def open_count(self) -> int:
        return self._window.open_count

    @property
    def delivered_through_block(self) -> int:
        return self._kept_at.block_number

    def update(self, row: EndpointRow) -> None:
        """Take what may have changed of the endpoint: secrets, what is to be driven again."""
        self._hears_redrive = self._hears_redrive or row.revision != self.row.revision
        self.row = row
        self._take_secrets()

    def _take_secrets(self) -> None:
        key, row = self._means.key, self.row
        self._secret = key.open(self._tenant_id, row.sealed_secret)
        sealed, until = row.previous_sealed_secret, row.previous_secret_until
        self._previous = None if sealed is None else key.open(self._tenant_id, sealed)
        self._previous_until = ((until or 0) + UNIX_TO_2000_MICROSECONDS) / 1_000_000

    async def run(self) -> None:
        """Deliver until `close`, or until the task is cancelled. Raises ConnectionLost and what
        else the store raises, and whatever else ends it: then `drop` it and make it anew."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read())
            tasks.create_task(self._dispatch())
            tasks.create_task(self._keep())

    async def close(self) -> None:
        """Let what is on its way arrive, keep how far it has come, close the connections."""
        self._is_closing = True
        if self._sends:
            await asyncio.wait(self._sends, timeout=limits.WEBHOOK_SECONDS_MAX)
        await self._settle()
        await self._sender.close()

    async def drop(self) -> None:
        """Close the connections without keeping anything: somebody else may hold the tenant."""
        self._is_closing = True
        for task in self._sends:
            task.cancel()
        await self._sender.close()

    async def _read(self) -> None:
        means, tenant_id = self._means, self._tenant_id
        while True:
            if self._hears_redrive:
                self._hears_redrive = False
                self._restored_to = BEFORE_ALL
                await self._bring_forward()
            count = min(self._window.room, limits.WEBHOOK_PAGE_MAX)
            if not count:
                self._room.clear()
                await self._pause(self._room, 1)
                continue
            if self._restored_to is not None:
                self._restored_to = await self._restore(self._restored_to, count)
                continue
            headlines, end = await means.feed.headlines(tenant_id, self._read_to, count)
            if end == self._read_to:
                await means.heads.wait_past(tenant_id, end.block_number, 1)
                continue
            wanted = self.row.event_types
            self._window.add(
                (one for one in headlines if not wanted or one.event_type in wanted), end
            )
            self._read_to = end
            self._wake.set()

    async def _bring_forward(self) -> None:
        """Hear what of the window is driven again, however full it is."""
        entry_ids = self._window.put_off_ids()
        if entry_ids:
            self._window.bring_forward(
                await self._means.feed.next_attempts(
                    self._tenant_id, self.row.endpoint_id, entry_ids
                )
            )
            self._wake.set()

    async def _restore(self, after: tuple[int, int], count: int) -> tuple[int, int] | None:
        """Take what webhook_deliveries has open after a place, at most so many; the place behind
        them, or None where there are no more. All of it comes before the chain is read on, or
        later entries of its loans would overtake it."""
        rows = await self._means.feed.open_deliveries(
            self._tenant_id, self.row.endpoint_id, after, count
        )
        items = []
        for row in rows:
            item = Item(row.headline)
            item.status = "retrying" if row.next_attempt_at is not None else "held"
            item.attempt_count = row.attempt_count
            item.first_attempt_at = row.first_attempt_at
            item.next_attempt_at = row.next_attempt_at
            items.append(item)
        self._window.restore(items)
        self._wake.set()
        if len(rows) < count:
            return None
        last = rows[-1].headline.position
        return last.block_number, last.entry_count

    async def _dispatch(self) -> None:
        window, now = self._window, self._means.now
        while True:
            self._wake.clear()
            if self._failure is not None:
                raise self._failure  # its entry would be on its way for ever
            while len(self._sends) < self._sends_max and not self._is_closing:
                item = window.take(now())
                if item is None:
                    break
                task = asyncio.create_task(self._send(item))
                self._sends.add(task)
                task.add_done_callback(self._sent)
            due = window.next_at()
            await self._pause(self._wake, 1 if due is None else min(1, max(0.005, due - now())))

    async def _pause(self, event: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # wait_for may swallow a cancellation
                await event.wait()

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
        self._wake.set()
        self._room.set()

    async def _send(self, item: Item) -> None:
        now, headline = self._means.now(), item.headline
        message = JournalEntryPosted(
            headline.entry_id,
            self._tenant,
            headline.event_type,
            format_timestamp(headline.posted_at),
            headline.correlation_id,
        )
        body = msgspec.json.encode(message)
        answer = await self._sender.send(self._headers(headline.entry_id, int(now), body), body)
        self._note(item, answer, now)

    def _headers(self, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
        secrets = [self._secret]
        if self._previous is not None and timestamp < self._previous_until:
            secrets.append(self._previous)
        return {
            "content-type": "application/json",
            "user-agent": "hpts",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(secrets, message_id, timestamp, body),
        }

    def _note(self, item: Item, answer: Answer, began_at: float) -> None:
        now = self._means.now()
        item.attempt_count += 1
        item.last_attempt_at = now
        item.response_status, item.error = answer.status, answer.error
        if item.first_attempt_at is None:
            item.first_attempt_at = began_at
        if answer.error is None:
            self.delivered_count += 1
            self._sends_max = min(limits.WEBHOOK_SENDS_AT_ONCE, self._sends_max + 1)
            self._window.finish(item, "delivered")
            return
        self.failed_count += 1
        self._sends_max = max(limits.WEBHOOK_SENDS_AT_ONCE_MIN, self._sends_max // 2)
        if now - item.first_attempt_at >= limits.WEBHOOK_RETRY_SECONDS_MAX:
            self._window.finish(item, "parked")
            return
        wait_ms = retry_after_ms(item.attempt_count, self._means.draw(1_000))
        self._window.put_off(item, now + wait_ms / 1_000)

    async def _keep(self) -> None:
        forget_at = 0.0
        while True:
            await asyncio.sleep(limits.WEBHOOK_FLUSH_MS / 1_000)
            await self._settle()
            if time.monotonic() >= forget_at:
                forget_at = time.monotonic() + FORGET_SECONDS
                await self._means.connection.forget(self._tenant_id, self.row.endpoint_id)

    async def _settle(self) -> None:
        position, changed = self._window.settle()
        if position == self._kept_at and not changed:
            return
        kept = [
            KeptDelivery(
                item.headline,
                item.status,
                item.attempt_count,
                item.first_attempt_at,
                item.last_attempt_at,
                item.next_attempt_at if item.status == "retrying" else None,
                item.response_status,
                item.error,
            )
            for item in changed
        ]
        try:
            await self._means.connection.keep(self._tenant_id, self.row.endpoint_id, position, kept)
        except BaseException:
            self._window.unsettle(changed)  # or the cursor would move over them without them
            raise
        self._kept_at = position
