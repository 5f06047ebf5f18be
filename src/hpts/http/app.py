"""The ASGI application: route, authenticate, handle, answer, log; top to bottom.

Checks come in the contract's order: path, method, token, scope, then what the operation checks.
Whatever goes wrong ends as a problem; nothing a client sends may end as anything else.
"""

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable

from hpts.domain.rejections import Rejection
from hpts.http.auth import KeysUnavailable, TokenRefused, Verifier
from hpts.http.messages import Receive, Request, Response, Scope, Send
from hpts.http.problems import KINDS, ProblemRaised, render_problem
from hpts.http.routes import Route, RouteTable
from hpts.http.tracing import read_trace
from hpts.store.pool import PoolBusy
from hpts.store.reads import TenantUnknown
from hpts.store.wire import ConnectionLost, StatementFailed
from hpts.telemetry import JsonLines, RequestLine, logger

Handler = Callable[[Request], Awaitable[Response]]


class App:
    """The application of one worker. `start` and `stop` run inside the worker's loop."""

    def __init__(
        self,
        *,
        routes: RouteTable,
        handlers: dict[str, Handler],
        verifier: Verifier,
        lines: JsonLines,
        problem_base_url: str,
        start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
        server_timing: bool = False,
    ) -> None:
        self._routes = routes
        self._handlers = handlers
        self._verifier = verifier
        self._lines = lines
        self._problem_base_url = problem_base_url
        self._start = start
        self._stop = stop
        self._server_timing = server_timing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Source: https://asgi.readthedocs.io/en/latest/specs/www.html"""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = dict(scope["headers"])
        trace_id, traceparent = read_trace(headers, datetime.datetime.now(datetime.UTC).date())
        request = Request(scope, receive, headers, trace_id)
        route, response, code = await self._answer(scope, request)
        sent = [*response.headers, (b"traceparent", traceparent)]
        if self._server_timing:
            sent.append((b"server-timing", _server_timing(request)))
        sent.append((b"content-length", b"%d" % len(response.body)))
        await send({"type": "http.response.start", "status": response.status, "headers": sent})
        await send({"type": "http.response.body", "body": response.body})
        self._lines.request(
            RequestLine(
                self._lines.now(),
                "info",
                scope["method"],
                route.template if route else "",
                response.status,
                round((time.perf_counter() - started) * 1000, 3),
                trace_id,
                request.principal.tenant if request.principal else None,
                code,
            )
        )

    async def _answer(
        self, scope: Scope, request: Request
    ) -> tuple[Route | None, Response, str | None]:
        """(route, response, problem code)."""
        route = None
        try:
            route = self._find(scope, request)
            if route.scope is not None:
                await self._authenticate(request, route.scope)
            return route, await self._handlers[route.operation_id](request), None
        except asyncio.CancelledError:
            raise
        except Exception as error:
            raised = _problem_of(error, request.trace_id)
        status, body, headers = render_problem(
            raised, base_url=self._problem_base_url, trace_id=request.trace_id
        )
        return route, Response(status, body, headers), raised.code

    def _find(self, scope: Scope, request: Request) -> Route:
        found = self._routes.find(scope["path"])
        if found is None:
            raise ProblemRaised("not_found")
        methods, request.path_parameters = found
        route = methods.get(scope["method"])
        if route is None:
            allowed = ", ".join(sorted(methods))
            raise ProblemRaised("method_not_allowed", headers=((b"allow", allowed.encode()),))
        return route

    async def _authenticate(self, request: Request, scope: str) -> None:
        started = time.perf_counter()
        header = request.headers.get(b"authorization")
        principal = self._verifier.verify_cached(header)
        if principal is None:
            principal = await self._verifier.verify(header)
        request.principal = principal
        request.timings.append(("auth", time.perf_counter() - started))
        if scope not in principal.scopes:
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            raise ProblemRaised(
                "insufficient_scope",
                f"Ask the issuer for a token with the scope {scope}.",
                headers=((b"www-authenticate", challenge.encode()),),
            )


def _problem_of(error: Exception, trace_id: str) -> ProblemRaised:
    """The problem that an exception ends as; what nobody expected is logged."""
    match error:
        case ProblemRaised() if error.code in KINDS:
            return error
        case TokenRefused():
            challenge = error.challenge
            encoded = challenge if isinstance(challenge, bytes) else challenge.encode()
            return ProblemRaised("unauthorized", headers=((b"www-authenticate", encoded),))
        case TenantUnknown():
            return ProblemRaised(Rejection.TENANT_UNKNOWN.value)
        case PoolBusy():
            return ProblemRaised("overloaded")
        case ConnectionLost() | KeysUnavailable():
            return ProblemRaised("database_unavailable")
        case StatementFailed() if error.is_passing:
            return ProblemRaised("database_unavailable")
        case _:
            logger.error("unexpected: %r", error, exc_info=error, extra={"trace_id": trace_id})
            return ProblemRaised("internal_error")


def _server_timing(request: Request) -> bytes:
    return ", ".join(
        f"{name};dur={seconds * 1000:.3f}" for name, seconds in request.timings
    ).encode()
