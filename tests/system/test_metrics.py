"""/metrics of a real server: all of its workers are in it, whatever becomes of one of them."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hpts.http.issuer import DevelopmentIssuer
from hpts.http.security_headers import ANSWER
from tests.conftest import Server

from .payers import Client, open_loans
from .processes import (
    descendants,
    is_for_metrics,
    quiet_port,
    run_hpts,
    serving,
    serving_environment,
    wait_until,
    workers_of,
)
from .workers import client_of_each_worker

LIVE = {"method": "GET", "route": "/v1/health/live", "status": "200"}


class Metered(NamedTuple):
    server: Server
    port: int
    metrics_url: str

    def scrape(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        with urllib.request.urlopen(self.metrics_url, timeout=10) as response:
            text = response.read().decode()
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        return self.scrape().get((name, tuple(sorted(labels.items()))), 0.0)

    @property
    def pid(self) -> int:
        return int(self.server.process.pid)

    @property
    def metrics_process(self) -> int:
        """What answers Prometheus; the moment after it was killed there is none."""
        found: list[int] = []

        def is_there() -> bool:
            found[:] = [child.pid for child in descendants(self.pid) if is_for_metrics(child)]
            return len(found) == 1

        wait_until(is_there, "the metrics process")
        return found[0]

    @property
    def workers(self) -> set[int]:
        return {worker.pid for worker in workers_of(self.server.process)}


@pytest.fixture(scope="module")
def shared(
    database_url: str, issuer: DevelopmentIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Metered]:
    """One that is whole again after each test."""
    with metering(database_url, issuer, tmp_path_factory.mktemp("metered")) as found:
        yield found


@pytest.fixture
def metered(database_url: str, issuer: DevelopmentIssuer, tmp_path: Path) -> Iterator[Metered]:
    """One that the test may end."""
    with metering(database_url, issuer, tmp_path) as found:
        yield found


@contextmanager
def metering(database_url: str, issuer: DevelopmentIssuer, folder: Path) -> Iterator[Metered]:
    port, metrics_port = quiet_port(), quiet_port()
    variables = {"HPTS_METRICS_PORT": str(metrics_port), "HPTS_SERVER_TIMING": "1"}
    with serving(database_url, issuer, folder / "log", port, **variables) as server:
        yield Metered(server, port, f"http://127.0.0.1:{metrics_port}/metrics")


def test_the_requests_of_every_worker_are_in_one_scrape(
    shared: Metered, issue_token: Callable[..., str]
) -> None:
    """Two workers that counted in one place would lose counts to each other."""
    clients = client_of_each_worker(shared.server, issue_token(str(uuid.uuid4())))
    assert len(clients) == shared.value("hpts_workers") == 2
    before = shared.value("hpts_request_seconds_count", **LIVE)
    for _ in range(50):
        for client in clients:
            client.get("/v1/health/live")
    wait_until(
        lambda: shared.value("hpts_request_seconds_count", **LIVE) == before + 100,
        "every request",
    )


def test_a_killed_worker_takes_no_count_with_it_and_its_gauges_go(
    shared: Metered, issue_token: Callable[..., str], new_tenant: Callable[[], str]
) -> None:
    tenant = new_tenant()
    token = issue_token(tenant)
    loans = open_loans(shared.port, token, 20)
    assert len(loans) == 20
    posted = {"method": "POST", "route": "/v1/disbursements", "status": "201"}
    # A request is counted after its answer is on its way.
    wait_until(
        lambda: shared.value("hpts_lane_wait_seconds_count", tenant=tenant) == 20, "20 waits"
    )
    wait_until(lambda: shared.value("hpts_request_seconds_count", **posted) >= 20, "20 requests")
    before = shared.value("hpts_request_seconds_count", **posted)
    assert 1 <= shared.value("hpts_batch_commit_seconds_count", lane="ordinary") <= before
    killed = shared.workers
    for worker in sorted(killed):
        os.kill(worker, signal.SIGKILL)
        assert shared.value("hpts_request_seconds_count", **posted) == before
    wait_until(lambda: shared.value("hpts_workers") == 2, "new workers", 30)
    wait_until(lambda: not shared.workers & killed, "workers of their own")
    assert shared.value("hpts_request_seconds_count", **posted) == before
    assert shared.value("hpts_lane_wait_seconds_count", tenant=tenant) == 20
    open_loans(shared.port, token, 5)
    wait_until(lambda: shared.value("hpts_request_seconds_count", **posted) == before + 5, "5 more")


def test_a_worker_that_hangs_holds_up_no_scrape_and_shows(shared: Metered) -> None:
    hanging = min(shared.workers)
    os.kill(hanging, signal.SIGSTOP)
    try:
        wait_until(lambda: shared.value("hpts_worker_silence_seconds") > 1.5, "its silence")
        assert shared.value("hpts_workers") == 2
    finally:
        os.kill(hanging, signal.SIGCONT)
    wait_until(lambda: shared.value("hpts_worker_silence_seconds") < 1.5, "its voice")


def test_the_metrics_process_is_started_again_and_has_lost_nothing(shared: Metered) -> None:
    before = shared.value("hpts_request_seconds_count", **LIVE | {"route": "/v1/health/ready"})
    assert before >= 1
    killed = shared.metrics_process
    os.kill(killed, signal.SIGKILL)
    after = shared.value("hpts_request_seconds_count", **LIVE | {"route": "/v1/health/ready"})
    assert after == before
    assert shared.metrics_process != killed


def test_replays_and_refusals_are_counted_and_timed(
    shared: Metered, issue_token: Callable[..., str], new_tenant: Callable[[], str]
) -> None:
    client = Client(shared.port, issue_token(new_tenant()))
    replays = shared.value("hpts_replays_total")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    body: dict[str, Any] = {
        "loan_id": str(uuid.uuid4()),
        "borrower_id": str(uuid.uuid4()),
        "amount_minor": "100",
        "currency": "USD",
        "effective_at": today,
        "method": "ach",
    }
    for status in (201, 200, 200):
        reply = client.post("/v1/disbursements", "a-key-of-mine", body)
        assert reply.status == status
        timings = dict(part.split(";dur=") for part in reply.headers["server-timing"].split(", "))
        assert list(timings) == ["auth", "queue", "kernel", "database"]
        assert all(float(milliseconds) >= 0 for milliseconds in timings.values())
        assert float(timings["kernel"]) > 0, "the batch was decided in no time"
    other = body | {"amount_minor": "101"}
    assert client.post("/v1/disbursements", "a-key-of-mine", other).status == 422
    wait_until(
        lambda: shared.value("hpts_refusals_total", code="idempotency_mismatch") == 1, "a refusal"
    )
    assert shared.value("hpts_replays_total") == replays + 2


def test_only_metrics_are_answered_there(shared: Metered) -> None:
    url = shared.metrics_url.removesuffix("/metrics")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url + "/v1/health/live", timeout=5)
    assert refused.value.code == 404


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/x"), ("POST", "")])
def test_every_answer_says_to_browsers_what_the_apis_answers_do(
    shared: Metered, method: str, path: str
) -> None:
    with httpx.Client(trust_env=False, timeout=10) as client:
        found = client.request(method, shared.metrics_url + path)
    assert dict(ANSWER).items() <= dict(found.headers).items()
    assert found.headers["cache-control"] == "no-store"
    assert found.headers["server"] == "hpts"


def test_who_connects_and_says_nothing_keeps_nobody_out(shared: Metered) -> None:
    port = int(shared.metrics_url.rpartition(":")[2].removesuffix("/metrics"))
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
    assert shared.value("hpts_workers") == 2
    for connection in held:
        connection.close()


def test_all_of_it_stops_with_the_server(metered: Metered) -> None:
    processes = descendants(metered.pid)
    assert len(processes) == 3
    metered.server.process.send_signal(signal.SIGTERM)
    assert metered.server.process.wait(20) == 0
    wait_until(lambda: not descendants(metered.pid), "an end")


def test_a_killed_server_leaves_no_metrics_process(metered: Metered) -> None:
    left = metered.metrics_process
    metered.server.process.kill()
    metered.server.process.wait()
    wait_until(lambda: not Path(f"/proc/{left}").exists(), "an end")


def test_a_port_that_is_taken_stops_the_start(
    database_url: str, issuer: DevelopmentIssuer, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = serving_environment(
            database_url, issuer, quiet_port(), HPTS_METRICS_PORT=str(port)
        )
        found: subprocess.CompletedProcess[str] = run_hpts(
            "serve", environment=environment, folder=tmp_path
        )
    assert found.returncode == 1
    assert "HPTS_METRICS_PORT" in found.stderr
