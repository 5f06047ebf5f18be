"""One HTTP/1.1 keep-alive connection as a bare protocol: a request out, a status back.

Nothing is pipelined and no body is kept. Anything but a whole answer with a Content-Length breaks
the connection off, which counts as a lost answer.
"""

import asyncio
from typing import Protocol, cast

ANSWER_BYTES_MAX = 64 * 1024 * 1024
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_CLOSE = b"\r\nconnection: close"


class Owner(Protocol):
    """Who is told what becomes of a connection."""

    def connected(self, connection: "KeepAliveConnection") -> None: ...

    def answered(self, connection: "KeepAliveConnection", status: int) -> None:
        """The answer to the last `send` came; where `is_open` is false it was the last one."""

    def lost(self, connection: "KeepAliveConnection") -> None:
        """The connection has ended; `is_waiting` says whether an answer is missing."""


class KeepAliveConnection(asyncio.Protocol):
    """A connection on which `send` may be called when the answer before has come."""

    __slots__ = ("_owner", "_received", "_transport", "intended_ns", "is_open", "is_waiting")

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self.intended_ns = 0
        """When the request that is under way should have been sent."""
        self.is_open = False
        self.is_waiting = False

    def send(self, request: bytes, intended_ns: int) -> None:
        if self._transport is None or self.is_waiting:
            raise RuntimeError("the connection is not free")
        self.intended_ns = intended_ns
        self.is_waiting = True
        self._transport.write(request)

    def close(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not of asyncio's classes, so there is nothing to check
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True
        self._owner.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._owner.lost(self)

    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        try:
            end = _answer_end(data)
        except ValueError:
            self.close()
            return
        if end is None or len(data) < end:
            self._received = data
            return
        if not self.is_waiting or len(data) > end or not data.startswith(b"HTTP/1.1 "):
            self.close()
            return
        self._received = b""
        self.is_waiting = False
        if _CLOSE in data[: data.find(_HEAD_END)].lower():
            self.close()
        self._owner.answered(self, int(data[9:12]))


def _answer_end(data: bytes) -> int | None:
    """Where the answer ends; None while its head is not whole. Raises ValueError."""
    head_end = data.find(_HEAD_END)
    if head_end < 0:
        if len(data) > ANSWER_BYTES_MAX:
            raise ValueError("the head has no end")
        return None
    head = data[:head_end].lower()
    at = head.find(_LENGTH)
    if at < 0:
        raise ValueError("the answer has no Content-Length")
    line_end = head.find(b"\r\n", at + 2)
    length = int(head[at + len(_LENGTH) : line_end if line_end >= 0 else head_end])
    if not 0 <= length <= ANSWER_BYTES_MAX:
        raise ValueError("the answer is too long")
    return head_end + len(_HEAD_END) + length
