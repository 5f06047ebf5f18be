"""One endpoint's relay over real tables, with a sender that notes what it is given: what was parked
comes back whole, in order and within the window; what is unexpected ends it."""

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from hpts.domain import limits
from hpts.http.webhook_secrets import WebhookKey
from hpts.relay.endpoint import EndpointRelay, Means
from hpts.relay.sender import Answer, Sender
from hpts.store.feed import Feed, Position
from hpts.store.heads import Heads
from hpts.store.pool import Pool
from hpts.store.relay import KeptDelivery, RelayConnection
from hpts.store.webhooks import EndpointRow, WebhookReads
from tests.store.ledger_fixture import disbursement, payment

from .world import World, opened

OPEN_MAX = 8
TAKEN, REFUSED = Answer(200, None), Answer(503, "answered 503")


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with opened(database_url, tmp_path) as found:
        yield found


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_OPEN_MAX", OPEN_MAX)
    monkeypatch.setattr(limits, "WEBHOOK_PAGE_MAX", 3)
    monkeypatch.setattr(limits, "WEBHOOK_FLUSH_MS", 10)


class Recorder:
    """In the place of the sender."""

    def __init__(self, answer: Answer | Exception) -> None:
        self.answer = answer
        self.arrived: list[str] = []
        self.open_counts: list[int] = []
        self.opened_count = 0
        self.relay: EndpointRelay | None = None

    def open(self, *_: Any) -> Sender:
        self.opened_count += 1
        return cast("Sender", self)

    async def send(self, headers: Mapping[str, str], body: bytes) -> Answer:
        await asyncio.sleep(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        self.arrived.append(json.loads(body)["journal_entry_id"])
        assert self.relay is not None
        self.open_counts.append(self.relay.open_count)
        return self.answer

    async def close(self) -> None:
        pass


class Bench:
    """What relays of endpoints need, in one event loop."""

    def __init__(self, world: World, connection: RelayConnection, pool: Pool) -> None:
        self._tenant_id = world.books.tenant_id.bytes
        self._reads = WebhookReads(pool)
        self.heads = Heads(pool, poll_ms=5, waiters_max=100)
        self.means = Means(Feed(pool), self.heads, connection, world.key, [])

    async def row(self, endpoint_id: uuid.UUID) -> EndpointRow:
        (row,) = await self._reads.endpoints(self._tenant_id, endpoint_id.bytes)
        return row

    @asynccontextmanager
    async def running(
        self, endpoint_id: uuid.UUID, recorder: Recorder
    ) -> AsyncIterator[EndpointRelay]:
        means = self.means._replace(open_sender=recorder.open)
        relay = EndpointRelay(self._tenant_id, await self.row(endpoint_id), means)
        recorder.relay = relay
        task = asyncio.create_task(relay.run())
        try:
            yield relay
        finally:
            task.cancel()
            await asyncio.wait([task])
        await relay.close()


def on_bench(world: World, test: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        pool = Pool.of_readers(world.database_url, 2, waiters_max=100)
        connection = await RelayConnection.open(world.database_url)
        bench = Bench(world, connection, pool)
        try:
            await test(bench)
        finally:
            bench.heads.close()
            await connection.close()
            pool.close()

    asyncio.run(run())


async def until(true: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(20):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"waited in vain: {what}")


def post_rounds(world: World, loans: list[uuid.UUID], rounds: int) -> dict[uuid.UUID, list[str]]:
    by_loan: dict[uuid.UUID, list[str]] = {loan: [] for loan in loans}
    for commands in itertools.chain(
        [[disbursement(loan, 1_000) for loan in loans]],
        ([payment(loan, 1) for loan in loans] for _ in range(rounds)),
    ):
        for loan, entry in zip(loans, world.books.post(*commands), strict=True):
            by_loan[loan].append(str(entry))
    return by_loan


def check_order(arrived: list[str], by_loan: dict[uuid.UUID, list[str]]) -> None:
    for entries in by_loan.values():
        assert [entry for entry in dict.fromkeys(arrived) if entry in entries] == entries


async def park_all(
    world: World, bench: Bench, endpoint_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> dict[uuid.UUID, list[str]]:
    """Eight times as many as may be open are posted, refused and parked."""
    by_loan = await asyncio.to_thread(post_rounds, world, [uuid.uuid4() for _ in range(4)], 15)
    recorder = Recorder(REFUSED)
    with monkeypatch.context() as short:
        short.setattr(limits, "WEBHOOK_RETRY_SECONDS_MAX", 0)
        async with bench.running(endpoint_id, recorder):
            await until(lambda: len(recorder.arrived) == 8 * OPEN_MAX, "the refusals")
    rows = await asyncio.to_thread(world.deliveries, endpoint_id)
    assert [row.status for row in rows] == ["parked"] * 8 * OPEN_MAX
    return by_loan


def test_all_that_was_parked_comes_before_what_is_posted_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint_id, _ = world.endpoint("https://192.0.2.1/")

    async def check(bench: Bench) -> None:
        by_loan = await park_all(world, bench, endpoint_id, monkeypatch)
        assert await asyncio.to_thread(world.redrive, endpoint_id) == 8 * OPEN_MAX
        later = await asyncio.to_thread(
            world.books.post, *(payment(loan, 2) for loan in reversed(by_loan))
        )
        for loan, entry in zip(reversed(by_loan), later, strict=True):
            by_loan[loan].append(str(entry))
        recorder = Recorder(TAKEN)
        async with bench.running(endpoint_id, recorder):
            wanted = {entry for entries in by_loan.values() for entry in entries}
            await until(lambda: wanted <= set(recorder.arrived), "every entry")
        check_order(recorder.arrived, by_loan)
        assert max(recorder.open_counts) <= OPEN_MAX
        rows = await asyncio.to_thread(world.deliveries, endpoint_id)
        assert {row.status for row in rows} == {"delivered"}

    on_bench(world, check)


def test_a_relay_that_runs_hears_of_all_that_is_driven_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint_id, _ = world.endpoint("https://192.0.2.1/")

    async def check(bench: Bench) -> None:
        by_loan = await park_all(world, bench, endpoint_id, monkeypatch)
        recorder = Recorder(TAKEN)
        async with bench.running(endpoint_id, recorder) as relay:
            await asyncio.to_thread(world.redrive, endpoint_id)
            relay.update(await bench.row(endpoint_id))
            await until(lambda: len(set(recorder.arrived)) == 8 * OPEN_MAX, "every entry")
        check_order(recorder.arrived, by_loan)

    on_bench(world, check)


def test_what_waits_in_a_full_window_is_tried_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_RETRY_MS_MIN", limits.WEBHOOK_RETRY_MS_MAX)
    endpoint_id, _ = world.endpoint("https://192.0.2.1/")
    entries = world.books.post(*(disbursement(uuid.uuid4(), 5) for _ in range(2 * OPEN_MAX)))

    async def check(bench: Bench) -> None:
        recorder = Recorder(REFUSED)
        async with bench.running(endpoint_id, recorder) as relay:
            await until(lambda: len(recorder.arrived) == OPEN_MAX, "the refusals")
            rows: list[Any] = []
            while len(rows) < OPEN_MAX:
                rows = await asyncio.to_thread(world.deliveries, endpoint_id)
            recorder.answer, recorder.arrived = TAKEN, []
            assert await asyncio.to_thread(world.redrive, endpoint_id) == OPEN_MAX
            relay.update(await bench.row(endpoint_id))
            await until(
                lambda: {str(entry) for entry in entries} == set(recorder.arrived), "every entry"
            )

    on_bench(world, check)


class Skipped:
    """A clock that stands still while there is something to do, and then is where the next attempt
    is due."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1_800_000_000.0
        clock = self

        async def pause(relay: EndpointRelay, event: asyncio.Event, _: float) -> None:
            due = relay._window.next_at()
            if event is relay._wake and due is not None and not relay._sends:
                clock.seconds = max(clock.seconds, due)
            await asyncio.sleep(0)

        monkeypatch.setattr(EndpointRelay, "_pause", pause)

    def now(self) -> float:
        return self.seconds


class Refusing(Recorder):
    """Notes when each was tried."""

    def __init__(self, answer: Answer, clock: Skipped) -> None:
        super().__init__(answer)
        self.clock = clock
        self.tried: dict[str, list[float]] = {}

    async def send(self, headers: Mapping[str, str], body: bytes) -> Answer:
        self.tried.setdefault(headers["webhook-id"], []).append(self.clock.now())
        return await super().send(headers, body)


@pytest.mark.parametrize(
    "answer",
    [Answer(410, "answered 410"), Answer(400, "answered 400"), Answer(None, "no answer in time")],
    ids=["gone", "refused", "hangs"],
)
def test_an_endpoint_that_takes_nothing_is_tried_ever_more_rarely_for_three_days(
    world: World, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    endpoint_id, _ = world.endpoint("https://192.0.2.1/")
    world.books.post(*(disbursement(uuid.uuid4(), 5) for _ in range(OPEN_MAX)))

    async def check(bench: Bench) -> None:
        clock = Skipped(monkeypatch)
        bench.means = bench.means._replace(now=clock.now)
        recorder = Refusing(answer, clock)
        tried = recorder.tried
        async with bench.running(endpoint_id, recorder) as relay:
            await until(lambda: len(tried) == OPEN_MAX and not relay.open_count, "the end")
        for times in tried.values():
            waits = [after - before for before, after in itertools.pairwise(times)]
            whole = [min(3_600, 2**count) for count in range(len(waits))]
            for wait, each in zip(waits, whole, strict=True):
                assert each / 2 - 0.01 <= wait <= each + 0.01
            assert times[-2] - times[0] < limits.WEBHOOK_RETRY_SECONDS_MAX <= times[-1] - times[0]
        assert len({times[20] - times[0] for times in tried.values()}) == OPEN_MAX, "no jitter"
        rows = await asyncio.to_thread(world.deliveries, endpoint_id)
        assert [(row.status, row.response_status) for row in rows] == [
            ("parked", answer.status)
        ] * OPEN_MAX

    on_bench(world, check)


class Crowd(Recorder):
    """Takes its time with each, and notes how many there are at once."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.count = 0
        self.counts: list[int] = []

    async def send(self, headers: Mapping[str, str], body: bytes) -> Answer:
        self.count += 1
        self.counts.append(self.count)
        await asyncio.sleep(0.01)
        self.count -= 1
        return await super().send(headers, body)


def test_an_endpoint_that_takes_nothing_gets_few_requests_at_once_until_it_takes_some(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WEBHOOK_RETRY_MS_MIN", limits.WEBHOOK_RETRY_MS_MAX)
    monkeypatch.setattr(limits, "WEBHOOK_OPEN_MAX", 100)
    monkeypatch.setattr(limits, "WEBHOOK_PAGE_MAX", 100)
    endpoint_id, _ = world.endpoint("https://192.0.2.1/")
    world.books.post(*(disbursement(uuid.uuid4(), 5) for _ in range(100)))

    async def check(bench: Bench) -> None:
        crowd = Crowd(REFUSED)
        async with bench.running(endpoint_id, crowd) as relay:
            await until(lambda: len(crowd.counts) >= 100, "the refusals")
            assert max(crowd.counts) == limits.WEBHOOK_SENDS_AT_ONCE
            assert max(crowd.counts[50:]) == limits.WEBHOOK_SENDS_AT_ONCE_MIN
            rows: list[Any] = []
            while len(rows) < 100:
                rows = await asyncio.to_thread(world.deliveries, endpoint_id)
            crowd.answer, crowd.counts = TAKEN, []
            await asyncio.to_thread(world.redrive, endpoint_id)
            relay.update(await bench.row(endpoint_id))
            await until(lambda: relay.open_count == 0, "every entry")
            assert max(crowd.counts) > limits.WEBHOOK_SENDS_AT_ONCE / 2

    on_bench(world, check)


class Interrupted:
    """A connection whose first transaction is cancelled at a stop."""

    def __init__(self) -> None:
        self.kept: list[list[str]] = []

    async def keep(
        self, tenant_id: bytes, endpoint_id: str, position: Position, kept: list[KeptDelivery]
    ) -> None:
        self.kept.append([one.headline.entry_id for one in kept])
        if len(self.kept) == 1:
            await asyncio.sleep(3_600)

    async def forget(self, tenant_id: bytes, endpoint_id: str) -> None:
        pass


def test_what_a_stop_keeps_from_being_kept_is_kept_at_the_end(world: World) -> None:
    endpoint_id, _ = world.endpoint("https://192.0.2.1/")
    (entry,) = world.books.post(disbursement(uuid.uuid4(), 5))

    async def check(bench: Bench) -> None:
        interrupted = Interrupted()
        bench.means = bench.means._replace(connection=cast("RelayConnection", interrupted))
        async with bench.running(endpoint_id, Recorder(REFUSED)):
            await until(lambda: len(interrupted.kept) == 1, "the transaction")
        assert interrupted.kept[-1] == [str(entry)]
        assert len(interrupted.kept) == 2

    on_bench(world, check)


def test_what_is_unexpected_of_a_send_ends_the_endpoint_aloud(world: World) -> None:
    endpoint_id, _ = world.endpoint("https://192.0.2.1/")
    world.books.post(disbursement(uuid.uuid4(), 5))

    async def check(bench: Bench) -> None:
        means = bench.means._replace(open_sender=Recorder(LookupError("nobody knew")).open)
        row = await bench.row(endpoint_id)
        relay = EndpointRelay(world.books.tenant_id.bytes, row, means)
        with pytest.raises(ExceptionGroup) as raised:
            await asyncio.wait_for(relay.run(), 10)
        assert raised.group_contains(LookupError, match="nobody knew")
        await relay.drop()

    on_bench(world, check)


def test_nothing_is_opened_for_an_endpoint_whose_secret_does_not_open(world: World) -> None:
    endpoint_id, _ = world.endpoint("https://192.0.2.1/")

    async def check(bench: Bench) -> None:
        recorder = Recorder(TAKEN)
        means = bench.means._replace(open_sender=recorder.open, key=WebhookKey(bytes(32)))
        row = await bench.row(endpoint_id)
        with pytest.raises(ValueError, match="another key"):
            EndpointRelay(world.books.tenant_id.bytes, row, means)
        assert recorder.opened_count == 0

    on_bench(world, check)
