"""The no-op: the server's own granian, settings and all, around a handler that does almost nothing.

It reads the body, decodes it with the decoder of payments and answers 201 with as many bytes as a
payment's reply. No token, log, trace or ledger.
Usage: python -m bench.report.noop_server PORT REPLY_BYTES
"""

import ctypes
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import granian.server
import msgspec

import hpts.application
import hpts.server
from bench.report.stage import WORKERS
from hpts.config import Settings
from hpts.http.payloads import PaymentRequest

REPLY_BYTES = "NOOP_REPLY_BYTES"
TARGET = "bench.report.noop_server:build_application"
PR_SET_PDEATHSIG = 1

Message = MutableMapping[str, Any]
HEADERS = [(b"content-type", b"application/json")]
TEXT_HEADERS = [("content-type", "application/json")]


class NoOp:
    """Speaks both of granian's interfaces, so that it fits the one the server uses."""

    def __init__(self, reply: bytes) -> None:
        self._reply = reply
        self._decode = msgspec.json.Decoder(PaymentRequest).decode

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            return await _live(receive, send)
        message = await receive()
        body = message["body"]
        while message.get("more_body"):
            message = await receive()
            body += message["body"]
        self._decode(body)
        await send({"type": "http.response.start", "status": 201, "headers": HEADERS})
        await send({"type": "http.response.body", "body": self._reply})

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """RSGI."""
        self._decode(await protocol())
        protocol.response_bytes(201, TEXT_HEADERS, self._reply)


async def _live(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def build_application() -> NoOp:
    """A worker's application. Called by granian inside each worker process."""
    # As the server's workers do: they must not outlive a starter that was killed.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    application = NoOp(b'"%b"' % (b"." * (int(os.environ[REPLY_BYTES]) - 2)))
    gc.set_threshold(*getattr(hpts.application, "COLLECTOR_THRESHOLDS", gc.get_threshold()))
    gc.freeze()
    return application


def serve(port: int, reply_bytes: int) -> None:
    """Serve until SIGTERM, through the server's own start with another application."""
    os.environ[REPLY_BYTES] = str(reply_bytes)

    def start_noop(_: str, **settings: Any) -> Any:
        print(f"interface {settings.get('interface')}", flush=True)
        return granian.server.Server(TARGET, **settings)

    # Not the literals again: what the no-op is compared with shall not drift away from it.
    if getattr(hpts.server, "Server", None) is not granian.server.Server:
        sys.exit("hpts.server does not start granian's Server by that name any more")
    setattr(hpts.server, "Server", start_noop)  # noqa: B010  (a name that is not exported)
    hpts.server.run_server(
        Settings(
            port=port,
            workers=WORKERS,
            database_url="postgresql://nobody@nowhere/none",
            issuer="nobody",
            jwks_url="file:///nowhere",
        )
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    serve(int(sys.argv[1]), int(sys.argv[2]))
