"""A tenant over its rate is told to wait and loses nothing; another tenant does not notice."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import httpx
import pytest

from hpts.http.issuer import DevelopmentIssuer
from tests.conftest import Server, start_server, stop_server
from tests.contract.client import Loan, disbursement_body, fresh_key

RATE = 5


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


def test_a_tenant_within_its_rate_does_not_notice_anothers_flood(
    client_of: Callable[[], httpx.Client],
) -> None:
    flooding, quiet = client_of(), client_of()
    stop, is_over = threading.Event(), threading.Event()
    statuses: Counter[int] = Counter()

    def flood() -> None:
        loan = Loan()
        while not stop.is_set():
            status = disburse(flooding, loan, fresh_key()).status_code
            statuses[status] += 1
            if status == 429:
                is_over.set()

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        assert is_over.wait(30), "the flood never passed its rate"
        loan = Loan()
        for _ in range(RATE):
            assert disburse(quiet, loan, fresh_key()).status_code == 201
    finally:
        stop.set()
        thread.join(30)
    assert statuses.keys() == {201, 429}


def test_health_is_never_limited(limited: Server) -> None:
    with httpx.Client(base_url=f"{limited.base_url}/v1", trust_env=False) as client:
        assert {client.get("/health/live").status_code for _ in range(50)} == {200}
