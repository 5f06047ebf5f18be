"""The application: route, authenticate, handle, answer, log; top to bottom.

Checks come in the contract's order: path, method, token, scope, rate, then what the operation
checks. A partner's way here is checked with the token and the scope, before anything else is read.
Whatever goes wrong ends as a problem; nothing a client sends may end as anything else.
"""

import asyncio
import datetime
import math
import time
from collections.abc import Awaitable, Callable

from hpts.domain.rejections import Rejection
from hpts.http.audit_trail import AuditTrail
from hpts.http.auth import KeysUnavailable, TokenRefused, Verifier
from hpts.http.client_certificate import Entrance
from hpts.http.messages import Request, Response, StreamedResponse
from hpts.http.partners import TenantMarks, check_binding
from hpts.http.position import MIN_POSITION, read_min_position
from hpts.http.problems import KINDS, ProblemRaised, render_problem
from hpts.http.rate_limit import NO_LIMITS, RateLimits
from hpts.http.request_meters import note_request
from hpts.http.routes import Route, RouteTable
from hpts.http.security_headers import ANSWER, PAGE, with_tls
from hpts.http.streams import Streams
from hpts.http.tracing import read_trace
from hpts.spans import SPANS, Span, Tracer
from hpts.store.pool import PoolBusy
from hpts.store.tenancy import TenantUnknown
from hpts.store.wire import ConnectionLost, StatementFailed
from hpts.telemetry import JsonLines, RequestLine, logger

Handler = Callable[[Request], Awaitable[Response]]
TRACED_PARTS = {"auth": "auth", "queue": "lane wait", "database": "in its batch"}
"""Timings of a request that are spans of its trace, and what they are called there."""


NO_KEYS_YET = (
    "The issuer's keys have not been loaded yet, so no token can be judged. Wait as Retry-After "
    "says, then send the same request again."
)


async def reach_nothing(tenant_id: bytes, block_number: int) -> None:
    """Without a standby no read is older than any posting."""


def do_nothing() -> None:
    """Nobody waits for the run that serves."""


class App:
    """The application of one worker. `start` and `stop` run inside the worker's loop, `serve` when
    that run of it begins in which requests are served; granian starts the application in another.
    """

    def __init__(
        self,
        *,
        routes: RouteTable,
        handlers: dict[str, Handler],
        verifier: Verifier,
        entrance: Entrance,
        marks: TenantMarks,
        lines: JsonLines,
        problem_base_url: str,
        start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
        serve: Callable[[], None] = do_nothing,
        rate_limits: RateLimits = NO_LIMITS,
        trail: AuditTrail | None = None,
        reach: Callable[[bytes, int], Awaitable[None]] = reach_nothing,
        server_timing: bool = False,
    ) -> None:
        self._routes = routes
        self._handlers = handlers
        self._verifier = verifier
        self._entrance = entrance
        self._origin_of = entrance.origin_of
        self._marks = marks
        self._rate_limits = rate_limits
        self._trail = trail
        self._reach = reach
        self._lines = lines
        self._problem_base_url = problem_base_url
        self.streams = Streams()
        self.start = start
        self.stop = stop
        self.serve = serve
        self._server_timing = server_timing
        self._answer_headers = with_tls(ANSWER) if entrance.speaks_tls else ANSWER
        self._page_headers = with_tls(PAGE) if entrance.speaks_tls else PAGE

    async def answer(self, request: Request) -> tuple[Response, str | None]:
        """(response, problem code), trace headers included. Never raises for what a client sent."""
        request.origin_of = self._origin_of
        request.is_timed = self._server_timing or SPANS.tracer is not None
        request.trace_id, request.traceparent = read_trace(request.headers, _utc_today)
        code = None
        try:
            response = await self._handle(request)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            raised = _problem_of(error, request.trace_id)
            code = raised.code
            if self._trail is not None:
                self._trail.note_refusal(request, raised, error)
            response = Response(
                *render_problem(raised, base_url=self._problem_base_url, trace_id=request.trace_id)
            )
        response.headers.append(("traceparent", request.traceparent))
        response.headers += self._page_headers if response.is_page else self._answer_headers
        if self._server_timing:
            response.headers.append(("server-timing", _server_timing(request)))
        return response, code

    def log(self, request: Request, status: int, code: str | None) -> None:
        """Count an answered request, and write its line."""
        note_request(request.route, status, code, time.monotonic() - request.started_at)
        self.log_line(request, status, code)

    def log_line(self, request: Request, status: int, code: str | None) -> None:
        """Write the line of a request; a stream was counted when its first bytes were there."""
        route, principal = request.route, request.principal
        seconds = time.monotonic() - request.started_at
        if SPANS.tracer is not None:
            _trace(SPANS.tracer, request, status, code, seconds)
        self._lines.request(
            RequestLine(
                self._lines.now(),
                "info",
                request.method,
                "" if route is None else route.template,
                status,
                round(seconds * 1000, 3),
                request.trace_id,
                None if principal is None else principal.tenant,
                code,
            )
        )

    async def _handle(self, request: Request) -> Response:
        route = request.route = self._find(request)
        if route.scope is not None:
            await self._authorize(request, route.scope)
            if route.method == "GET" and MIN_POSITION in request.headers:
                await self._reach(request.client().tenant_id, read_min_position(request))
        response = await self._handlers[route.operation_id](request)
        if type(response) is StreamedResponse:
            self.streams.admit(request)
            seconds = time.monotonic() - request.started_at
            note_request(route, response.status, None, seconds)
        return response

    async def _authorize(self, request: Request, scope: str) -> None:
        """Token, the certificate it is bound to, scope, the way that the caller must come, and the
        rate, which is checked before a tenant's mark that is not known yet costs a query."""
        started = time.monotonic()
        given = request.headers.get("authorization")
        header = None if given is None else given.encode("latin-1")
        principal = self._verifier.verify_cached(header)
        if principal is None:
            principal = await self._verifier.verify(header)
        request.principal = principal
        arrival = self._entrance.arrival_of(request)
        check_binding(principal, arrival)
        if request.is_timed:
            request.timings.append(Span("auth", started, time.monotonic() - started))
        if scope not in principal.scopes:
            raise _insufficient(scope)
        is_partner = not arrival.is_mutual and (
            principal.is_partner_client or self._marks.find(principal.tenant_id)
        )
        if is_partner:
            raise ProblemRaised("mtls_required")
        if self._rate_limits.are_set:
            self._check_rate(principal.tenant_id, request.method)
        if is_partner is None and await self._marks.ask(principal.tenant_id):
            raise ProblemRaised("mtls_required")

    def _check_rate(self, tenant_id: bytes, method: str) -> None:
        wait = self._rate_limits.seconds_to_wait(tenant_id, method)
        if wait:
            raise ProblemRaised("rate_limited", headers=(("retry-after", str(math.ceil(wait))),))

    def _find(self, request: Request) -> Route:
        found = self._routes.find(request.path)
        if found is None:
            raise ProblemRaised("not_found")
        methods, request.path_parameters = found
        route = methods.get(request.method)
        if route is None:
            allowed = ", ".join(sorted(methods))
            raise ProblemRaised("method_not_allowed", headers=(("allow", allowed),))
        return route


