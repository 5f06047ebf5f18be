"""A TCP proxy before PostgreSQL that understands enough of the protocol to cut where it matters.

It knows the pipelines that a client sends and asks `plan` once for each: forward it, or cut.
"""

import asyncio
import enum
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Cut(enum.Enum):
    """When a pipeline's connection is cut."""

    NEVER = "never"
    BEFORE_SENDING = "before anything of the pipeline is forwarded"
    BEFORE_LAST_STATEMENT = "before its last statement is forwarded, after all others"
    AFTER_SENDING = "after all of it is forwarded, before any answer is, on both sides at once"
    CLIENT_ONLY = "as AFTER_SENDING, but PostgreSQL does not notice for a while"
    AFTER_ANSWER = "after PostgreSQL answered all of it, before any answer is forwarded"
    WITHIN_ANSWER = "after half of the answer is forwarded"


class Pipeline(NamedTuple):
    """The prepared statements between two Syncs."""

    statements: tuple[str, ...]

    @property
    def commits(self) -> bool:
        return "commit" in self.statements


UNNOTICED_SECONDS = 0.15
Plan = Callable[[Pipeline], Cut]


class CuttingProxy:
    """Listens on a loopback port; `database_url` goes through it."""

    def __init__(self, database_url: str, plan: Plan = lambda _: Cut.NEVER) -> None:
        self.plan = plan
        self.pipelines: list[Pipeline] = []
        self.cut_count = 0
        self.was_cut = asyncio.Event()
        self._direct = database_url
        parts = conninfo_to_dict(database_url)
        self._socket = Path(str(parts["host"])) / f".s.PGSQL.{parts.get('port') or 5432}"
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def database_url(self) -> str:
        return make_conninfo(
            self._direct,
            host="127.0.0.1",
            port=self._port,
            sslmode="disable",
            gssencmode="disable",
        )

    async def start(self) -> None:
        """Listen; on the same port as before after a stop."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> "CuttingProxy":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(str(self._socket))
            relay = _Relay(self, reader, writer, upstream_reader, upstream_writer)
            await relay.run()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


class _Relay:
    """One connection of a client, with one of its own to PostgreSQL."""

    def __init__(
        self,
        proxy: CuttingProxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        upstream_reader: asyncio.StreamReader,
        upstream_writer: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._upstream_reader, self._upstream_writer = upstream_reader, upstream_writer
        self._held: asyncio.Queue[bytes] | None = None
        """While an answer is held back: its messages."""

    async def run(self) -> None:
        directions = [
            asyncio.create_task(self._forward_requests()),
            asyncio.create_task(self._forward_answers()),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            self._upstream_writer.transport.abort()
            self._writer.transport.abort()

    async def _forward_requests(self) -> None:
        length = await self._reader.readexactly(4)  # the startup message has no type
        body = await self._reader.readexactly(int.from_bytes(length, "big") - 4)
        self._upstream_writer.write(length + body)
        waiting: list[tuple[str | None, bytes]] = []
        while True:
            message = await _read_message(self._reader)
            waiting.append((_bound_statement(message), message))
            if message[:1] in (b"S", b"Q", b"X"):
                if await self._forward_pipeline(waiting):
                    return
                waiting = []

    async def _forward_pipeline(self, messages: list[tuple[str | None, bytes]]) -> bool:
        """Forward the messages up to a Sync as planned; True when the connection is cut."""
        pipeline = Pipeline(tuple(name for name, _ in messages if name))
        cut = Cut.NEVER
        if pipeline.statements:
            self._proxy.pipelines.append(pipeline)
            cut = self._proxy.plan(pipeline)
        end = len(messages)
        if cut is Cut.BEFORE_SENDING:
            end = 0
        elif cut is Cut.BEFORE_LAST_STATEMENT:
            end = max(at for at, (name, _) in enumerate(messages) if name)
        if cut is not Cut.NEVER:
            self._proxy.cut_count += 1
            self._held = asyncio.Queue()
        self._upstream_writer.write(b"".join(message for _, message in messages[:end]))
        await self._upstream_writer.drain()
        if cut is Cut.NEVER:
            return False
        await self._cut(cut)
        self._proxy.was_cut.set()
        return True

    async def _cut(self, cut: Cut) -> None:
        assert self._held is not None
        if cut is Cut.CLIENT_ONLY:
            self._writer.transport.abort()
            await asyncio.sleep(UNNOTICED_SECONDS)
        elif cut in (Cut.AFTER_ANSWER, Cut.WITHIN_ANSWER):
            answer = [await self._held.get()]
            while answer[-1][:1] != b"Z":
                answer.append(await self._held.get())
            if cut is Cut.WITHIN_ANSWER:
                whole = b"".join(answer)
                self._writer.write(whole[: len(whole) // 2])
                await self._writer.drain()

    async def _forward_answers(self) -> None:
        while True:
            message = await _read_message(self._upstream_reader)
            if self._held is not None:
                self._held.put_nowait(message)
            else:
                self._writer.write(message)


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(int.from_bytes(head[1:], "big") - 4)


def _bound_statement(message: bytes) -> str | None:
    """The prepared statement that a Bind message names."""
    if message[:1] != b"B":
        return None
    _, statement, _ = message[5:].split(b"\0", 2)
    return statement.decode()
