"""The client: framing, retries with the same key, and clear refusals, against scripted replies."""

import asyncio
import base64
import json

import pytest

from hpts.demo import client as client_module
from hpts.demo.bearer import BearerToken
from hpts.demo.client import LedgerClient
from hpts.demo.errors import DemoError

CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'4;x=y\r\n{"a"\r\n3\r\n:1}\r\n0\r\nTrailer: t\r\n\r\n'
)
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
IN_FLIGHT = b"HTTP/1.1 409 Conflict\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
REPLAYED = b"HTTP/1.1 200 OK\r\nIdempotent-Replayed: true\r\nContent-Length: 2\r\n\r\n{}"
LOST = b""
HALF = b"HTTP/1.1 201 Created\r\nContent-Length: 20\r\n\r\n{"
PROBLEM = json.dumps(
    {
        "title": "Loan not found",
        "code": "loan_not_found",
        "detail": "disburse first",
        "errors": [{"field": "loan_id", "code": "x", "message": "unknown"}],
    }
).encode()
REFUSED = b"HTTP/1.1 422 No\r\nContent-Length: %d\r\n\r\n%s" % (len(PROBLEM), PROBLEM)


class ScriptedServer:
    """Answers the n-th request with the n-th reply; an unfinished reply ends its connection."""

    def __init__(self, *replies: bytes) -> None:
        self.requests: list[bytes] = []
        self.connections_count = 0
        self._replies = list(replies)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections_count += 1
        try:
            while self._replies:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [li for li in head.split(b"\r\n") if li.startswith(b"Content-Length")]
                body = await reader.readexactly(int(length[0].split()[1]) if length else 0)
                self.requests.append(head + body)
                reply = self._replies.pop(0)
                writer.write(reply)
                await writer.drain()
                if reply in (LOST, HALF, UNTIL_CLOSE):
                    return
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def talk(script: ScriptedServer, action):
    async def main():
        server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = LedgerClient(f"http://127.0.0.1:{port}/v1", BearerToken("secret"), 4)
        try:
            return await action(client)
        finally:
            client.close()
            server.close()

    return asyncio.run(main())


async def pay(client: LedgerClient) -> bytes:
    return await client.post("/payments", key="payment:1", body={"amount_minor": "1"})


def test_a_posting_carries_its_key_token_and_body():
    script = ScriptedServer(CREATED)
    assert talk(script, pay) == b"{}"
    (request,) = script.requests
    assert request.startswith(b"POST /v1/payments HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nIdempotency-Key: payment:1\r\n" in request
    assert b"\r\nAuthorization: Bearer secret\r\n" in request
    assert request.endswith(b'\r\n\r\n{"amount_minor":"1"}')


def test_a_connection_is_kept_and_chunks_and_streams_to_the_end_are_read():
    script = ScriptedServer(CHUNKED, CREATED, UNTIL_CLOSE, CREATED)

    async def four(client):
        return [await client.get("/x") for _ in range(3)] + [await pay(client)]

    assert talk(script, four) == [b'{"a":1}', b"{}", b"{}", b"{}"]
    assert script.connections_count == 2


@pytest.mark.parametrize("trouble", [BUSY, IN_FLIGHT, LOST, HALF])
def test_a_posting_is_retried_with_the_same_key_and_body(trouble):
    script = ScriptedServer(trouble, REPLAYED)
    assert talk(script, pay) == b"{}"
    first, second = script.requests
    assert first == second


def test_a_replay_without_a_retry_means_that_the_tenant_was_used_before():
    with pytest.raises(DemoError, match="fresh tenant"):
        talk(ScriptedServer(REPLAYED), pay)


def test_a_refusal_stops_with_the_problems_detail():
    with pytest.raises(DemoError, match="loan_not_found: disburse first; loan_id: unknown"):
        talk(ScriptedServer(REFUSED), pay)


def test_retries_are_bounded(monkeypatch):
    monkeypatch.setattr(client_module, "ATTEMPTS_MAX", 3)
    script = ScriptedServer(*[BUSY] * 5)
    with pytest.raises(DemoError, match="failed 3 times, at last with: 503"):
        talk(script, pay)
    assert len(script.requests) == 3


def test_the_tenant_is_read_from_the_token_and_a_callable_is_asked_again(monkeypatch):
    claims = base64.urlsafe_b64encode(b'{"tenant_id": "t-1"}').rstrip(b"=").decode()
    issued = []

    def issue() -> str:
        issued.append(f"h{len(issued)}.{claims}.s")
        return issued[-1]

    token = BearerToken(issue)
    assert token.tenant_id() == "t-1"
    assert token.current() == token.current() == issued[0]
    monkeypatch.setattr("hpts.demo.bearer.REFRESH_AFTER_SECONDS", -1)
    assert token.current() == issued[1]


def test_a_token_without_a_tenant_is_refused():
    with pytest.raises(DemoError, match="tenant_id"):
        BearerToken("opaque").tenant_id()
