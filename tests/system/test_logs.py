"""The log: one JSON line a request, with what an operator needs and nothing that is a secret.

The secrets are recognisable words and numbers, sent in every place that a client can fill, and then
looked for in the raw log.
"""

import json
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hpts.http.issuer import DevelopmentIssuer
from hpts.store.tenants import add_tenant
from tests.conftest import Server

from .payers import Client, Loan, Reply, day, loan_body, open_loans, payment_body
from .processes import HPTS, answers, quiet_port, serving, serving_environment, wait_for, wait_until

FIELDS = {"time", "level", "method", "route", "status", "duration_ms", "tenant", "trace_id", "code"}
OPTIONAL = {"tenant", "code"}
SECRET_AMOUNT = 918273645546
WORD = "SeCrEt"
EVENT_FIELDS = {"time", "level", "message", "trace_id", "exception"}


class Log:
    """What a server has written so far."""

    def __init__(self, server: Server) -> None:
        self._path = server.log

    def text(self) -> str:
        time.sleep(0.3)  # lines are written in batches
        return self._path.read_text()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]

    def requests(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if "method" in line]

    def of_trace(self, trace_id: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line.get("trace_id") == trace_id]


@pytest.fixture(scope="module")
def logging_server(
    own_database_url: str, issuer: DevelopmentIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("logs") / "log"
    with serving(own_database_url, issuer, log, quiet_port()) as server:
        yield server


@pytest.fixture(scope="module")
def log(logging_server: Server) -> Log:
    return Log(logging_server)


@pytest.fixture(scope="module")
def tenant_id(own_database_url: str) -> str:
    return str(add_tenant(own_database_url, f"{WORD} lender"))


@pytest.fixture(scope="module")
def token(issue_token: Callable[..., str], tenant_id: str) -> str:
    return issue_token(tenant_id, subject=f"{WORD}-subject")


@pytest.fixture
def client(logging_server: Server, token: str) -> Iterator[Client]:
    made = Client(port_of(logging_server), token)
    yield made
    made.close()


def port_of(server: Server) -> int:
    return int(server.base_url.rpartition(":")[2])


def trace_of(reply: Reply) -> str:
    return reply.headers["traceparent"].split("-")[1]


def secret_payment(loan: Loan) -> dict[str, object]:
    return payment_body(loan, SECRET_AMOUNT) | {
        "external_ref": f"{WORD}-reference",
        "metadata": {f"{WORD}-name": f"{WORD}-value"},
    }


def fresh_key() -> str:
    return f"{WORD}-key:{uuid.uuid4()}"


def check_silence(log: Log, token: str, *others: str) -> None:
    text = log.text()
    for secret in (token, token.rpartition(".")[2], WORD, str(SECRET_AMOUNT), *others):
        assert secret not in text, f"{secret!r} is in the log"


def test_a_request_leaves_one_line_with_exactly_the_fields(
    client: Client, log: Log, tenant_id: str
) -> None:
    reply = client.get(f"/v1/loans/{uuid.uuid4()}/balance")
    assert reply.status == 404
    (line,) = log.of_trace(trace_of(reply))
    assert set(line) == FIELDS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert 0 < line["duration_ms"] < 30_000
    assert {name: line[name] for name in FIELDS - {"time", "duration_ms", "trace_id"}} == {
        "level": "info",
        "method": "GET",
        "route": "/v1/loans/{loan_id}/balance",
        "status": 404,
        "tenant": tenant_id,
        "code": "not_found",
    }


def test_every_request_leaves_a_line(client: Client, log: Log, token: str) -> None:
    (loan,) = open_loans(client.port, token, 1)
    sent = [client.post("/v1/payments", fresh_key(), payment_body(loan, 3)) for _ in range(20)]
    sent += [client.get(f"/v1/loans/{loan.loan_id}/balance") for _ in range(20)]
    sent += [client.get("/v1/nothing/there"), client.get("/v1/health/live")]
    seen = {line["trace_id"]: line for line in log.requests()}
    for reply in sent:
        line = seen[trace_of(reply)]
        assert line["status"] == reply.status
        assert set(line) - OPTIONAL == FIELDS - OPTIONAL
        assert ("code" in line) == (reply.status >= 400)
    assert seen[trace_of(sent[-2])]["route"] == ""
    assert all(line["trace_id"] != "" for line in log.requests())


def test_a_problem_names_the_trace_of_its_line(client: Client, log: Log) -> None:
    reply = client.post("/v1/payments", fresh_key(), {"loan_id": "x"})
    (line,) = log.of_trace(json.loads(reply.body)["trace_id"])
    assert (line["status"], line["code"]) == (400, "bad_request")


def test_nothing_secret_of_a_request_is_logged(client: Client, log: Log, token: str) -> None:
    (loan,) = open_loans(client.port, token, 1)
    body = secret_payment(loan)
    key = fresh_key()
    replies = {
        "posted": client.post("/v1/payments", key, body),
        "replayed": client.post("/v1/payments", key, body),
        "mismatch": client.post("/v1/payments", key, body | {"amount_minor": "1"}),
        "unknown loan": client.post("/v1/payments", fresh_key(), body | {"loan_id": _uuid()}),
        "bad field": client.post("/v1/payments", fresh_key(), body | {"currency": WORD}),
        "unknown field": client.post("/v1/payments", fresh_key(), body | {WORD: WORD}),
        "too many digits": client.post(
            "/v1/payments", fresh_key(), body | {"amount_minor": f"{SECRET_AMOUNT}0000000000"}
        ),
        "bad key": client.post("/v1/payments", f"{WORD} key with spaces", body),
        "query": client.get(f"/v1/loans/{loan.loan_id}/balance?{WORD}={WORD}"),
        "path": client.get(f"/v1/{WORD}"),
        "path parameter": client.get(f"/v1/accounts/{WORD}/balance"),
    }
    assert [reply.status for reply in replies.values()] == [
        201, 200, 422, 422, 400, 400, 400, 400, 400, 404, 400,
    ]  # fmt: skip
    for raw in (b"{", b'{"loan_id": "' + WORD.encode() + b'\xff"}', f'"{WORD}"'.encode()):
        assert _post_raw(client.port, token, raw) == 400
    assert _post_raw(client.port, f"{WORD}.{WORD}.{WORD}", b"{}") == 401
    assert _post_raw(client.port, token[:-4] + "AAAA", b"{}") == 401
    check_silence(log, token, loan.loan_id, loan.borrower_id)


def _uuid() -> str:
    return str(uuid.uuid4())


def _post_raw(port: int, token: str, body: bytes) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/payments",
        data=body,
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Idempotency-Key": fresh_key(),
        },
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    refused.value.close()
    return int(refused.value.code)


