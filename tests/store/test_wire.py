"""A wire learns of the end of its connection, whatever arrives together with it."""

import asyncio
import time
import uuid

import psycopg
import pytest
import uvloop

from hpts.store.statements import WRITER_STATEMENTS
from hpts.store.wire import ConnectionLost, Step, Wire
from tests.faults.background import Background
from tests.faults.proxy import Proxy

LEARN_SECONDS_MAX = 5.0
LONG = b"k" * 500_000  # more than the server reads at once: the rest is unread when it ends


def terminate_others(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_server_that_ends_with_requests_unread_is_noticed_at_once(own_database_url, run) -> None:
    """Its last words and the reset come as one event, after which uvloop watches no more."""
    tenant_id = uuid.uuid4()
    steps = [
        Step("begin_writing"),
        Step("enter_tenant", (str(tenant_id).encode(),)),
        Step("read_entry_to_reverse", (tenant_id.bytes, tenant_id.bytes)),
        *[Step("enter_tenant", (LONG,))] * 8,
    ]

    async def scenario() -> float:
        wire = await Wire.connect(own_database_url, (*WRITER_STATEMENTS, "enter_tenant"))
        with psycopg.connect(own_database_url) as holder:
            holder.execute("LOCK TABLE journal_entries IN ACCESS EXCLUSIVE MODE")
            running = asyncio.create_task(wire.run(steps))
            await asyncio.sleep(0.3)
            started = time.monotonic()
            await asyncio.to_thread(terminate_others, holder)
            with pytest.raises(ConnectionLost):
                await asyncio.wait_for(running, 2 * LEARN_SECONDS_MAX)
        assert wire.is_broken
        return time.monotonic() - started

    assert run(scenario()) < LEARN_SECONDS_MAX


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_an_idle_wire_whose_server_ended_is_broken_before_it_is_used(own_database_url, run) -> None:
    async def scenario() -> bool:
        wire = await Wire.connect(own_database_url, (*WRITER_STATEMENTS, "enter_tenant"))
        with psycopg.connect(own_database_url) as other:
            await asyncio.to_thread(terminate_others, other)
        deadline = time.monotonic() + LEARN_SECONDS_MAX
        while not wire.is_broken and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return wire.is_broken

    assert run(scenario())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_reset_that_comes_with_the_whole_answer_is_noticed(own_database_url, run) -> None:
    """Else the wire would look sound, and whoever used it next would wait for its timer (40 s)."""

    async def scenario(background: Background, proxy: Proxy) -> bool:
        wire = await Wire.connect(proxy.database_url, (*WRITER_STATEMENTS, "enter_tenant"))
        running = asyncio.create_task(wire.run([Step("enter_tenant", (b"none",))]))
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251  (nothing is read until both are there)
        background.call(proxy.cut_all)
        time.sleep(0.1)  # noqa: ASYNC251
        assert await running == [[(b"none",)]]
        deadline = time.monotonic() + LEARN_SECONDS_MAX
        while not wire.is_broken and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return wire.is_broken

    with Background() as background:
        proxy = Proxy(own_database_url)
        proxy.resets = True
        background.run(proxy.start())
        assert run(scenario(background, proxy))
        background.run(proxy.stop())
