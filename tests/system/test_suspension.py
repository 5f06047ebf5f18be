"""A suspended tenant is out within 5 s on all workers: for postings, replays and every read."""

import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from hpts.http.issuer import DevelopmentIssuer
from hpts.store.tenants import add_tenant, set_tenant_mtls, set_tenant_status
from tests.conftest import Server

from .payers import Client, Loan, Reply, loan_body, payment_body
from .processes import quiet_port, serving
from .workers import client_of_each_worker

OUT_SECONDS_MAX = 5
WORKERS = "3"


@pytest.fixture(scope="module")
def crowd(
    own_database_url: str, issuer: DevelopmentIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of several workers."""
    log = tmp_path_factory.mktemp("suspension") / "log"
    with serving(own_database_url, issuer, log, quiet_port(), HPTS_WORKERS=WORKERS) as server:
        yield server


class Tenant:
    """A tenant with a loan and a payment, and a connection to every worker, each of which has
    answered everything once: whatever a worker may remember, it does."""

    def __init__(self, server: Server, issue_token: Callable[..., str]) -> None:
        self.database_url = server.database_url
        self.tenant_id = add_tenant(server.database_url, "a test's tenant")
        self.clients = client_of_each_worker(server, issue_token(str(self.tenant_id)))
        self.loan = Loan(str(uuid.uuid4()), str(uuid.uuid4()))
        self.key = f"payment:{uuid.uuid4()}"
        body = loan_body(self.loan, 1_000_000) | {"method": "ach"}
        first = self.clients[0].post("/v1/disbursements", f"loan:{uuid.uuid4()}", body)
        assert first.status == 201
        self.entry = first.headers["location"]
        assert self._replay(self.clients[0]).status == 201
        for client in self.clients:
            statuses = {name: reply.status for name, reply in self.ask(client).items()}
            assert statuses.pop("posting") == 201
            assert set(statuses.values()) == {200}

    def _replay(self, client: Client) -> Reply:
        return client.post("/v1/payments", self.key, payment_body(self.loan, 7))

    def ask(self, client: Client) -> dict[str, Reply]:
        """Every kind of operation once."""
        return {
            "posting": client.post(
                "/v1/payments", f"payment:{uuid.uuid4()}", payment_body(self.loan, 1)
            ),
            "replay": self._replay(client),
            "loan balance": client.get(f"/v1/loans/{self.loan.loan_id}/balance"),
            "past balance": client.get(
                f"/v1/loans/{self.loan.loan_id}/balance?as_of_date=2026-01-31"
            ),
            "journal": client.get(f"/v1/loans/{self.loan.loan_id}/journal-entries"),
            "entry": client.get(self.entry),
            "account": client.get("/v1/accounts/1000/balance?currency=USD"),
            "reconciliation": client.get("/v1/reconciliation/status"),
        }

    def wait_until_refused(self, code: str) -> None:
        """Within OUT_SECONDS_MAX every operation on every worker; from then on always."""
        began = time.monotonic()
        for client in self.clients:
            while (reply := self._replay(client)).status == 200:
                assert time.monotonic() - began < OUT_SECONDS_MAX
                time.sleep(0.05)
            assert (reply.status, reply.code) == (403, code)
        for client in self.clients:
            for name, reply in self.ask(client).items():
                assert (reply.status, reply.code) == (403, code), name
        assert time.monotonic() - began < OUT_SECONDS_MAX


@pytest.fixture
def tenant(crowd: Server, issue_token: Callable[..., str]) -> Iterator[Tenant]:
    made = Tenant(crowd, issue_token)
    yield made
    for client in made.clients:
        client.close()


def test_a_suspended_tenant_is_out_everywhere_and_comes_back(tenant: Tenant) -> None:
    assert set_tenant_status(tenant.database_url, tenant.tenant_id, "suspended")
    tenant.wait_until_refused("tenant_unknown")
    assert set_tenant_status(tenant.database_url, tenant.tenant_id, "active")
    for client in tenant.clients:
        assert tenant.ask(client)["loan balance"].status == 200


def test_a_suspension_counts_at_once_not_only_within_seconds(tenant: Tenant) -> None:
    """Each query reads the tenant's status in its own transaction; nothing is remembered."""
    assert set_tenant_status(tenant.database_url, tenant.tenant_id, "suspended")
    for client in tenant.clients:
        assert {reply.code for reply in tenant.ask(client).values()} == {"tenant_unknown"}


def test_a_tenant_that_becomes_a_partner_is_refused_everywhere_within_seconds(
    tenant: Tenant,
) -> None:
    assert set_tenant_mtls(tenant.database_url, tenant.tenant_id, requires_mtls=True)
    tenant.wait_until_refused("mtls_required")


def test_one_tenants_suspension_is_nobody_elses(
    crowd: Server, tenant: Tenant, issue_token: Callable[..., str]
) -> None:
    other = Tenant(crowd, issue_token)
    assert set_tenant_status(tenant.database_url, tenant.tenant_id, "suspended")
    for client in other.clients:
        assert {reply.status for reply in other.ask(client).values()} == {200, 201}
        client.close()