@pytest.fixture
def broken_database(own_database_url: str) -> Iterator[None]:
    """PostgreSQL refuses SECRET_AMOUNT with a message that quotes the whole row."""
    with psycopg.connect(own_database_url, autocommit=True) as connection:
        connection.execute(
            "ALTER TABLE journal_lines ADD CONSTRAINT test_refuses_an_amount"
            f" CHECK (amount_minor <> {SECRET_AMOUNT}) NOT VALID"
        )
        yield
        connection.execute("ALTER TABLE journal_lines DROP CONSTRAINT test_refuses_an_amount")


@pytest.mark.usefixtures("broken_database")
def test_an_unexpected_error_is_logged_under_its_trace_without_the_data(
    client: Client, log: Log, token: str
) -> None:
    (loan,) = open_loans(client.port, token, 1)
    reply = client.post("/v1/payments", fresh_key(), secret_payment(loan))
    problem = json.loads(reply.body)
    assert (reply.status, problem["code"]) == (500, "internal_error")
    assert "test_refuses_an_amount" not in reply.body.decode()
    event, request = sorted(log.of_trace(problem["trace_id"]), key=lambda line: "method" in line)
    assert (request["status"], request["code"]) == (500, "internal_error")
    assert set(event) == EVENT_FIELDS
    assert event["level"] == "error"
    assert "Traceback" in event["exception"]
    assert "23514" in event["message"] and "test_refuses_an_amount" in event["message"]
    check_silence(log, token)


@pytest.mark.usefixtures("broken_database")
def test_a_failed_batch_is_logged_without_the_data(
    logging_server: Server, client: Client, log: Log, token: str
) -> None:
    """Postings that share a batch with one that PostgreSQL refuses get through all the same."""
    (loan,) = open_loans(client.port, token, 1)
    replies: list[Reply] = []

    def pay(number: int) -> None:
        own = Client(client.port, token)
        body = secret_payment(loan) if number % 4 == 0 else payment_body(loan, number)
        replies.append(own.post("/v1/payments", fresh_key(), body))
        own.close()

    threads = [threading.Thread(target=pay, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reply.status for reply in replies) == [201] * 18 + [500] * 6
    check_silence(log, token)


def test_the_lines_of_two_workers_never_mix_in_a_pipe(
    own_database_url: str, issuer: DevelopmentIssuer, token: str, tmp_path: Path
) -> None:
    port = quiet_port()
    environment = serving_environment(own_database_url, issuer, port)
    process = subprocess.Popen([*HPTS, "serve"], env=environment, stderr=subprocess.PIPE)
    received = bytearray()

    def read() -> None:
        assert process.stderr is not None
        while chunk := process.stderr.read1(512):  # type: ignore[attr-defined]
            received.extend(chunk)
            time.sleep(0.0005)  # a slow reader, so that the pipe fills

    reader = threading.Thread(target=read)
    reader.start()
    try:
        url = f"http://127.0.0.1:{port}/v1/health/live"
        wait_for(process, lambda: answers(url), tmp_path)
        asked = 12 * 300

        def ask() -> None:
            own = Client(port, token)
            for _ in range(300):
                assert own.get("/v1/nothing").status == 404
            own.close()

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        reader.join()
    lines = [json.loads(line) for line in received.decode().splitlines()]
    assert len([line for line in lines if line.get("status") == 404]) == asked


def test_times_are_the_servers_and_in_utc(client: Client, log: Log) -> None:
    reply = client.get("/v1/health/live")
    (line,) = log.of_trace(trace_of(reply))
    assert line["time"].startswith(day())


def test_the_token_of_a_bad_request_to_the_token_endpoint_is_not_logged(
    client: Client, log: Log
) -> None:
    """The endpoint exists only in `hpts dev`; elsewhere its path is unknown, still not echoed."""
    reply = client.post("/oauth2/token", fresh_key(), {"client_secret": WORD})
    assert reply.status == 404
    wait_until(lambda: bool(log.of_trace(trace_of(reply))), "the line", 5)
    assert WORD not in log.text()


def test_a_disbursement_line_has_its_route(client: Client, log: Log) -> None:
    loan = Loan(_uuid(), _uuid())
    reply = client.post(
        "/v1/disbursements", fresh_key(), loan_body(loan, SECRET_AMOUNT) | {"method": "wire"}
    )
    assert reply.status == 201
    (line,) = log.of_trace(trace_of(reply))
    assert (line["method"], line["route"]) == ("POST", "/v1/disbursements")
    assert "code" not in line
