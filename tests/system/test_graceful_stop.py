"""SIGTERM: what arrived whole is answered whole, then the process ends. Overload is answered too.

Raw sockets, so that a reply that was cut is told from one that never began. Postings are held up by
a lock on their loan, as a slow database would hold them up.
"""

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from hpts.http.issuer import DevelopmentIssuer
from hpts.store.verify import verify_tenant
from tests.conftest import Server

from .payers import Client, Loan, open_loans, payment_body, read_payments
from .processes import (
    answers,
    descendants,
    quiet_port,
    serving,
    serving_unready,
    wait_until,
    wait_until_gone,
    workers_of,
)

CONNECTIONS = 32
REQUEST_SECONDS_MAX = 30
STOP_UNDER_LOAD_SECONDS_MAX = 10
STOP_WITH_A_STALLED_CLIENT_SECONDS_MAX = 25


class Answer(NamedTuple):
    """What came back: `status` is None for nothing at all and -1 for a reply that was cut."""

    key: str
    sent_at: float
    status: int | None
    body: bytes
    headers: bytes = b""


def request_bytes(token: str, key: str, loan: Loan, amount_minor: int) -> bytes:
    body = json.dumps(payment_body(loan, amount_minor)).encode()
    head = (
        f"POST /v1/payments HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: {key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), REQUEST_SECONDS_MAX)


def exchange(connection: socket.socket, key: str, request: bytes) -> Answer:
    """One request and what came back before the connection ended."""
    received = b""
    sent_at = time.monotonic()
    try:
        connection.sendall(request)
        sent_at = time.monotonic()
        while (length := _whole(received)) is None:
            chunk = connection.recv(65_536)
            if not chunk:
                break
            received += chunk
    except OSError:
        length = _whole(received)
    if length is None:
        return Answer(key, sent_at, -1 if received else None, received)
    head, _, body = received.partition(b"\r\n\r\n")
    assert len(received) == length, "more than one reply"
    return Answer(key, sent_at, int(head.split()[1]), body, head.lower())


def _whole(received: bytes) -> int | None:
    """The length of the reply, once all of it is there."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return None
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].partition(b":")[2])
    return len(head) + 4 + length if len(body) >= length else None


@contextmanager
def held_loan(database_url: str, tenant_id: str, loan: Loan) -> Iterator[None]:
    """Nobody else can post on the loan meanwhile."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT 1 FROM loans WHERE tenant_id = %s AND loan_id = %s FOR UPDATE",
            [tenant_id, loan.loan_id],
        ).fetchone()
        assert found is not None
        yield


