"""A request as handlers see it and a response as the app sends it; bodies are bounded while
read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from hpts.domain.limits import BODY_SECONDS_MAX
from hpts.http.auth import Principal
from hpts.http.problems import ProblemRaised

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

JSON = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")
NO_STORE = (b"cache-control", b"no-store")


class Response(msgspec.Struct):
    """Status, body and headers; the app adds the trace headers."""

    status: int
    body: bytes
    headers: list[tuple[bytes, bytes]]


class Request:
    """One request after routing. `path_parameters` are as the client wrote them."""

    __slots__ = (
        "_receive",
        "_scope",
        "headers",
        "path_parameters",
        "principal",
        "timings",
        "trace_id",
    )

    def __init__(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], trace_id: str
    ) -> None:
        self._scope = scope
        self._receive = receive
        self.headers = headers
        self.trace_id = trace_id
        self.path_parameters: tuple[str, ...] = ()
        self.principal: Principal | None = None
        self.timings: list[tuple[str, float]] = []

    def client(self) -> Principal:
        """Who calls. Only for operations that need a token."""
        if self.principal is None:
            raise RuntimeError("the operation is open to everybody and has no principal")
        return self.principal

    def header_values(self, name: bytes) -> list[bytes]:
        """Every value of a header that may wrongly be sent twice."""
        return [value for key, value in self._scope["headers"] if key == name]

    async def read_body(self, bytes_max: int) -> bytes:
        """The body. Refuses with 413 as soon as it is known to be over `bytes_max`."""
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > bytes_max:
            raise too_large(bytes_max)
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                return await self._receive_all(bytes_max)
        except TimeoutError:
            message = f"Send the whole body within {BODY_SECONDS_MAX} seconds."
            raise ProblemRaised("bad_request", message, headers=(CLOSE,)) from None

    async def _receive_all(self, bytes_max: int) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                # It hung up or broke off; without an answer granian would make it a 500.
                raise ProblemRaised(
                    "bad_request", "The body ended before it was whole.", headers=(CLOSE,)
                )
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > bytes_max:
                raise too_large(bytes_max)
            chunks.append(chunk)
            if not message.get("more_body"):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    @property
    def query_string(self) -> bytes:
        """The query as the client wrote it."""
        return bytes(self._scope.get("query_string", b""))


def too_large(bytes_max: int) -> ProblemRaised:
    """413 for a body over the limit. The rest of it is not read, so the connection must end."""
    return ProblemRaised(
        "payload_too_large",
        f"Send a body of at most {bytes_max} bytes.",
        headers=(CLOSE,),
    )


def money_response(body: bytes) -> Response:
    """200 with something that has money in it: never kept by a cache."""
    return Response(200, body, [JSON, NO_STORE])
