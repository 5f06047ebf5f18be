"""Clients that mean harm: idle, slow, oversized or odd requests hold nobody else up, end in bounded
time, and never in a 500.
"""

import contextlib
import json
import resource
import select
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from hpts.http import postings
from hpts.http.issuer import DevelopmentIssuer
from tests.conftest import Server, start_server, stop_server
from tests.contract.client import NO_TLS, Loan, disbursement_body, fresh_key

IDLE = 10_000
DRIPPING = 100
CLOSED_WITHIN_SECONDS = 45
"""Headers may take 30 s, a body 10; what is left is for the machine to be slow in."""
ATTACKS = (
    "' OR 1=1; DROP TABLE journal_entries; --",
    "../../../../etc/passwd",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "%00",
    "\x7f",
    "é" * 100,
    "\U0001f4b8" * 50,
    "A" * 50_000,
    "-1",
    "null",
    "0x7fffffff",
    "\u202eevil",
)


@pytest.fixture(scope="module")
def live(
    database_url: str, issuer: DevelopmentIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of its own: it is left with thousands of connections."""
    server = start_server(database_url, issuer, tmp_path_factory.mktemp("attacked") / "log")
    yield server
    stop_server(server)


@pytest.fixture
def client(
    live: Server, new_tenant: Callable[[], str], issue_token: Callable[..., str]
) -> Iterator[httpx.Client]:
    token = issue_token(new_tenant())
    with httpx.Client(
        base_url=f"{live.base_url}/v1",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
        trust_env=False,
        verify=NO_TLS,
    ) as client:
        yield client


def disburse(client: httpx.Client) -> httpx.Response:
    body = disbursement_body(Loan(), 1)
    return client.post("/disbursements", json=body, headers={"Idempotency-Key": fresh_key()})


def address(server: Server) -> tuple[str, int]:
    parts = urlsplit(server.base_url)
    return str(parts.hostname), int(parts.port or 0)


@contextlib.contextmanager
def many_files(count: int) -> Iterator[int]:
    """Let this process open so many files, or as many as it may; how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    try:
        yield max(soft, allowed)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ten_thousand_idle_and_slow_connections_keep_nobody_out(
    live: Server, client: httpx.Client
) -> None:
    """As many as the system's limit on open files allows, where that is less."""
    with many_files(IDLE + 1_000) as files, contextlib.ExitStack() as stack:
        count = min(IDLE, files - 500)
        assert count > 2 * 1_024, "too few open files are allowed for this test to say anything"
        held = [stack.enter_context(socket.create_connection(address(live))) for _ in range(count)]
        head = b"POST /v1/payments HTTP/1.1\r\nHost: x\r\n"
        for connection in held[:DRIPPING]:
            connection.sendall(head + b"X-Slow: ")
        for connection in held[DRIPPING : 2 * DRIPPING]:
            connection.sendall(head + b"Content-Length: 100\r\n\r\n{")
        took = []
        for _ in range(30):
            started = time.monotonic()
            assert disburse(client).status_code == 201
            took.append(time.monotonic() - started)
        assert sorted(took)[-2] < 5, "a machine may stall once"
        deadline = time.monotonic() + CLOSED_WITHIN_SECONDS
        while held and time.monotonic() < deadline:
            for connection in held[:DRIPPING]:
                with contextlib.suppress(OSError):
                    connection.send(b"a")
            held = [connection for connection in held if not is_closed(connection)]
            time.sleep(0.5)
        assert held == [], f"{len(held)} connections are still open"
    assert disburse(client).status_code == 201


def is_closed(connection: socket.socket) -> bool:
    """Whether the server has ended the connection, answered or not."""
    poll = select.poll()
    poll.register(connection, select.POLLIN | select.POLLHUP | select.POLLERR)
    if not poll.poll(0):
        return False
    try:
        while received := connection.recv(65_536, socket.MSG_DONTWAIT):
            assert b" 500 " not in received
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def raw(server: Server, request: bytes) -> bytes:
    """The first of what the server answers to bytes."""
    with socket.create_connection(address(server), timeout=20) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(request)
        try:
            return connection.recv(65_536)
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /v1/health/live HTTP/1.1\r\nHost: x\r\nX-Large: " + b"a" * 2_000_000 + b"\r\n\r\n",
        b"GET /v1/health/live HTTP/1.1\r\nHost: x\r\n" + b"X-Many: a\r\n" * 100_000 + b"\r\n",
        b"GET /v1/health/live?" + b"a" * 2_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v1/health/live HTTP/9.9\r\n\r\n",
        b"POST /v1/payments HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/payments HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /v1/payments HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/payments HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"FFFFFFFFFFFFFFFFF\r\n",
    ],
    ids=lambda request_bytes: repr(request_bytes[:60]),
)
def test_what_is_no_decent_request_is_refused_and_never_500(
    live: Server, client: httpx.Client, request_bytes: bytes
) -> None:
    answered = raw(live, request_bytes)
    assert not answered or answered.split(b" ", 2)[1][:1] == b"4", answered[:200]
    assert disburse(client).status_code == 201


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_strings_are_refused_wherever_a_client_may_put_them(
    client: httpx.Client, attack: str
) -> None:
    body = json.dumps(disbursement_body(Loan(), 1)).encode()
    headers = {b"Idempotency-Key": attack.encode(), b"Content-Type": b"application/json"}
    with contextlib.suppress(httpx.LocalProtocolError):  # this client refuses to send some
        answer = client.post("/disbursements", content=body, headers=headers)  # type: ignore[arg-type]
        is_a_key = postings.IDEMPOTENCY_KEY.fullmatch(attack) is not None
        assert answer.status_code in ((200, 201) if is_a_key else (400, 431))
    loan = Loan()
    answers = [
        client.get(f"/loans/{loan.loan_id}/journal-entries", params={"page_token": attack}),
        client.get(f"/loans/{loan.loan_id}/journal-entries", params={"event_type": attack}),
        client.get(f"/loans/{loan.loan_id}/balance", params={"as_of_date": attack}),
        client.get("/accounts/1000/balance", params={"currency": attack}),
        client.get("/accounts/1000/balance", params={attack: "USD", "currency": "USD"}),
        client.post(
            "/disbursements",
            json=disbursement_body(loan, 1, currency=attack),
            headers={"Idempotency-Key": fresh_key()},
        ),
        client.post(
            "/disbursements",
            json=disbursement_body(loan, 1) | {attack: attack},
            headers={"Idempotency-Key": fresh_key()},
        ),
    ]
    assert {answer.status_code for answer in answers} <= {400, 414, 422, 431}
    for answer in answers:
        if answer.status_code in (400, 422):  # others are the server's own, before the application
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 300_000,
        b"{" + b",".join(b'"k%d":1' % at for at in range(150_000)) + b"}",
        b'{"loan_id":' + b"9" * 1_900_000 + b"}",
        b'{"loan_id":1e' + b"9" * 1_000_000 + b"}",
        b'{"loan_id":"' + b"\\u0000" * 300_000 + b'"}',
        b'{"metadata":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        b'{"loans":[' + b"{}," * 600_000 + b"{}]}",
    ],
    ids=lambda body: repr(body[:20]),
)
@pytest.mark.parametrize("path", ["/payments", "/accruals/batch"])
def test_deep_and_wide_bodies_are_refused_in_bounded_time(
    client: httpx.Client, path: str, body: bytes
) -> None:
    started = time.monotonic()
    headers = {"Idempotency-Key": fresh_key(), "Content-Type": "application/json"}
    answer = client.post(path, content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_request"
    assert len(answer.content) < 8_000_000
    assert time.monotonic() - started < 20
