"""An attempt to connect that fails or is given up leaves nothing open, though nobody collects."""

import asyncio
import gc
import os
import re
import socket
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import psycopg
import pytest

import hpts.store
from hpts.store.admin_requests import AdminRequests
from hpts.store.connecting import connect, connect_async
from hpts.store.silence import Backend, is_at_work
from hpts.store.wire import ConnectFailed, ConnectionLost, Wire

GIVEN_UP_SECONDS = 0.2


@pytest.fixture
def silent_url() -> Iterator[str]:
    """Of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        yield f"host={host} port={port} user=nobody dbname=nothing"


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def open_sockets() -> int:
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += "socket" in os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # of listing them
            continue
    return found


async def by_wire(url: str) -> None:
    with pytest.raises(ConnectFailed):
        await Wire.connect(url, ["begin_writing"])


async def by_probe(url: str) -> None:
    assert await is_at_work(Backend(f"{url} connect_timeout=2", 1)) is None


async def by_command(url: str) -> None:
    with pytest.raises(ConnectionLost):
        async with AdminRequests(url).transaction(uuid.uuid4().bytes):
            pass


async def by_timeout(url: str) -> None:
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        await connect_async(url, connect_timeout=2)


async def by_being_cancelled(url: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(GIVEN_UP_SECONDS):
            await connect_async(url)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("attempt", [by_wire, by_probe, by_command, by_timeout, by_being_cancelled])
def test_an_attempt_that_ends_in_vain_closes_its_socket(
    silent_url: str, attempt: Callable[[str], Awaitable[None]]
) -> None:
    async def attempt_twice() -> tuple[int, int]:
        before = open_sockets()
        await asyncio.gather(attempt(silent_url), attempt(silent_url))
        return before, open_sockets()

    before, after = asyncio.run(attempt_twice())
    assert after == before


@pytest.mark.usefixtures("no_collector")
def test_an_attempt_without_a_loop_closes_its_socket_too(silent_url: str) -> None:
    before = open_sockets()
    with pytest.raises(psycopg.errors.ConnectionTimeout, match="connection timeout expired"):
        connect(silent_url, connect_timeout=2)
    assert open_sockets() == before


def test_nothing_in_the_store_connects_otherwise() -> None:
    folder = Path(hpts.store.__file__).parent
    others = [
        path.name
        for path in folder.glob("*.py")
        if re.search(r"psycopg\.(AsyncConnection\.)?connect\(", path.read_text())
    ]
    assert others == ["connecting.py"]
