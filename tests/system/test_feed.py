"""Readers that wait on the feed: a stop ends their waits, a hang-up gives the place back."""

import json
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpts.domain.limits import FEED_WAITERS_PER_TENANT_MAX
from hpts.http.issuer import DevelopmentIssuer
from tests.conftest import Server

from .payers import Client
from .processes import descendants, quiet_port, serving, wait_until, wait_until_gone

STOP_SECONDS_MAX = 10
WAITING = "/v1/journal-entries?after=latest&wait=30"


@pytest.fixture
def token(issue_token: Callable[..., str], new_tenant: Callable[[], str]) -> str:
    return issue_token(new_tenant())


@pytest.fixture(params=["rsgi", "asgi"])
def live(
    database_url: str, issuer: DevelopmentIssuer, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """A server of one worker of its own for each test."""
    options = {"HPTS_WORKERS": "1", "HPTS_INTERFACE": request.param}
    with serving(database_url, issuer, tmp_path / "log", quiet_port(), **options) as server:
        yield server


def port_of(server: Server) -> int:
    return int(server.base_url.rpartition(":")[2])


def begin_waiting(server: Server, token: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port_of(server)), 60)
    head = f"GET {WAITING} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}"
    connection.sendall(head.encode() + b"\r\n\r\n")
    return connection


def test_a_stop_ends_the_waits_at_once_with_a_page(live: Server, token: str) -> None:
    waiting = [begin_waiting(live, token) for _ in range(5)]
    client = Client(port_of(live), token)
    assert client.get("/v1/journal-entries").status == 200  # so the others were read before
    time.sleep(0.3)
    processes = descendants(live.process.pid)
    stopped_at = time.monotonic()
    live.process.send_signal(signal.SIGTERM)
    for connection in waiting:
        head, _, body = connection.recv(65_536).partition(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0]
        assert json.loads(body)["items"] == []
        connection.close()
    assert live.process.wait(30) == 0
    assert time.monotonic() - stopped_at < STOP_SECONDS_MAX
    wait_until_gone(processes, 1)


def test_a_client_that_hangs_up_gives_its_place_back(live: Server, token: str) -> None:
    waiting = [begin_waiting(live, token) for _ in range(FEED_WAITERS_PER_TENANT_MAX + 1)]
    (refused,), _, _ = select.select(waiting, [], [], 20)
    assert b" 503 " in refused.recv(65_536)
    client = Client(port_of(live), token)
    assert client.get(WAITING).status == 503
    for connection in waiting:
        connection.close()
    wait_until(lambda: client.get(WAITING.replace("30", "1")).status == 200, "a place")
    client.close()
