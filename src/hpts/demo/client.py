"""The ledger API over a bounded number of keep-alive connections, with safe retries.

A posting is repeated with the same Idempotency-Key after 409, 429, 503 or a lost connection, so it
happens once whatever breaks. Every other refusal raises DemoError with the problem's detail.
"""

import asyncio
import ssl
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from hpts.demo.bearer import BearerToken
from hpts.demo.connection import Connection, HttpReply
from hpts.demo.errors import DemoError
from hpts.demo.payloads import Problem

ATTEMPTS_MAX = 30
ATTEMPT_SECONDS_MAX = 60
RETRY_AFTER_SECONDS_MAX = 5
LOST_PAUSE_MS_MAX = 2_000
RETRIED_STATUSES = frozenset((409, 429, 503))


class Ledger(Protocol):
    """What the demo needs of a ledger; the tests have one in memory."""

    async def post(self, path: str, *, key: str, body: object) -> bytes:
        """The body of the 2xx reply."""

    async def get(self, path: str) -> bytes:
        """The body of the 200 reply."""


class LedgerClient:
    """`base_url` is the server's, with or without the trailing /v1."""

    def __init__(self, base_url: str, token: BearerToken, connections: int) -> None:
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or url.hostname is None:
            raise DemoError(f"{base_url!r} is not an http or https URL")
        tls = ssl.create_default_context() if url.scheme == "https" else None
        port = url.port or (443 if tls else 80)
        self._token = token
        self._host = url.netloc.rpartition("@")[2]
        self._prefix = url.path.rstrip("/").removesuffix("/v1") + "/v1"
        self._connections = [Connection(url.hostname, port, tls) for _ in range(connections)]
        # Last in, first out: under a light load a few warm connections do all the work.
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for connection in self._connections:
            self._idle.put_nowait(connection)

    async def post(self, path: str, *, key: str, body: object) -> bytes:
        """Post once. Raises DemoError on a replay of an earlier run: its tenant was not fresh."""
        content = msgspec.json.encode(body)
        fields = (
            f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n"
        )
        reply, attempts = await self._send("POST", path, fields, content)
        if attempts == 1 and reply.headers.get(b"idempotent-replayed") == b"true":
            raise DemoError(f"{key} was posted before this run; the demo needs a fresh tenant")
        return reply.body

    async def get(self, path: str) -> bytes:
        return (await self._send("GET", path, "", b""))[0].body

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    async def _send(
        self, method: str, path: str, fields: str, content: bytes
    ) -> tuple[HttpReply, int]:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                reply = await self._attempt(self._compose(method, path, fields, content))
            except (ConnectionError, TimeoutError) as error:
                trouble, pause_ms = f"{error or 'no answer in time'}", _lost_pause_ms(attempt)
            else:
                if reply.status in (200, 201):
                    return reply, attempt
                trouble = f"{reply.status} {describe_problem(reply.body)}"
                if reply.status not in RETRIED_STATUSES:
                    raise DemoError(f"{method} {path} was refused: {trouble}")
                pause_ms = _retry_after_ms(reply)
            if attempt < ATTEMPTS_MAX:
                await asyncio.sleep(pause_ms / 1000)
        raise DemoError(f"{method} {path} failed {ATTEMPTS_MAX} times, at last with: {trouble}")

    async def _attempt(self, request: bytes) -> HttpReply:
        connection = await self._idle.get()
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS_MAX):
                return await connection.exchange(request)
        finally:
            self._idle.put_nowait(connection)

    def _compose(self, method: str, path: str, fields: str, content: bytes) -> bytes:
        head = (
            f"{method} {self._prefix}{path} HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Authorization: Bearer {self._token.current()}\r\n{fields}\r\n"
        )
        return head.encode("ascii") + content


def describe_problem(body: bytes) -> str:
    """A problem's code, detail and failing fields on one line."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        return body[:200].decode("utf-8", "replace")
    fields = "".join(
        f"; {error.get('field')}: {error.get('message')}" for error in problem.errors[:5]
    )
    return f"{problem.code}: {problem.detail or problem.title}{fields}"


def _retry_after_ms(reply: HttpReply) -> int:
    """Retry-After, bounded; a second where it is absent or a date."""
    value = reply.headers.get(b"retry-after", b"")
    seconds = int(value) if value.isdigit() else 1
    return 1000 * min(seconds, RETRY_AFTER_SECONDS_MAX)


def _lost_pause_ms(attempt: int) -> int:
    return min(50 << min(attempt - 1, 10), LOST_PAUSE_MS_MAX)
