"""Streams over real sockets: as far ahead of the client as they may be, whole or noticeably not.

The server here takes whatever it is given, as granian does: nothing but the connection itself can
tell how far the client is.
"""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from hpts.domain.limits import STREAMS_MAX, STREAMS_PER_TENANT_MAX
from hpts.http import streams
from hpts.http.connection import find_connection
from hpts.http.messages import StreamedResponse
from hpts.http.problems import ProblemRaised
from hpts.http.streams import ClientGone, Streams

CHUNK = b"x" * 16_384
AHEAD = 64 * 1024
KERNEL_BYTES_MAX = 512 * 1024
"""More than both kernels' buffers hold of a client with a small receive buffer."""


class Caller(NamedTuple):
    """What a stream needs of a request."""

    client_address: tuple[str, int]
    tenant: bytes = b"t" * 16
    trace_id: str = "ab" * 16

    def client(self) -> Any:
        class Principal:
            tenant_id = self.tenant

        return Principal


class Source:
    """Chunks, counted as they are made, and whether it was closed."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.made = 0
        self.is_closed = False
        self.chunks = self._chunks(count, error)

    async def _chunks(self, count: int, error: Exception | None) -> AsyncGenerator[bytes, None]:
        try:
            for _ in range(count):
                self.made += 1
                yield CHUNK
            if error is not None:
                raise error
        finally:
            self.is_closed = True


Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Source], Awaitable[None]]


def run(source: Source, client: Client, **bounds: float) -> str | None:
    """What became of a stream of the source to the client. The server closes in good order behind
    what came out well, and behind what did not too, as granian does."""
    bounds = {"bytes_ahead_max": AHEAD, "seconds_max": 20, "stall_seconds_max": 20} | bounds
    made = Streams(**bounds)  # type: ignore[arg-type]

    async def scenario() -> str | None:
        outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async def send(chunk: bytes) -> None:
                writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))  # and no drain

            caller: Any = Caller(writer.get_extra_info("peername")[:2])
            made.admit(caller)
            response = StreamedResponse(200, b"", [], chunks=source.chunks)
            outcome.set_result(await made.run(caller, response, send))
            writer.write(b"0\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        small.connect(server.sockets[0].getsockname())
        reader, writer = await asyncio.open_connection(sock=small, limit=1_024)
        await client(reader, writer, source)
        found = await asyncio.wait_for(outcome, 20)
        writer.close()
        server.close()
        return found

    found = asyncio.run(scenario())
    assert source.is_closed, "what it reads from is let go"
    return found


async def read_all(reader: asyncio.StreamReader, _: asyncio.StreamWriter, source: Source) -> None:
    received = bytearray()
    while piece := await reader.read(65_536):
        received += piece
    assert received.count(b"x") == source.made * len(CHUNK)
    assert received.endswith(b"0\r\n\r\n")


def test_a_client_that_reads_gets_all() -> None:
    assert run(Source(300), read_all) is None


async def until_still(source: Source) -> None:
    """Return when no chunk was made for a while."""
    before = -1
    while source.made != before:
        before = source.made
        await asyncio.sleep(0.3)


def test_no_more_is_made_than_the_client_takes() -> None:
    async def client(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: Source
    ) -> None:
        await until_still(source)
        assert 0 < source.made * len(CHUNK) < AHEAD + KERNEL_BYTES_MAX
        await read_all(reader, writer, source)

    assert run(Source(2_000), client) is None


def test_a_client_that_takes_nothing_is_cut_off() -> None:
    async def client(reader: asyncio.StreamReader, _: asyncio.StreamWriter, source: Source) -> None:
        await until_still(source)
        await asyncio.sleep(1)
        await check_cut(reader)

    assert run(Source(2_000), client, stall_seconds_max=0.5) == streams.CLIENT_SLOW


async def check_cut(reader: asyncio.StreamReader) -> None:
    """The connection ends without the end of a chunked body."""
    received = bytearray()
    try:
        while piece := await reader.read(65_536):
            received += piece
    except ConnectionError:
        return
    assert not received.endswith(b"0\r\n\r\n")


def test_a_stream_takes_no_longer_than_it_may() -> None:
    async def client(reader: asyncio.StreamReader, _: asyncio.StreamWriter, source: Source) -> None:
        deadline = time.monotonic() + 1.5
        while time.monotonic() < deadline:  # slow, but never still
            await reader.read(1_024)
            await asyncio.sleep(0.01)
        await check_cut(reader)

    assert run(Source(2_000), client, seconds_max=0.8) == streams.CLIENT_SLOW


def test_a_client_that_hangs_up_ends_what_it_asked_for() -> None:
    async def client(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: Source
    ) -> None:
        await reader.read(1_024)
        writer.close()

    source = Source(20_000)
    assert run(source, client) == streams.CLIENT_GONE
    assert source.made < 20_000


def test_a_stream_that_fails_does_not_look_whole() -> None:
    async def client(reader: asyncio.StreamReader, _: asyncio.StreamWriter, source: Source) -> None:
        await check_cut(reader)

    failing = Source(3, RuntimeError("the database is away"))
    assert run(failing, client) == streams.STREAM_FAILED


def test_a_server_that_says_so_ends_it_too() -> None:
    source = Source(3)

    async def send(chunk: bytes) -> None:
        raise ClientGone

    async def scenario() -> str | None:
        made = Streams()
        caller: Any = Caller(("", 0))
        made.admit(caller)
        return await made.run(caller, StreamedResponse(200, b"", [], chunks=source.chunks), send)

    assert asyncio.run(scenario()) == streams.CLIENT_GONE
    assert source.is_closed


def test_streams_are_few_of_a_tenant_and_few_at_all() -> None:
    made = Streams()
    for tenant in range(STREAMS_MAX // STREAMS_PER_TENANT_MAX):
        caller: Any = Caller(("", 0), bytes([tenant]))
        for _ in range(STREAMS_PER_TENANT_MAX):
            made.admit(caller)
        with pytest.raises(ProblemRaised, match="overloaded"):
            made.admit(caller)
    stranger: Any = Caller(("", 0), b"another")
    with pytest.raises(ProblemRaised, match="overloaded"):
        made.admit(stranger)


def test_a_place_is_given_back_however_a_stream_ends() -> None:
    async def send(chunk: bytes) -> None:
        return None

    async def scenario() -> None:
        made = Streams()
        caller: Any = Caller(("", 0))
        for error in (None, RuntimeError(), None, RuntimeError(), None):
            made.admit(caller)
            source = Source(2, error)
            found = await made.run(
                caller, StreamedResponse(200, b"", [], chunks=source.chunks), send
            )
            assert found == (None if error is None else streams.STREAM_FAILED)

    asyncio.run(scenario())


def test_a_connection_is_found_by_its_other_end_and_let_go_unharmed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        with client, accepted:
            accepted.sendall(b"before")
            found = find_connection(*client.getsockname())
            assert found is not None
            assert found.is_open
            accepted.sendall(b"12345")
            while found.bytes_taken < 5:
                time.sleep(0.001)
            assert found.bytes_taken == 5
            found.close()
            accepted.sendall(b"!")
            received = b""
            while not received.endswith(b"!"):
                received += client.recv(100)
            assert find_connection("127.0.0.1", 1) is None
            again = find_connection(*client.getsockname())
            assert again is not None
            again.break_off()
            again.close()
            assert client.recv(100) == b"", "the other end is told"
