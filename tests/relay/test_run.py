"""A relay of many endpoints: what befalls one is that one's affair."""

import asyncio
import ipaddress
import os
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from hpts.http.webhook_secrets import WebhookKey
from hpts.relay.endpoint import EndpointRelay
from hpts.relay.run import Relay
from hpts.relay.sender import Answer, Sender
from tests.store.ledger_fixture import disbursement

from .world import Receiver, World, opened, wait_until


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with opened(database_url, tmp_path) as found:
        yield found


@contextmanager
def relaying(world: World) -> Iterator[None]:
    """A relay in a thread of this process."""
    made: list[tuple[Relay, asyncio.AbstractEventLoop]] = []

    async def run() -> None:
        relay = Relay(world.database_url, world.key, [ipaddress.ip_network("127.0.0.0/8")])
        made.append((relay, asyncio.get_running_loop()))
        await relay.run()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    try:
        wait_until(lambda: bool(made), "the relay")
        yield
    finally:
        for relay, loop in made:
            loop.call_soon_threadsafe(relay.stop)
        thread.join(30)
        assert not thread.is_alive()


def check_arrival(world: World, *receivers: Receiver) -> None:
    (entry,) = world.books.post(disbursement(uuid.uuid4(), 5))
    for receiver in receivers:
        wait_until(lambda: str(entry) in receiver.accepted(), "the entry")  # noqa: B023


def seal_anew(world: World, endpoint_id: uuid.UUID, key: WebhookKey) -> None:
    world.books.tamper(
        "UPDATE webhook_endpoints SET sealed_secret = %(sealed)s, revision = revision + 1"
        " WHERE tenant_id = %(tenant)s AND endpoint_id = %(endpoint)s",
        sealed=key.seal(world.books.tenant_id.bytes, os.urandom(32)),
        endpoint=endpoint_id,
    )


def test_a_secret_of_another_key_ends_its_endpoint_only_until_it_has_one_of_ours(
    world: World,
) -> None:
    well, foreign = world.receiver(), world.receiver()
    world.endpoint(well.url)
    endpoint_id, _ = world.endpoint(foreign.url)
    world.relay()
    log = world.folder / "relay.log"
    check_arrival(world, well, foreign)
    seal_anew(world, endpoint_id, WebhookKey(bytes(32)))
    message = f"webhook endpoint {endpoint_id} cannot be served"
    wait_until(lambda: message in log.read_text(), "the message")
    for _ in range(3):
        check_arrival(world, well)
    seal_anew(world, endpoint_id, world.key)
    wait_until(lambda: len(foreign.accepted()) == 4, "what waited in the chain")
    check_arrival(world, well, foreign)
    text = log.read_text()
    assert text.count(message) == 1, text
    assert "the relay lost its database" not in text


def test_an_endpoint_that_failed_starts_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, failures = Sender.send, [LookupError("nobody knew")]

    async def send_or_fail(sender: Sender, headers: Mapping[str, str], body: bytes) -> Answer:
        if failures and sender.url == receiver.url:
            raise failures.pop()
        return await send(sender, headers, body)

    monkeypatch.setattr(Sender, "send", send_or_fail)
    receiver = world.receiver()
    world.endpoint(receiver.url)
    with relaying(world):
        check_arrival(world, receiver)
    assert not failures


def test_an_endpoint_that_ends_slowly_delays_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, is_ending, may_end = EndpointRelay.close, threading.Event(), threading.Event()

    async def close_slowly(relay: EndpointRelay) -> None:
        is_ending.set()
        while not may_end.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await close(relay)

    monkeypatch.setattr(EndpointRelay, "close", close_slowly)
    ending, coming = world.receiver(), world.receiver()
    endpoint_id, _ = world.endpoint(ending.url)
    with relaying(world):
        try:
            check_arrival(world, ending)
            world.delete(endpoint_id)
            assert is_ending.wait(60)
            world.endpoint(coming.url)
            check_arrival(world, coming)
        finally:
            may_end.set()
