"""The application behind ASGI, the interface that any ASGI server has."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from hpts.http.app import App
from hpts.http.messages import BodyWatch, Request, StreamedResponse, broken_off, join_chunks

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
SERVING_SECONDS = 0.1


class AsgiRequest(Request):
    """A request as ASGI hands it over."""

    __slots__ = ("_client", "_query_string", "_receive", "_sent_headers")

    def __init__(self, scope: Scope, receive: Receive, watch: BodyWatch) -> None:
        sent: list[tuple[bytes, bytes]] = scope["headers"]
        self._sent_headers = sent
        self._receive = receive
        self._client: tuple[str, int] | None = scope.get("client")
        self._query_string: bytes = scope.get("query_string", b"")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent}
        super().__init__(scope["method"], scope["path"], headers, watch)

    @property
    def query_string(self) -> bytes:
        return self._query_string

    @property
    def peer(self) -> str:
        return "" if self._client is None else self._client[0]

    @property
    def client_address(self) -> tuple[str, int]:
        return self._client or ("", 0)

    def header_values(self, name: str) -> list[str]:
        wanted = name.encode()
        return [value.decode("latin-1") for key, value in self._sent_headers if key == wanted]

    async def until_hung_up(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _receive_body(self, bytes_max: int, *, is_declared: bool) -> bytes:
        return await join_chunks(self._chunks(), bytes_max)

    async def _chunks(self) -> AsyncIterator[bytes]:
        is_more = True
        while is_more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise broken_off()
            yield message.get("body", b"")
            is_more = message.get("more_body", False)


class AsgiAdapter:
    """An ASGI 3 application. Source: https://asgi.readthedocs.io/en/latest/specs/"""

    def __init__(self, app: App) -> None:
        self._app = app
        self._watch = BodyWatch()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._serve(AsgiRequest(scope, receive, self._watch), send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _serve(self, request: Request, send: Send) -> None:
        response, code = await self._app.answer(request)
        headers = [(name.encode(), value.encode("latin-1")) for name, value in response.headers]
        if type(response) is StreamedResponse:
            code = await self._stream(request, response, headers, send)
            self._app.log_line(request, response.status, code)
            return
        headers.append((b"content-length", b"%d" % len(response.body)))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})
        self._app.log(request, response.status, code)

    async def _stream(
        self,
        request: Request,
        response: StreamedResponse,
        headers: list[tuple[bytes, bytes]],
        send: Send,
    ) -> str | None:
        await send({"type": "http.response.start", "status": response.status, "headers": headers})

        async def send_chunk(chunk: bytes) -> None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

        code = await self._app.streams.run(request, response, send_chunk)
        if code is None:
            await send({"type": "http.response.body", "body": b""})
        return code

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._app.start()
                await send({"type": "lifespan.startup.complete"})
                # ASGI does not tell when the run begins that serves; the one before ends at once.
                asyncio.get_running_loop().call_later(SERVING_SECONDS, self._app.serve)
            elif message["type"] == "lifespan.shutdown":
                await self._app.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return
