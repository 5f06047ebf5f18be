"""Answers that are sent portion by portion, as fast as the client reads, and bounded in number and
time.

Each portion is made when the one before is on its way, so a slow client holds a place here and no
query. What fails on the way breaks the connection off: a file that was cut must not look whole.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable

from hpts.domain.limits import (
    STREAM_BYTES_AHEAD_MAX,
    STREAM_SECONDS_MAX,
    STREAM_STALL_SECONDS_MAX,
    STREAMS_MAX,
    STREAMS_PER_TENANT_MAX,
)
from hpts.http.connection import Connection, find_connection
from hpts.http.messages import Request, StreamedResponse
from hpts.http.problems import ProblemRaised
from hpts.telemetry import logger

LOOK_SECONDS = 0.01
"""How often a slow client is looked at."""
CLIENT_GONE, CLIENT_SLOW, STREAM_FAILED = "client_gone", "client_slow", "stream_failed"
Send = Callable[[bytes], Awaitable[None]]


class ClientGone(Exception):
    """The client has hung up."""


class ClientSlow(Exception):
    """The client takes longer than it may."""


class Streams:
    """The streams of one worker."""

    def __init__(
        self,
        *,
        seconds_max: float = STREAM_SECONDS_MAX,
        stall_seconds_max: float = STREAM_STALL_SECONDS_MAX,
        bytes_ahead_max: int = STREAM_BYTES_AHEAD_MAX,
    ) -> None:
        self._seconds_max = seconds_max
        self._stall_seconds_max = stall_seconds_max
        self._bytes_ahead_max = bytes_ahead_max
        self._running: Counter[bytes] = Counter()  # by tenant

    def admit(self, request: Request) -> None:
        """Take a place for a stream, which `run` gives back. Raises ProblemRaised (overloaded)."""
        tenant_id = request.client().tenant_id
        is_full = self._running.total() >= STREAMS_MAX
        if is_full or self._running[tenant_id] >= STREAMS_PER_TENANT_MAX:
            raise ProblemRaised("overloaded", "Wait until another export of yours has ended.")
        self._running[tenant_id] += 1

    async def run(self, request: Request, response: StreamedResponse, send: Send) -> str | None:
        """Send all chunks; None, or what kept the stream from being whole. Then the connection is
        broken off, and the caller must not end the answer in good order."""
        tenant_id = request.client().tenant_id
        connection: Connection | None = None
        code: str | None = CLIENT_GONE  # also where the server cancels this
        try:
            connection = await asyncio.to_thread(find_connection, *request.client_address)
            async with asyncio.timeout(self._seconds_max):
                await self._send_all(response.chunks, send, connection)
            code = None
        except ClientGone:
            pass
        except (ClientSlow, TimeoutError):
            code = CLIENT_SLOW
        except Exception as error:
            code = STREAM_FAILED
            trace = {"trace_id": request.trace_id}
            logger.error("a stream failed: %r", error, exc_info=error, extra=trace)
        finally:
            self._leave(tenant_id)
            if connection is not None:
                if code is not None:
                    connection.break_off()
                connection.close()
            await response.chunks.aclose()
        return code

    def _leave(self, tenant_id: bytes) -> None:
        self._running[tenant_id] -= 1
        if not self._running[tenant_id]:
            del self._running[tenant_id]

    async def _send_all(
        self, chunks: AsyncGenerator[bytes, None], send: Send, connection: Connection | None
    ) -> None:
        sent = 0
        async for chunk in chunks:
            await send(chunk)
            await asyncio.sleep(0)  # whoever has waited while it was rendered comes first
            sent += len(chunk)
            # Without a connection the server is none that takes everything: its `send` waits.
            if connection is not None:
                await self._wait_until_taken(connection, sent)

    async def _wait_until_taken(self, connection: Connection, sent: int) -> None:
        """Return when the client lacks no more than it may of the bytes that were sent."""
        taken, moved_at = -1, time.monotonic()
        while True:
            if not connection.is_open:
                raise ClientGone
            now, taken_now = time.monotonic(), connection.bytes_taken
            if sent - taken_now <= self._bytes_ahead_max:
                return
            if taken_now > taken:
                taken, moved_at = taken_now, now
            elif now - moved_at > self._stall_seconds_max:
                raise ClientSlow
            await asyncio.sleep(LOOK_SECONDS)