class Load:
    """A payment after another on each of CONNECTIONS connections, until the server hangs up."""

    def __init__(self, port: int, token: str, loan: Loan, seed: int) -> None:
        print(f"seed of the load: {seed}")
        self.answers: list[Answer] = []
        self._request = (token, loan)
        self._seed = seed
        self._connections = [connect(port) for _ in range(CONNECTIONS)]
        self._threads = [
            threading.Thread(target=self._pay, args=(number,)) for number in range(CONNECTIONS)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        for connection in self._connections:
            connection.close()

    def _pay(self, number: int) -> None:
        token, loan = self._request
        drawn = random.Random(f"{self._seed}/{number}")
        for payment in range(100_000):
            key = f"payment:{self._seed}:{number}:{payment}"
            request = request_bytes(token, key, loan, drawn.randint(1, 5_000))
            answer = exchange(self._connections[number], key, request)
            self.answers.append(answer)
            if answer.status in (None, -1) or b"\r\nconnection: close" in answer.headers:
                return


@pytest.fixture
def seed() -> int:
    return random.SystemRandom().randrange(10**9)


@pytest.fixture
def tenant_id(new_tenant: Callable[[], str]) -> str:
    return new_tenant()


@pytest.fixture
def token(issue_token: Callable[..., str], tenant_id: str) -> str:
    return issue_token(tenant_id)


@pytest.fixture
def live(database_url: str, issuer: DevelopmentIssuer, tmp_path: Path) -> Iterator[Server]:
    """A server of its own for each test, which stops it."""
    with serving(database_url, issuer, tmp_path / "log", quiet_port()) as server:
        yield server


def port_of(server: Server) -> int:
    return int(server.base_url.rpartition(":")[2])


def check_stopped(server: Server, stopped_at: float, seconds_max: float, processes: list) -> None:  # type: ignore[type-arg]
    assert server.process.wait(seconds_max + 10) == 0, server.log.read_text()[-2000:]
    took = time.monotonic() - stopped_at
    print(f"stopped within {took:.2f} s")
    assert took < seconds_max
    wait_until_gone(processes, 1)
    assert not answers(f"{server.base_url}/v1/health/live")


def check_journal(server: Server, tenant_id: str, answered: list[Answer]) -> None:
    """Every 2xx is in the journal; nothing is there that was not sent."""
    posted = {row.idempotency_key: row for row in read_payments(server.database_url, tenant_id)}
    for answer in answered:
        if answer.status in (200, 201):
            entry_id = json.loads(answer.body)["journal_entry_id"]
            assert str(posted[answer.key].journal_entry_id) == entry_id
    assert posted.keys() <= {answer.key for answer in answered}
    assert not verify_tenant(server.database_url, uuid.UUID(tenant_id)).findings


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_arrived_before_the_stop_is_answered_whole(
    live: Server, tenant_id: str, token: str, seed: int, number: int
) -> None:
    (loan,) = open_loans(port_of(live), token, 1)
    load = Load(port_of(live), token, loan, seed)
    time.sleep(0.5)
    processes = descendants(live.process.pid)
    stopped_at = time.monotonic()
    live.process.send_signal(number)
    load.join()
    check_stopped(live, stopped_at, STOP_UNDER_LOAD_SECONDS_MAX, processes)
    statuses = Counter(answer.status for answer in load.answers)
    print(f"statuses: {statuses}")
    assert statuses[-1] == 0, "a reply was cut"
    assert set(statuses) <= {201, 503, None}
    assert statuses[201] > CONNECTIONS
    early = [answer for answer in load.answers if answer.sent_at < stopped_at]
    assert {answer.status for answer in early} == {201}
    for answer in load.answers:
        if answer.status == 503:
            assert json.loads(answer.body)["code"] == "shutting_down"
            assert b"\r\nretry-after: " in answer.headers
    check_journal(live, tenant_id, load.answers)


def test_postings_held_up_in_the_database_are_answered_before_the_process_ends(
    live: Server, tenant_id: str, token: str, seed: int
) -> None:
    (loan,) = open_loans(port_of(live), token, 1)
    with held_loan(live.database_url, tenant_id, loan):
        load = Load(port_of(live), token, loan, seed)
        time.sleep(0.7)
        assert not load.answers
        processes = descendants(live.process.pid)
        stopped_at = time.monotonic()
        live.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert live.process.poll() is None, "it did not wait for what it had accepted"
    load.join()
    check_stopped(live, stopped_at, STOP_UNDER_LOAD_SECONDS_MAX, processes)
    early = [answer for answer in load.answers if answer.sent_at < stopped_at]
    assert [answer.status for answer in early] == [201] * CONNECTIONS
    check_journal(live, tenant_id, load.answers)


@pytest.mark.parametrize("delay_ms", [0, 10, 25, 50, 100, 200])
def test_a_stop_while_the_workers_start_is_not_lost(
    database_url: str, issuer: DevelopmentIssuer, tmp_path: Path, delay_ms: int
) -> None:
    with serving_unready(database_url, issuer, tmp_path / "log", quiet_port()) as process:
        wait_until(lambda: len(workers_of(process)) == 2, "the workers")
        time.sleep(delay_ms / 1000)
        processes = descendants(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_UNDER_LOAD_SECONDS_MAX) == 0
        wait_until_gone(processes, 1)


FORK = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: None)
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
from hpts.server import let_signals_end_forks
let_signals_end_forks()
child = os.fork()
if child == 0:
    time.sleep(30)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -signal.SIGTERM)
