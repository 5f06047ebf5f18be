"""A request as handlers see it and a response as the app answers it; bodies are bounded while
read, in size and in time. Which server interface carries them is the adapters' business.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Protocol

import msgspec

from hpts.domain.audit import Origin
from hpts.domain.limits import BODY_SECONDS_MAX
from hpts.http.auth import Principal
from hpts.http.problems import ProblemRaised
from hpts.http.routes import Route
from hpts.spans import Span

JSON = ("content-type", "application/json")
CLOSE = ("connection", "close")
NO_STORE = ("cache-control", "no-store")
WATCH_SECONDS = 1
"""How often unfinished bodies are looked at."""


class Response(msgspec.Struct):
    """Status, body and headers; the app adds the trace and security headers. `is_page` for what a
    browser is to show or run."""

    status: int
    body: bytes
    headers: list[tuple[str, str]]
    is_page: bool = False


class StreamedResponse(Response, kw_only=True):
    """A response whose body comes in chunks, as the client takes them. `body` is empty."""

    chunks: AsyncGenerator[bytes, None]


class Headers(Protocol):
    """Header values by lower-case name; of a header sent several times, one of them."""

    def get(self, name: str, /) -> str | None: ...
    def __contains__(self, name: object, /) -> bool: ...


class BodyWatch:
    """Interrupts whoever waits for a client's body for longer than BODY_SECONDS_MAX.

    One timer for all: a timer a request would cost more than the reading itself.
    """

    def __init__(self, seconds_max: float = BODY_SECONDS_MAX) -> None:
        self._seconds_max = seconds_max
        self._deadlines: dict[asyncio.Task[object], float] = {}  # the oldest first
        self._overdue: set[asyncio.Task[object]] = set()
        self._is_watching = False

    def begin(self) -> asyncio.Task[object]:
        """Watch the current task until `end`; when it is overdue it is cancelled."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a body is read inside a task")
        self._deadlines[task] = time.monotonic() + self._seconds_max
        if not self._is_watching:
            self._is_watching = True
            self._look_again()
        return task

    def end(self, task: asyncio.Task[object]) -> bool:
        """Whether the task was interrupted for being overdue; from here on it is not."""
        del self._deadlines[task]
        if task not in self._overdue:
            return False
        self._overdue.remove(task)
        return True

    def _look_again(self) -> None:
        pause = min(WATCH_SECONDS, self._seconds_max)
        asyncio.get_running_loop().call_later(pause, self._look)

    def _look(self) -> None:
        now = time.monotonic()
        for task, deadline in self._deadlines.items():
            if deadline > now:
                break
            if task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        self._is_watching = bool(self._deadlines)
        if self._is_watching:
            self._look_again()


class Request(ABC):
    """One request on its way. `path_parameters` are as the client wrote them."""

    __slots__ = (
        "_watch",
        "headers",
        "is_timed",
        "method",
        "origin_of",
        "path",
        "path_parameters",
        "principal",
        "route",
        "started_at",
        "timings",
        "trace_id",
        "traceparent",
    )

    def __init__(self, method: str, path: str, headers: Headers, watch: BodyWatch) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.started_at = time.monotonic()
        self.trace_id = ""
        self.traceparent = ""
        self.route: Route | None = None
        self.path_parameters: tuple[str, ...] = ()
        self.principal: Principal | None = None
        self.is_timed = False  # whether anybody is to see its timings
        self.timings: list[Span] = []
        self.origin_of: Callable[[Request], Origin] = _of_no_entrance
        self._watch = watch

    @property
    @abstractmethod
    def query_string(self) -> bytes:
        """As the client wrote it."""

    @property
    @abstractmethod
    def peer(self) -> str:
        """The address that the connection comes from, without the port: a proxy's, where there is
        one. What is recorded of a request is its `origin`."""

    @property
    @abstractmethod
    def client_address(self) -> tuple[str, int]:
        """The address and port that the connection comes from."""

    @abstractmethod
    def header_values(self, name: str) -> list[str]:
        """Every value of a header that may wrongly be sent twice."""

    @abstractmethod
    async def _receive_body(self, bytes_max: int, *, is_declared: bool) -> bytes:
        """The body as it comes in; `is_declared` where its size was given and is within the bound.
        Raises ProblemRaised once it is over `bytes_max` or breaks off."""

    @abstractmethod
    async def until_hung_up(self) -> None:
        """Return when the client has gone; its body must have been read, where it has one."""

    def client(self) -> Principal:
        """Who calls. Only for operations that need a token."""
        if self.principal is None:
            raise RuntimeError("the operation is open to everybody and has no principal")
        return self.principal

    @property
    def origin(self) -> Origin:
        """From where the request comes, as the audit record says it. Worked out when asked for:
        most operations record nothing."""
        return self.origin_of(self)

    async def read_body(self, bytes_max: int) -> bytes:
        """The body. Refuses with 413 as soon as it is known to be over `bytes_max`."""
        declared = self.headers.get("content-length")
        if declared is not None and declared.isdecimal() and int(declared[:20]) > bytes_max:
            raise too_large(bytes_max)
        task = self._watch.begin()
        try:
            body = await self._receive_body(bytes_max, is_declared=declared is not None)
        except asyncio.CancelledError:
            if not self._watch.end(task):
                raise
            task.uncancel()
            message = f"Send the whole body within {BODY_SECONDS_MAX} seconds."
            raise ProblemRaised("bad_request", message, headers=(CLOSE,)) from None
        except BaseException:
            self._watch.end(task)
            raise
        self._watch.end(task)
        return body


def _of_no_entrance(request: Request) -> Origin:
    raise RuntimeError("the request has not come through an App, which knows the trusted proxies")


async def join_chunks(chunks: AsyncIterable[bytes], bytes_max: int) -> bytes:
    """All of a body. Raises ProblemRaised as soon as it is over `bytes_max`."""
    kept: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > bytes_max:
            raise too_large(bytes_max)
        kept.append(chunk)
    return kept[0] if len(kept) == 1 else b"".join(kept)


def too_large(bytes_max: int) -> ProblemRaised:
    """413 for a body over the limit. The rest of it is not read, so the connection must end."""
    return ProblemRaised(
        "payload_too_large",
        f"Send a body of at most {bytes_max} bytes.",
        headers=(CLOSE,),
    )


def broken_off() -> ProblemRaised:
    """400 for a client that hung up; without an answer the server would make it a 500."""
    return ProblemRaised("bad_request", "The body ended before it was whole.", headers=(CLOSE,))


def money_response(body: bytes) -> Response:
    """200 with something that has money in it: never kept by a cache."""
    return Response(200, body, [JSON, NO_STORE])
