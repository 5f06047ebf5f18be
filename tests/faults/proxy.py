"""A TCP proxy before PostgreSQL that can cut, stall and delay, and knows where a COMMIT stands.

It forwards whole messages of the protocol. A trap is set for a moment of the next pipelines that
commit and acts on their links alone; everything else acts on all links at once.
"""

import asyncio
import enum
import socket
import struct
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

COMMIT = b"commit"
"""The prepared statement that ends a batch."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Moment(enum.Enum):
    """Where a commit stands when a trap is sprung."""

    BEFORE = "before COMMIT"
    DURING = "during COMMIT"
    AFTER = "after COMMIT"


class Effect(enum.Enum):
    """What a trap does to the link."""

    CUT = "cut"
    CUT_UNSEEN = "cut when PostgreSQL has answered, and the answer is thrown away"
    STALL = "stall"
    STALL_AND_CUT = "stall, then cut"


@dataclass
class Trap:
    """Acts on the next `left` commits; `pending` counts the links it still stalls."""

    moment: Moment
    effect: Effect
    seconds: float
    left: int
    sprung: int = 0
    pending: int = 0


class Proxy:
    """Listens on a loopback port before a PostgreSQL on a Unix socket. To be used on one event
    loop, from start to stop."""

    def __init__(self, database_url: str) -> None:
        parts = conninfo_to_dict(database_url)
        self.socket_path = Path(str(parts["host"])) / f".s.PGSQL.{parts.get('port') or 5432}"
        self._direct = database_url
        self.port = 0
        self.trap: Trap | None = None
        self.delay_seconds = 0.0
        self.refuses = False
        self.resets = False
        self.is_held = False
        self.commits_count = 0
        self.links: set[Link] = set()
        self._server: asyncio.Server | None = None

    @property
    def database_url(self) -> str:
        """The same database, through the proxy."""
        return make_conninfo(
            self._direct,
            host="127.0.0.1",
            port=self.port,
            sslmode="disable",
            gssencmode="disable",
        )

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _ClientEnd(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut_all()

    def cut_all(self) -> None:
        """Cut every link; with `resets` by a reset instead of an end of stream."""
        for link in list(self.links):
            link.cut()

    def hold_all(self) -> None:
        """Let nothing through, on no link and on no new one, until `let_go`."""
        self.is_held = True
        for link in self.links:
            link.hold()

    def hold_answers(self) -> None:
        """As `hold_all`, of what PostgreSQL sends, on the links that there are."""
        for link in self.links:
            link.to_client.is_held = True

    def let_go(self) -> None:
        """Let through again what is held."""
        self.is_held = False
        for link in list(self.links):
            link.let_go()

    def refuse(self) -> None:
        """Cut every link and every new one, until `accept`."""
        self.refuses = True
        self.cut_all()

    def accept(self) -> None:
        self.refuses = False

    def spring(self, moment: Moment) -> Trap | None:
        """The trap, when one is set for this moment."""
        trap = self.trap
        if trap is None or trap.moment is not moment or not trap.left:
            return None
        trap.left -= 1
        trap.sprung += 1
        return trap


class Lane:
    """One direction of a link. What comes goes on at once, late, or when it is let go."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, bytes | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self.target: asyncio.Transport | None = None
        self.is_held = proxy.is_held

    def push(self, data: bytes | None) -> None:
        """None ends the stream."""
        self._waiting.append((self._loop.time() + self._proxy.delay_seconds, data))
        self.flush()

    def flush(self) -> None:
        """Pass on what is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.target is None or self.is_held:
            return
        while self._waiting:
            due, data = self._waiting[0]
            if due > self._loop.time():
                self._timer = self._loop.call_at(due, self.flush)
                return
            self._waiting.popleft()
            if data is None:
                self.target.close()
            elif not self.target.is_closing():
                self.target.write(data)

    def end(self, *, at_once: bool) -> None:
        """Close the target; what waits is dropped."""
        self._waiting.clear()
        self.flush()
        if self.target is not None and at_once:
            self.target.abort()
        elif self.target is not None:
            self.target.close()


class Link:
    """One connection of a client, with one of its own to PostgreSQL."""

    def __init__(self, proxy: Proxy, client: asyncio.Transport) -> None:
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self.to_server, self.to_client = Lane(proxy), Lane(proxy)
        self.to_client.target = client
        self._asked, self._answered = bytearray(), bytearray()
        self._has_started = False
        self._commits = False
        self._at_answer: Trap | None = None
        self._ends_count = 2
        self.is_cut = False
        proxy.links.add(self)

    async def connect(self) -> None:
        try:
            transport, _ = await self._loop.create_unix_connection(
                lambda: _ServerEnd(self), str(self._proxy.socket_path)
            )
        except OSError:
            self.cut()
            return
        self.to_server.target = transport
        if self.is_cut:
            transport.abort()
        self.to_server.flush()

    def hold(self) -> None:
        self.to_server.is_held = self.to_client.is_held = True

    def let_go(self) -> None:
        for lane in (self.to_server, self.to_client):
            lane.is_held = False
            lane.flush()

    def cut(self) -> None:
        self.is_cut = True
        self._proxy.links.discard(self)
        client = self.to_client.target
        if client is not None and self._proxy.resets and not client.is_closing():
            found = client.get_extra_info("socket")
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.to_client.end(at_once=True)
        self.to_server.end(at_once=False)

    def client_left(self) -> None:
        self.to_server.push(None)
        self._end_left()

    def server_left(self) -> None:
        self.to_client.push(None)
        self._end_left()

    def _end_left(self) -> None:
        """Known to the proxy until both have left: what is held must be let go by somebody."""
        self._ends_count -= 1
        if not self._ends_count:
            self._proxy.links.discard(self)

    def from_client(self, data: bytes) -> None:
        self._asked += data
        ready: list[bytes] = []
        for message in take_messages(self._asked, has_started=self._has_started):
            if self._has_started and binds_commit(message):
                self._commits = True
                self._proxy.commits_count += 1
                self._before_commit(ready)
            self._has_started = True
            ready.append(message)
            if message[:1] == b"S" and self._commits:
                self._commits = False
                self._during_commit(ready)
            if self.is_cut:
                return
        if ready:
            self.to_server.push(b"".join(ready))

    def from_server(self, data: bytes) -> None:
        self._answered += data
        messages = list(take_messages(self._answered, has_started=True))
        if self.is_cut or not messages:
            return
        trap = self._at_answer
        has_ended = trap is not None and any(message[:1] == b"Z" for message in messages)
        if has_ended and trap is not None and trap.effect is Effect.CUT_UNSEEN:
            self._at_answer = None
            self.cut()
            return
        self.to_client.push(b"".join(messages))
        if has_ended and trap is not None:
            self._at_answer = None
            self._after_commit(trap)

    def _before_commit(self, ready: list[bytes]) -> None:
        trap = self._proxy.spring(Moment.BEFORE)
        if trap is None:
            return
        self.to_server.push(b"".join(ready))
        ready.clear()
        if trap.effect is Effect.CUT:
            self.cut()
        else:
            self._stall(trap, self.to_server)

    def _during_commit(self, ready: list[bytes]) -> None:
        self._at_answer = self._proxy.spring(Moment.AFTER)
        trap = self._proxy.spring(Moment.DURING)
        if trap is None:
            return
        self.to_server.push(b"".join(ready))
        ready.clear()
        if trap.effect is Effect.CUT:
            self.cut()
        elif trap.effect is Effect.CUT_UNSEEN:
            self._at_answer = trap
        else:
            self._stall(trap, self.to_client)

    def _after_commit(self, trap: Trap) -> None:
        if trap.effect is Effect.CUT:
            if self.to_client.target is not None:
                self.to_client.target.close()  # the answer still goes out
        else:
            self._stall(trap, self.to_server, self.to_client)

    def _stall(self, trap: Trap, *lanes: Lane) -> None:
        trap.pending += 1
        for lane in lanes:
            lane.is_held = True
        self._loop.call_later(trap.seconds, self._end_stall, trap, lanes)

    def _end_stall(self, trap: Trap, lanes: tuple[Lane, ...]) -> None:
        trap.pending -= 1
        if trap.effect is Effect.STALL_AND_CUT:
            self.cut()
            return
        for lane in lanes:
            lane.is_held = self._proxy.is_held
            lane.flush()


class _ClientEnd(asyncio.Protocol):
    """Where a client's connection ends."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._link: Link | None = None
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if self._proxy.refuses:
            transport.abort()
            return
        self._link = Link(self._proxy, transport)
        self._connecting = asyncio.get_running_loop().create_task(self._link.connect())

    def data_received(self, data: bytes) -> None:
        if self._link is not None:
            self._link.from_client(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._link is not None:
            self._link.client_left()


class _ServerEnd(asyncio.Protocol):
    """Where our connection to PostgreSQL ends."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def data_received(self, data: bytes) -> None:
        self._link.from_server(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._link.server_left()


def take_messages(buffer: bytearray, *, has_started: bool) -> list[bytes]:
    """The complete messages, which leave the buffer. A client's first one has no type."""
    messages = []
    start, kind_size = 0, 1 if has_started else 0
    while len(buffer) - start >= kind_size + 4:
        size = kind_size + int.from_bytes(buffer[start + kind_size : start + kind_size + 4], "big")
        if len(buffer) - start < size:
            break
        messages.append(bytes(buffer[start : start + size]))
        start, kind_size = start + size, 1
    del buffer[:start]
    return messages


def binds_commit(message: bytes) -> bool:
    """Whether it is a Bind of the statement that commits."""
    return message[:1] == b"B" and message[5:64].split(b"\0", 2)[1] == COMMIT
