"""The application without a socket: whatever goes wrong ends as a problem, and only as one."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from hpts.http.app import App
from hpts.http.asgi import AsgiAdapter
from hpts.http.auth import KeysUnavailable
from hpts.http.client_certificate import Entrance
from hpts.http.messages import Request, Response
from hpts.http.problems import ProblemRaised
from hpts.http.rsgi import RsgiAdapter
from hpts.spans import Span
from hpts.store.pool import PoolBusy
from hpts.store.tenancy import TenantUnknown
from hpts.store.wire import ConnectFailed, ConnectionLost, StatementFailed
from tests.http.asgi import SCOPE, TENANT, TRACE_ID, TRACED, StubVerifier, answer, fine, serve

SECRET = "SELECT secret FROM another_tenant"


def raising(error: BaseException) -> Any:
    async def handler(request: Request) -> Response:
        raise error

    return handler


class Unshowable(Exception):
    def __str__(self) -> str:
        raise RuntimeError(SECRET)

    __repr__ = __str__


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProblemRaised("not_found"), "not_found"),
        (TenantUnknown(), "tenant_unknown"),
        (PoolBusy(), "overloaded"),
        (ConnectionLost(SECRET), "database_unavailable"),
        (ConnectFailed(SECRET), "database_unavailable"),
        (KeysUnavailable(SECRET), "database_unavailable"),
    ],
)
def test_what_may_be_expected_is_its_problem_and_no_error_in_the_log(
    error: Exception, code: str
) -> None:
    found = answer(raising(error))
    assert found.problem["code"] == code
    assert SECRET not in found.body.decode()
    assert [(line["level"], line["code"]) for line in found.log] == [("info", code)]


def test_a_token_that_nobody_can_judge_yet_is_not_blamed_on_the_database() -> None:
    found = answer(raising(KeysUnavailable(SECRET)))
    assert "keys have not been loaded" in found.problem["detail"]
    assert found.headers[b"retry-after"]


@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        KeyError(SECRET),
        StatementFailed("lock_loans", "XX001", SECRET),
        RecursionError(SECRET),
        MemoryError(SECRET),
        ExceptionGroup(SECRET, [ValueError(SECRET)]),
        UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
        TimeoutError(SECRET),
        Unshowable(),
        ProblemRaised("no_such_code", SECRET),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_nobody_expected_is_logged_and_never_shown(error: Exception) -> None:
    found = answer(raising(error))
    assert found.status == 500
    assert found.problem["code"] == "internal_error"
    assert found.problem["trace_id"] == TRACE_ID
    assert "SELECT" not in found.body.decode()
    assert b"Traceback" not in found.body
    logged, request = found.log
    assert logged["level"] == "error"
    if not isinstance(error, Unshowable):
        assert logged["trace_id"] == TRACE_ID
        assert type(error).__name__ in logged["exception"]
    assert (request["status"], request["code"]) == (500, "internal_error")


def test_an_operation_without_a_handler_is_a_problem_too() -> None:
    assert answer(raising(KeyError("open"))).problem["code"] == "internal_error"


def test_a_cancelled_request_is_not_answered() -> None:
    with pytest.raises(asyncio.CancelledError):
        serve(raising(asyncio.CancelledError()))


def test_an_answer_carries_the_trace_and_is_logged_once() -> None:
    found = answer()
    assert (found.status, found.body) == (200, b'{"fine":true}')
    assert found.headers[b"traceparent"].startswith(f"00-{TRACE_ID}-".encode())
    (line,) = found.log
    assert line.pop("time").endswith("Z")
    assert line.pop("duration_ms") >= 0
    assert line == {
        "level": "info",
        "method": "POST",
        "route": "/v1/open",
        "status": 200,
        "trace_id": TRACE_ID,
    }


def test_the_log_has_the_template_and_never_the_path_or_the_token() -> None:
    found = answer(method="GET", path="/v1/things/my-secret")
    assert found.log[0]["route"] == "/v1/things/{thing}"
    found = answer(path="/v1/closed", headers=[(b"authorization", b"Bearer good")])
    assert found.log[0]["tenant"] == TENANT
    assert "good" not in json.dumps(found.log)


def test_an_unknown_path_is_404_before_anything_is_asked_of_the_client() -> None:
    found = answer(path="/v1/nowhere", headers=[])
    assert found.problem["code"] == "not_found"
    assert found.log[0]["route"] == ""


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "post", "X"])
def test_another_method_is_405_with_those_that_are_allowed(method: str) -> None:
    found = answer(method=method)
    assert found.problem["code"] == "method_not_allowed"
    assert found.headers[b"allow"] == b"POST, PUT"


def test_method_is_checked_before_the_token() -> None:
    assert answer(path="/v1/closed", method="GET").status == 405


@pytest.mark.parametrize("header", [None, b"", b"Bearer bad", b"good"])
def test_a_token_that_is_refused_is_401_with_its_challenge(header: bytes | None) -> None:
    headers = [] if header is None else [(b"authorization", header)]
    found = answer(path="/v1/closed", headers=headers)
    assert found.problem["code"] == "unauthorized"
    assert found.headers[b"www-authenticate"].startswith(b'Bearer error="invalid_token"')


def test_keys_that_were_never_loaded_are_503() -> None:
    verifier = StubVerifier()
    verifier.error = KeysUnavailable("not yet")
    found = answer(path="/v1/closed", verifier=verifier)
    assert (found.status, found.headers[b"retry-after"]) == (503, b"1")


def test_a_token_without_the_scope_is_403_and_says_which() -> None:
    found = answer(path="/v1/closed", headers=[(b"authorization", b"Bearer poor")])
    assert found.problem["code"] == "insufficient_scope"
    assert f'scope="{SCOPE}"'.encode() in found.headers[b"www-authenticate"]


def test_an_open_operation_has_no_principal() -> None:
    async def handler(request: Request) -> Response:
        request.client()
        return await fine(request)

    assert answer(handler, headers=[(b"authorization", b"Bearer good")]).status == 500
    good = [(b"authorization", b"Bearer good")]
    assert answer(handler, path="/v1/closed", headers=good).status == 200


def echo(bytes_max: int) -> Any:
    async def handler(request: Request) -> Response:
        return Response(200, await request.read_body(bytes_max), [])

    return handler


def parts(*chunks: bytes, ends: bool = True) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]
    if ends:
        found[-1]["more_body"] = False
    return found


@pytest.mark.parametrize("chunks", [(b"",), (b"ab",), (b"", b""), (b"a", b"", b"b"), (b"ab", b"")])
def test_a_body_is_read_in_whatever_parts_it_comes(chunks: tuple[bytes, ...]) -> None:
    assert answer(echo(2), messages=parts(*chunks)).body == b"".join(chunks)


def test_a_message_without_a_body_is_an_empty_one() -> None:
    assert answer(echo(2), messages=[{"type": "http.request"}]).body == b""


class Watched:
    """Parts of a body that count how many of them were taken."""

    def __init__(self, *chunks: bytes) -> None:
        self.left = parts(*chunks)

    def __iter__(self) -> Any:
        while self.left:
            yield self.left.pop(0)


@pytest.mark.parametrize("declared", [None, b"1", b"0", b"-1", b"x", b"", b"3.0", b"\xb9"])
def test_a_body_that_grows_too_large_is_refused_as_soon_as_it_is(declared: bytes | None) -> None:
    """Whatever Content-Length said."""
    body = Watched(b"aa", b"aa", b"aa", b"aa")
    headers = [] if declared is None else [(b"content-length", declared)]
    found = answer(echo(3), headers=headers, messages=body)
    assert found.problem["code"] == "payload_too_large"
    assert found.headers[b"connection"] == b"close"
    assert len(body.left) == 2


@pytest.mark.parametrize("declared", [b"4", b"00000004", b"9" * 20, b"9" * 5_000])
def test_a_body_declared_too_large_is_refused_unread(declared: bytes) -> None:
    body = Watched(b"a")
    found = answer(echo(3), headers=[(b"content-length", declared)], messages=body)
    assert found.problem["code"] == "payload_too_large"
    assert len(body.left) == 1


def test_a_body_of_the_limit_is_read() -> None:
    found = answer(echo(4), headers=[(b"content-length", b"4")], messages=parts(b"aa", b"aa"))
    assert found.body == b"aaaa"


@pytest.mark.parametrize("chunks", [(), (b"a",), (b"a", b"b")])
def test_a_body_that_breaks_off_is_400_and_ends_the_connection(chunks: tuple[bytes, ...]) -> None:
    found = answer(echo(9), messages=parts(*chunks, ends=False))
    assert found.problem["code"] == "bad_request"
    assert found.headers[b"connection"] == b"close"


def test_server_timing_is_answered_where_it_is_switched_on() -> None:
    async def handler(request: Request) -> Response:
        request.timings.append(Span("queue", 0.0, 0.0015))
        return await fine(request)

    how: dict[str, Any] = {"path": "/v1/closed", "headers": [(b"authorization", b"Bearer good")]}
    assert b"server-timing" not in answer(handler, **how).headers
    timing = answer(handler, server_timing=True, **how).headers[b"server-timing"].decode()
    auth, queue = timing.split(", ")
    assert auth.startswith("auth;dur=")
    assert queue == "queue;dur=1.500"


def test_a_problem_carries_trace_and_timing_as_well() -> None:
    found = answer(raising(PoolBusy()), server_timing=True, headers=[TRACED])
    assert {b"traceparent", b"server-timing", b"retry-after"} <= found.headers.keys()


def app_without_requests(**turns: Callable[[], Any]) -> App:
    """One that is started and stopped, and is asked nothing."""
    return App(
        routes=None,  # type: ignore[arg-type]
        handlers={},
        verifier=None,  # type: ignore[arg-type]
        entrance=Entrance(is_for_partners=False),
        marks=None,  # type: ignore[arg-type]
        lines=None,  # type: ignore[arg-type]
        problem_base_url="",
        **turns,
    )


def test_start_and_stop_run_inside_the_loop_of_the_worker() -> None:
    happened: list[str] = []

    async def start() -> None:
        asyncio.get_running_loop()
        happened.append("start")

    async def stop() -> None:
        happened.append("stop")

    app = app_without_requests(start=start, stop=stop)
    messages = iter(("lifespan.startup", "lifespan.shutdown"))

    async def receive() -> dict[str, Any]:
        return {"type": next(messages)}

    async def send(message: dict[str, Any]) -> None:
        happened.append(message["type"])

    asyncio.run(AsgiAdapter(app)({"type": "lifespan"}, receive, send))
    asyncio.run(AsgiAdapter(app)({"type": "websocket"}, receive, send))
    assert happened == [
        "start", "lifespan.startup.complete", "stop", "lifespan.shutdown.complete"
    ]  # fmt: skip


def test_stops_are_heard_in_the_run_of_the_loop_that_serves_and_not_before() -> None:
    happened: list[str] = []
    loop = asyncio.new_event_loop()

    async def start() -> None:
        loop.call_later(0, happened.append, "the run of the start goes on")
        await asyncio.sleep(0.05)

    app = app_without_requests(start=start, stop=start, serve=lambda: happened.append("hears"))
    RsgiAdapter(app).__rsgi_init__(loop)
    assert happened == ["the run of the start goes on"]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert happened[1:] == ["hears"]
