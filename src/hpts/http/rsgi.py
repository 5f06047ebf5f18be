"""The application behind RSGI, granian's own interface: fewer objects a request than ASGI."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Protocol

from granian.rsgi import ProtocolClosed, ProtocolError  # type: ignore[attr-defined]

from hpts.http.app import App
from hpts.http.messages import BodyWatch, Request, StreamedResponse, broken_off, join_chunks
from hpts.http.streams import ClientGone


class RsgiHeaders(Protocol):
    """Values by lower-case name; those that are not printable ASCII are left out."""

    def get(self, name: str, /) -> str | None: ...
    def __contains__(self, name: object, /) -> bool: ...
    def get_all(self, name: str, /) -> list[str]: ...


class RsgiScope(Protocol):
    """A request's line and headers. Each access makes a new object."""

    proto: str
    client: str
    method: str
    path: str
    query_string: str
    headers: RsgiHeaders


class RsgiProtocol(Protocol):
    """The way to the body (whole by calling it, in chunks by iterating) and of the answer."""

    def __call__(self) -> Awaitable[bytes]: ...
    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def client_disconnect(self) -> Awaitable[None]: ...
    def response_bytes(
        self, status: int, headers: list[tuple[str, str]], body: bytes, /
    ) -> None: ...
    def response_stream(
        self, status: int, headers: list[tuple[str, str]], /
    ) -> "RsgiTransport": ...


class RsgiTransport(Protocol):
    """An answer under way. It takes whatever it is given, and ends with the application's call."""

    def send_bytes(self, data: bytes, /) -> Awaitable[None]: ...


class RsgiRequest(Request):
    """A request as RSGI hands it over."""

    __slots__ = ("_headers", "_protocol", "_scope")

    def __init__(self, scope: RsgiScope, protocol: RsgiProtocol, watch: BodyWatch) -> None:
        self._scope = scope
        self._protocol = protocol
        self._headers = scope.headers
        super().__init__(scope.method, scope.path, self._headers, watch)

    @property
    def query_string(self) -> bytes:
        return self._scope.query_string.encode()

    @property
    def peer(self) -> str:
        return self._scope.client.rpartition(":")[0].strip("[]")  # [::1]:50000 for IPv6

    @property
    def client_address(self) -> tuple[str, int]:
        return self.peer, int(self._scope.client.rpartition(":")[2])

    def header_values(self, name: str) -> list[str]:
        return self._headers.get_all(name)

    async def until_hung_up(self) -> None:
        await self._protocol.client_disconnect()

    async def _receive_body(self, bytes_max: int, *, is_declared: bool) -> bytes:
        try:
            if is_declared and self.headers.get("transfer-encoding") is None:
                return await self._protocol()  # the server reads no more than was declared
            return await join_chunks(self._protocol, bytes_max)
        except (ProtocolClosed, ProtocolError):
            raise broken_off() from None


class RsgiAdapter:
    """An RSGI application.

    Source: https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._watch = BodyWatch()

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_until_complete(self._app.start())
        loop.call_soon(self._app.serve)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_until_complete(self._app.stop())

    async def __rsgi__(self, scope: RsgiScope, protocol: RsgiProtocol) -> None:
        request = RsgiRequest(scope, protocol, self._watch)
        response, code = await self._app.answer(request)
        if type(response) is StreamedResponse:
            code = await self._stream(request, response, protocol)
            self._app.log_line(request, response.status, code)
            return
        protocol.response_bytes(response.status, response.headers, response.body)
        self._app.log(request, response.status, code)

    async def _stream(
        self, request: Request, response: StreamedResponse, protocol: RsgiProtocol
    ) -> str | None:
        transport = protocol.response_stream(response.status, response.headers)

        async def send(chunk: bytes) -> None:
            try:
                await transport.send_bytes(chunk)
            except (ProtocolClosed, ProtocolError):
                raise ClientGone from None

        return await self._app.streams.run(request, response, send)
