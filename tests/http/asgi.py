"""An App in this process: a scope in, what it sent and logged out. Nothing listens anywhere."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

from hpts.http.app import App
from hpts.http.asgi import AsgiAdapter, AsgiRequest
from hpts.http.auth import Principal, TokenRefused
from hpts.http.client_certificate import Entrance
from hpts.http.messages import JSON, BodyWatch, Request, Response
from hpts.http.partners import TenantMarks
from hpts.http.rate_limit import NO_LIMITS, RateLimits
from hpts.http.routes import Route, RouteTable
from hpts.telemetry import JsonLines, logger

TENANT = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
SCOPE = "hpts:test:write"
ROUTES = (
    Route("POST", "/v1/open", "open", None),
    Route("PUT", "/v1/open", "openToo", None),
    Route("POST", "/v1/closed", "closed", SCOPE),
    Route("GET", "/v1/things/{thing}", "thing", None),
)
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACED = (b"traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01".encode())
Handler = Callable[[Request], Awaitable[Response]]


class Answer(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes
    log: list[dict[str, Any]]

    @property
    def problem(self) -> dict[str, Any]:
        """The body, checked for what every problem has."""
        assert self.headers[b"content-type"] == b"application/problem+json"
        found = json.loads(self.body)
        assert found["status"] == self.status
        assert found["type"] == f"https://errors.test/{found['code']}"
        assert {"title", "detail", "instance", "trace_id"} <= found.keys()
        return dict(found)


class StubVerifier:
    """Takes the token `good`, with the scope of the closed operation, and `poor`, without. `facts`
    are more of what the principal is."""

    def __init__(self, **facts: Any) -> None:
        self.error: Exception = TokenRefused("no good")
        self._facts = facts

    def verify_cached(self, header: bytes | None) -> Principal | None:
        return None

    async def verify(self, header: bytes | None) -> Principal:
        if header not in (b"Bearer good", b"Bearer poor"):
            raise self.error
        scopes = frozenset((SCOPE,) if header == b"Bearer good" else ("hpts:admin:*",))
        return Principal(b"t" * 16, TENANT, "teller", scopes, 0.0, **self._facts)


async def unmarked(tenant_id: bytes) -> bool | None:
    """As the database answers for an ordinary tenant."""
    return False


class KeptLines(JsonLines):
    """The log, kept instead of written."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[dict[str, Any]] = []

    def add(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        self.kept.append(json.loads(line))


async def no_body() -> dict[str, Any]:
    raise AssertionError("nobody is to read a body")


def request_of(
    *headers: tuple[bytes, bytes],
    query: bytes = b"",
    peer: str | None = None,
    receive: Callable[[], Awaitable[dict[str, Any]]] = no_body,
    body_seconds_max: float = 5,
) -> Request:
    """A request without an application."""
    scope = {"method": "POST", "path": "/", "headers": list(headers), "query_string": query}
    scope["client"] = None if peer is None else (peer, 50_000)
    return AsgiRequest(scope, receive, BodyWatch(body_seconds_max))


async def fine(request: Request) -> Response:
    return Response(200, b'{"fine":true}', [JSON])


def serve(
    handler: Handler = fine,
    *,
    method: str = "POST",
    path: str = "/v1/open",
    headers: Iterable[tuple[bytes, bytes]] = (TRACED,),
    messages: Iterable[dict[str, Any]] = ({"type": "http.request", "body": b""},),
    verifier: StubVerifier | None = None,
    entrance: Entrance | None = None,
    read_mark: Callable[[bytes], Awaitable[bool | None]] = unmarked,
    rate_limits: RateLimits = NO_LIMITS,
    peer: str = "192.0.2.1",
    server_timing: bool = False,
) -> Answer | None:
    """What the App answers; None where it sent nothing."""
    lines = KeptLines()
    waiting = iter(messages)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(waiting, {"type": "http.disconnect"})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def nothing() -> None:
        return None

    app = App(
        routes=RouteTable(ROUTES),
        handlers=dict.fromkeys(("open", "openToo", "closed", "thing"), handler),
        verifier=verifier or StubVerifier(),  # type: ignore[arg-type]
        entrance=entrance or Entrance(is_for_partners=False),
        marks=TenantMarks(read_mark),
        lines=lines,
        problem_base_url="https://errors.test/",
        start=nothing,
        stop=nothing,
        rate_limits=rate_limits,
        server_timing=server_timing,
    )
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path}
    scope |= {"headers": list(headers), "client": (peer, 50_000)}
    before = logger.handlers[:], logger.propagate, logger.level
    logger.handlers[:], logger.propagate = [lines], False
    logger.setLevel(logging.INFO)
    try:
        asyncio.run(AsgiAdapter(app)(scope, receive, send))
    finally:
        logger.handlers[:], logger.propagate = before[0], before[1]
        logger.setLevel(before[2])
    if not sent:
        return None
    start, body = sent
    assert (start["type"], body["type"]) == ("http.response.start", "http.response.body")
    answered = dict(start["headers"])
    assert len(answered) == len(start["headers"]), "each header once"
    assert all(b"\n" not in value for value in answered.values())
    assert answered[b"content-length"] == b"%d" % len(body["body"])
    assert not body.get("more_body")
    return Answer(start["status"], answered, body["body"], lines.kept)


def answer(*arguments: Any, **how: Any) -> Answer:
    """As `serve`, where there is an answer."""
    found = serve(*arguments, **how)
    assert found is not None
    return found
