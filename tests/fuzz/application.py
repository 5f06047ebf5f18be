"""The whole application of a worker, wired as in production to a real database, called by ASGI.

What is judged is its answer: never 500, a status that the document has for the operation, and a
problem in the form of every problem, or JSON.
"""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, NamedTuple

import jsonschema

from hpts.application import build_application
from hpts.http.asgi import AsgiAdapter
from hpts.http.document import load_document
from hpts.http.problems import KINDS
from hpts.http.routes import ROUTES, UNDOCUMENTED_ROUTES, RouteTable
from tests.fuzz.schemas import operations

Header = tuple[bytes, bytes]
SERVERS_OWN = frozenset((404, 405))
"""Of a path or a method that no operation has."""


class Sent(NamedTuple):
    """A request. A chunk of None is a client that hangs up."""

    method: str
    path: str
    query: bytes
    headers: tuple[Header, ...]
    chunks: tuple[bytes | None, ...] = (b"",)
    peer: str = "127.0.0.1"


class Answer(NamedTuple):
    status: int
    headers: tuple[Header, ...]
    body: bytes


class Application:
    """One worker's application in this process, with an event loop of its own."""

    def __init__(self) -> None:
        adapter = build_application()
        assert isinstance(adapter, AsgiAdapter), "HPTS_INTERFACE must be asgi"
        self._adapter = adapter
        self._loop = asyncio.new_event_loop()
        self._routes = RouteTable(ROUTES + UNDOCUMENTED_ROUTES)
        schema = {"$ref": "#/components/schemas/Problem", "components": _components()}
        self._problem = jsonschema.Draft202012Validator(schema)
        self._started = asyncio.Event()
        self._run(self._start())

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(coroutine)

    async def _start(self) -> None:
        await self._adapter._app.start()

    def send(self, sent: Sent) -> Answer:
        return self._run(self._send(sent))  # type: ignore[no-any-return]

    async def _send(self, sent: Sent) -> Answer:
        waiting = list(sent.chunks)
        answered: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            chunk = waiting.pop(0) if waiting else None
            if chunk is None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

        async def send(message: dict[str, Any]) -> None:
            answered.append(message)

        scope = {
            "type": "http",
            "method": sent.method,
            "path": sent.path,
            "query_string": sent.query,
            "headers": list(sent.headers),
            "client": (sent.peer, 50_000),
        }
        await self._adapter(scope, receive, send)
        start, body = answered
        return Answer(start["status"], tuple(start["headers"]), body["body"])

    def judge(self, sent: Sent) -> str:
        """Send it and check the answer; its status."""
        answer = self.send(sent)
        headers = dict(answer.headers)
        assert len(headers) == len(answer.headers), "each header once"
        for name, value in answer.headers:
            assert name == name.lower()
            assert value.isascii() and value.decode().isprintable(), f"{name!r}: {value!r}"
        assert headers[b"content-length"] == b"%d" % len(answer.body)
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert answer.status in self._expected(sent), f"answered {answer}"
        if answer.status >= 400:
            self._judge_problem(answer, headers)
        elif headers[b"content-type"] == b"application/json":
            json.loads(answer.body)
        return str(answer.status)

    def _expected(self, sent: Sent) -> frozenset[int]:
        found = self._routes.find(sent.path)
        route = found[0].get(sent.method) if found else None
        if route is None:
            return SERVERS_OWN
        operation = operations().get(route.operation_id)
        if operation is None:  # the document itself, and the page
            return frozenset((200, 404))
        return frozenset(map(int, operation["responses"]))

    def _judge_problem(self, answer: Answer, headers: dict[bytes, bytes]) -> None:
        assert headers[b"content-type"] == b"application/problem+json"
        assert headers[b"cache-control"] == b"no-store"
        problem = json.loads(answer.body)
        self._problem.validate(problem)
        assert problem["status"] == answer.status
        assert problem["title"] == KINDS[problem["code"]].title
        assert problem["type"].endswith("/" + problem["code"])


def _components() -> Any:
    return load_document()["components"]
