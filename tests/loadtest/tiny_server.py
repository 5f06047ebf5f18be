"""A tiny HTTP server whose every answer a test decides, to see what a client makes of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple


class Received(NamedTuple):
    head: bytes
    body: bytes
    number: int
    """From 0, in the order of arrival."""


Answering = Callable[[Received], Awaitable[bytes | None]]


def reply(status: int, body: bytes = b"{}", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n%b" % (status, more, len(body), body)


@asynccontextmanager
async def tiny_server(answering: Answering) -> AsyncIterator[tuple[str, list[Received]]]:
    """Its URL and what it has received. An answer of None ends the connection."""
    received: list[Received] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                request = Received(head, await reader.readexactly(length), len(received))
                received.append(request)
                answer = await answering(request)
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", received
    finally:
        server.close()