"""
"""A child that is told to stop before it could forget its parent's handler."""


def test_a_stop_before_a_worker_has_forgotten_the_servers_handlers_is_not_lost() -> None:
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)


def test_idle_connections_do_not_keep_the_process(live: Server, token: str, seed: int) -> None:
    (loan,) = open_loans(port_of(live), token, 1)
    used, unused = connect(port_of(live)), connect(port_of(live))
    assert exchange(used, "idle", request_bytes(token, f"idle:{seed}", loan, 5)).status == 201
    processes = descendants(live.process.pid)
    stopped_at = time.monotonic()
    live.process.send_signal(signal.SIGTERM)
    check_stopped(live, stopped_at, STOP_UNDER_LOAD_SECONDS_MAX, processes)
    used.close()
    unused.close()


def test_a_client_that_stalls_in_its_request_keeps_the_process_for_a_bounded_time(
    live: Server, tenant_id: str, token: str, seed: int
) -> None:
    (loan,) = open_loans(port_of(live), token, 1)
    with connect(port_of(live)) as stalled:
        stalled.sendall(request_bytes(token, f"half:{seed}", loan, 7)[:-10])
        time.sleep(0.3)
        processes = descendants(live.process.pid)
        stopped_at = time.monotonic()
        live.process.send_signal(signal.SIGTERM)
        check_stopped(live, stopped_at, STOP_WITH_A_STALLED_CLIENT_SECONDS_MAX, processes)
    assert not read_payments(live.database_url, tenant_id)


def test_a_full_queue_is_answered_overloaded_and_the_rest_is_posted(
    database_url: str,
    issuer: DevelopmentIssuer,
    tenant_id: str,
    token: str,
    tmp_path: Path,
    seed: int,
) -> None:
    port, answered = quiet_port(), []
    with serving(database_url, issuer, tmp_path / "log", port, HPTS_QUEUE_LIMIT="4") as server:
        (loan,) = open_loans(port, token, 1)
        with held_loan(database_url, tenant_id, loan):
            waiting = _send_all(port, token, loan, seed)
            time.sleep(1)
        for thread, found in waiting:
            thread.join()
            answered += found
        statuses = Counter(answer.status for answer in answered)
        print(f"statuses: {statuses}")
        assert set(statuses) == {201, 503}
        assert statuses[503] > CONNECTIONS
        refused = [answer for answer in answered if answer.status == 503]
        for answer in refused:
            assert json.loads(answer.body)["code"] == "overloaded"
            assert b"\r\nretry-after: 1" in answer.headers
        check_journal(server, tenant_id, answered)
        posted = {row.idempotency_key for row in read_payments(database_url, tenant_id)}
        assert posted == {answer.key for answer in answered if answer.status == 201}
        client = Client(port, token)
        again = client.post("/v1/payments", refused[0].key, payment_body(loan, 3))
        assert again.status == 201, "a refused key left a trace"
        client.close()


def _send_all(
    port: int, token: str, loan: Loan, seed: int
) -> list[tuple[threading.Thread, list[Answer]]]:
    """A payment on each of 3 * CONNECTIONS connections, all at once."""
    started = []
    for number in range(3 * CONNECTIONS):
        found: list[Answer] = []
        thread = threading.Thread(
            target=lambda number=number, found=found: found.append(
                _send_one(port, token, loan, f"burst:{seed}:{number}")
            )
        )
        thread.start()
        started.append((thread, found))
    return started


def _send_one(port: int, token: str, loan: Loan, key: str) -> Answer:
    with connect(port) as connection:
        return exchange(connection, key, request_bytes(token, key, loan, 3))
