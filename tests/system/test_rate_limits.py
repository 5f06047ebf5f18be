"""A tenant over its rate is told to wait and loses nothing; another tenant does not notice."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from hpts.http.issuer import DevelopmentIssuer
from hpts.store.tenants import add_tenant
from tests.conftest import Server, start_server, stop_server
from tests.contract.client import Loan, disbursement_body, fresh_key
from tests.faults.background import Background
from tests.store.cutting_proxy import CuttingProxy

RATE = 5
FLOOD, CONNECTIONS, QUIET_READS = 1_200, 4, 50


@pytest.fixture(scope="module")
def limited(
    database_url: str, issuer: DevelopmentIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("limited") / "log"
    server = start_server(
        database_url, issuer, log, HPTS_RATE_LIMIT_WRITES=str(RATE), HPTS_RATE_LIMIT_READS=str(RATE)
    )
    yield server
    stop_server(server)


@pytest.fixture
def client_of(
    limited: Server, new_tenant: Callable[[], str], issue_token: Callable[..., str]
) -> Iterator[Callable[[], httpx.Client]]:
    """One connection of a new tenant, so that one worker counts all that it sends."""
    opened: list[httpx.Client] = []

    def make() -> httpx.Client:
        token = issue_token(new_tenant())
        client = httpx.Client(
            base_url=f"{limited.base_url}/v1",
            headers={"Authorization": f"Bearer {token}"},
            limits=httpx.Limits(max_connections=1),
            timeout=30,
            trust_env=False,
        )
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


def disburse(client: httpx.Client, loan: Loan, key: str) -> httpx.Response:
    body = disbursement_body(loan, 1)
    return client.post("/disbursements", json=body, headers={"Idempotency-Key": key})


def test_over_the_rate_is_429_and_the_same_key_gets_through_when_it_is_told_to(
    client_of: Callable[[], httpx.Client],
) -> None:
    client, loan = client_of(), Loan()
    answers = [(key := fresh_key(), disburse(client, loan, key)) for _ in range(4 * RATE)]
    counts = Counter(answer.status_code for _, answer in answers)
    assert counts.keys() == {201, 429}
    assert counts[201] >= RATE
    key, refused = next(found for found in answers if found[1].status_code == 429)
    problem = refused.json()
    assert problem["code"] == "rate_limited"
    assert refused.headers["content-type"] == "application/problem+json"
    time.sleep(int(refused.headers["retry-after"]))
    assert disburse(client, loan, key).status_code == 201
    owed = client.get(f"/loans/{loan.loan_id}/balance").json()["principal_outstanding_minor"]
    assert int(owed) == counts[201] + 1, "what was refused was not posted"


def test_reads_are_counted_beside_writes(client_of: Callable[[], httpx.Client]) -> None:
    client, loan = client_of(), Loan()
    assert disburse(client, loan, fresh_key()).status_code == 201
    path = f"/loans/{loan.loan_id}/balance"
    statuses = Counter(client.get(path).status_code for _ in range(30))
    assert statuses[200] >= RATE
    assert statuses[429] > 0
    assert disburse(client, loan, fresh_key()).status_code == 201


class Flood(NamedTuple):
    """What came of one tenant's flood, and of another that goes about its business meanwhile."""

    flooding: Counter[int]
    quiet: Counter[int]
    batches: int
    """Postings' transactions that the database was asked for."""


def flood(
    own_database_url: str,
    issuer: DevelopmentIssuer,
    issue_token: Callable[..., str],
    log: Path,
    **limits: str,
) -> Flood:
    """One worker, whose every pipeline to the database is counted on the way."""
    tokens = [issue_token(str(add_tenant(own_database_url, "Flood"))) for _ in range(2)]
    with Background() as background:
        proxy = CuttingProxy(own_database_url)
        background.run(proxy.start())
        server = start_server(proxy.database_url, issuer, log, HPTS_WORKERS="1", **limits)
        try:
            found = _flood(server, *tokens)
        finally:
            stop_server(server)
            background.run(proxy.stop())
        batches = sum("begin_writing" in pipeline.statements for pipeline in proxy.pipelines)
        return Flood(*found, batches)


def _flood(server: Server, flooding: str, quiet: str) -> tuple[Counter[int], Counter[int]]:
    def client_of(token: str) -> httpx.Client:
        return httpx.Client(
            base_url=f"{server.base_url}/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            trust_env=False,
        )

    def send(count: int) -> Counter[int]:
        with client_of(flooding) as client:
            loan = Loan()
            return Counter(disburse(client, loan, fresh_key()).status_code for _ in range(count))

    def go_about_its_business() -> Counter[int]:
        loan = Loan()
        with client_of(quiet) as client:
            answers = [disburse(client, loan, fresh_key()) for _ in range(RATE)]
            path = f"/loans/{loan.loan_id}/balance"
            answers += [client.get(path) for _ in range(QUIET_READS)]
            owed = answers[-1].json()["principal_outstanding_minor"]
        assert owed == str(RATE), "all that it posted is there"
        return Counter(answer.status_code for answer in answers)

    with ThreadPoolExecutor(CONNECTIONS + 1) as pool:
        floods = [pool.submit(send, FLOOD // CONNECTIONS) for _ in range(CONNECTIONS)]
        business = pool.submit(go_about_its_business)
        total: Counter[int] = Counter()
        for one in floods:
            total += one.result()
        return total, business.result()


def test_a_flood_over_the_rate_takes_nothing_from_the_database_or_from_another_tenant(
    own_database_url: str,
    issuer: DevelopmentIssuer,
    issue_token: Callable[..., str],
    tmp_path: Path,
) -> None:
    """The same flood with and without the limit. No stopwatch: what is refused costs the database
    nothing at all, so there is nothing that another tenant could wait for."""
    run = partial(flood, own_database_url, issuer, issue_token)
    limited = run(tmp_path / "limited", HPTS_RATE_LIMIT_WRITES=str(RATE))
    unlimited = run(tmp_path / "unlimited")
    business = Counter({201: RATE, 200: QUIET_READS})
    assert limited.quiet == unlimited.quiet == business, "it is answered in full, flood or not"
    assert limited.flooding.keys() == {201, 429}
    assert limited.flooding[429] > FLOOD / 2
    assert limited.batches <= limited.flooding[201] + RATE, "a batch for each that was let in"
    assert unlimited.flooding == {201: FLOOD}
    assert unlimited.batches >= FLOOD / CONNECTIONS > 2 * limited.batches


def test_health_is_never_limited(limited: Server) -> None:
    with httpx.Client(base_url=f"{limited.base_url}/v1", trust_env=False) as client:
        assert {client.get("/health/live").status_code for _ in range(50)} == {200}