def _trace(tracer: Tracer, request: Request, status: int, code: str | None, seconds: float) -> None:
    template = "" if request.route is None else request.route.template
    facts: dict[str, str | int] = {
        "http.request.method": request.method,
        "http.response.status_code": status,
    }
    if template:
        facts["http.route"] = template
    if code is not None:
        facts["error.type"] = code
    if request.principal is not None:
        facts["hpts.tenant_id"] = request.principal.tenant
    tracer.request(
        request.traceparent,
        request.headers.get("traceparent"),
        Span(f"{request.method} {template}".rstrip(), request.started_at, seconds),
        [
            Span(TRACED_PARTS[name], started_at, took)
            for name, started_at, took in request.timings
            if name in TRACED_PARTS
        ],
        facts,
    )


def _insufficient(scope: str) -> ProblemRaised:
    challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
    return ProblemRaised(
        "insufficient_scope",
        f"Ask the issuer for a token with the scope {scope}.",
        headers=(("www-authenticate", challenge),),
    )


def _problem_of(error: Exception, trace_id: str) -> ProblemRaised:
    """The problem that an exception ends as; what nobody expected is logged."""
    match error:
        case ProblemRaised() if error.code in KINDS:
            return error
        case TokenRefused():
            challenge = ("www-authenticate", error.challenge)
            return ProblemRaised("unauthorized", error.advice, headers=(challenge,))
        case TenantUnknown():
            return ProblemRaised(Rejection.TENANT_UNKNOWN.value)
        case PoolBusy():
            return ProblemRaised("overloaded")
        case ConnectionLost():
            return ProblemRaised("database_unavailable")
        case KeysUnavailable():
            return ProblemRaised("database_unavailable", NO_KEYS_YET)
        case StatementFailed() if error.is_passing:
            logger.warning("the database refuses: %s", error, extra={"trace_id": trace_id})
            return ProblemRaised("database_unavailable")
        case _:
            logger.error("unexpected: %r", error, exc_info=error, extra={"trace_id": trace_id})
            return ProblemRaised("internal_error")


def _server_timing(request: Request) -> str:
    return ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, _, seconds in request.timings)


def _utc_today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()
