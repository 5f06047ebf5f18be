"""The partners' listener of `hpts serve`: who gets through its handshake, what counts behind it.

Real certificates of a real authority, a real server, plain TLS clients.
"""

import datetime
import ssl
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpts.http.issuer import DevelopmentIssuer
from hpts.store.tenants import set_tenant_mtls, set_tenant_status

from .partners import BALANCE, VERSIONS, Papers, Partnered, handshake, partnered, problem
from .payers import Client, Loan, loan_body, open_loans, payment_body
from .processes import (
    quiet_port,
    run_hpts,
    serving_environment,
    wait_until,
)

MARKED_SECONDS_MAX = 5


@pytest.fixture(scope="module", params=["rsgi", "asgi"])
def both_listeners(
    database_url: str,
    issuer: DevelopmentIssuer,
    papers: Papers,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Partnered]:
    log = tmp_path_factory.mktemp("partners") / "log"
    how = {"HPTS_INTERFACE": str(request.param), "HPTS_PARTNER_CLIENTS": "acme,bank"}
    with partnered(database_url, issuer, log, papers, **how) as found:
        yield found


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("shown", ["foreign", "expired", "not_yet_valid", "revoked", "none"])
def test_the_handshake_fails_without_a_good_certificate(
    both_listeners: Partnered, shown: str, version: ssl.TLSVersion
) -> None:
    certificate = None if shown == "none" else getattr(both_listeners.papers, shown)
    context = both_listeners.papers.authority.context(certificate)
    context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(both_listeners.partner_port, context)
    # The same client with a good one, so that it was the certificate.
    good = both_listeners.papers.authority.context(both_listeners.papers.good)
    good.minimum_version = good.maximum_version = version
    assert handshake(both_listeners.partner_port, good).startswith(b"HTTP/1.1 200")


def test_the_partners_port_speaks_no_plain_http(both_listeners: Partnered) -> None:
    with pytest.raises(Exception, match=r".") as failed:
        Client(both_listeners.partner_port, "x").get("/v1/health/live")
    assert not isinstance(failed.value, AssertionError)


def test_a_partner_posts_a_payment_over_mutual_tls_and_nowhere_else(
    both_listeners: Partnered, partner_tenant: str, issue_token: Callable[..., str]
) -> None:
    token = issue_token(partner_tenant)
    client = both_listeners.partner(token, both_listeners.papers.good)
    (loan,) = open_loans(both_listeners.partner_port, token, 1, client)
    key, body = f"payment:{uuid.uuid4()}", payment_body(loan, 5)
    assert client.post("/v1/payments", key, body).status == 201
    assert client.post("/v1/payments", key, body).status == 200
    assert client.get(f"/v1/loans/{loan.loan_id}/balance").status == 200
    ordinary = both_listeners.ordinary(token)
    for reply in (
        ordinary.post("/v1/payments", key, body),
        ordinary.post("/v1/payments", f"payment:{uuid.uuid4()}", body),
        ordinary.get(f"/v1/loans/{loan.loan_id}/balance"),
        ordinary.get("/v1/reconciliation/status"),
    ):
        assert problem(reply) == (403, "mtls_required")


def test_browsers_are_told_to_come_over_tls_where_they_have(both_listeners: Partnered) -> None:
    """And no answer names a version of the server's software."""
    over_tls = both_listeners.partner("none", both_listeners.papers.good)
    plain = both_listeners.ordinary("none")
    for path in ("/v1/health/live", "/v1/nothing", "/docs"):
        said, silent = over_tls.get(path).headers, plain.get(path).headers
        assert said["strict-transport-security"] == "max-age=63072000"
        assert "strict-transport-security" not in silent
        assert not any(character.isdigit() for character in said.get("server", ""))


def test_a_marked_client_is_a_partner_in_any_tenant(
    both_listeners: Partnered, new_tenant: Callable[[], str], issue_token: Callable[..., str]
) -> None:
    tenant_id = new_tenant()
    for claims in ({"client_id": "acme"}, {"azp": "bank"}):
        token = issue_token(tenant_id, claims=claims)
        assert problem(both_listeners.ordinary(token).get(BALANCE)) == (403, "mtls_required")
        shown = both_listeners.papers.good
        assert both_listeners.partner(token, shown).get(BALANCE).status == 200
    other = issue_token(tenant_id, claims={"client_id": "somebody"})
    assert both_listeners.ordinary(other).get(BALANCE).status == 200


def test_an_ordinary_tenant_may_come_either_way(
    both_listeners: Partnered, new_tenant: Callable[[], str], issue_token: Callable[..., str]
) -> None:
    token = issue_token(new_tenant())
    assert both_listeners.ordinary(token).get(BALANCE).status == 200
    assert both_listeners.partner(token, both_listeners.papers.good).get(BALANCE).status == 200


def test_a_certificate_without_a_token_is_nothing(both_listeners: Partnered) -> None:
    client = both_listeners.partner("no.token.here", both_listeners.papers.good)
    assert problem(client.get(BALANCE)) == (401, "unauthorized")


def test_a_bound_token_is_never_taken_where_the_certificate_is_not_known(
    both_listeners: Partnered, partner_tenant: str, issue_token: Callable[..., str]
) -> None:
    good = both_listeners.papers.good
    token = issue_token(partner_tenant, claims=good.confirmation)
    for client, hint in (
        (both_listeners.partner(token, good), "use the TLS proxy"),
        (both_listeners.ordinary(token), "without one"),
        (both_listeners.ordinary(token, headers={"Client-Cert": good.header}), "without one"),
    ):
        reply = client.get(BALANCE)
        assert problem(reply) == (401, "unauthorized")
        assert 'error="invalid_token"' in reply.headers["www-authenticate"]
        assert hint in reply.headers["www-authenticate"]


def test_a_header_makes_nobody_a_partner(
    both_listeners: Partnered, partner_tenant: str, issue_token: Callable[..., str]
) -> None:
    for headers in (
        {"Client-Cert": both_listeners.papers.good.header},
        {"Client-Cert": "rubbish"},
        {"Client-Cert": both_listeners.papers.good.header, "X-Forwarded-For": "127.0.0.1"},
    ):
        client = both_listeners.ordinary(issue_token(partner_tenant), headers=headers)
        assert problem(client.get(BALANCE)) == (403, "mtls_required")


def test_a_suspended_partner_is_out_on_both_listeners(
    both_listeners: Partnered, partner_tenant: str, issue_token: Callable[..., str]
) -> None:
    token = issue_token(partner_tenant)
    client = both_listeners.partner(token, both_listeners.papers.good)
    assert client.get(BALANCE).status == 200
    url = both_listeners.server.database_url
    assert set_tenant_status(url, uuid.UUID(partner_tenant), "suspended")
    assert problem(client.get(BALANCE)) == (403, "tenant_unknown")
    body = loan_body(Loan(str(uuid.uuid4()), str(uuid.uuid4())), 1) | {"method": "ach"}
    reply = client.post("/v1/disbursements", f"loan:{uuid.uuid4()}", body)
    assert problem(reply) == (403, "tenant_unknown")


def test_a_mark_comes_and_goes_within_seconds(
    both_listeners: Partnered, new_tenant: Callable[[], str], issue_token: Callable[..., str]
) -> None:
    tenant_id = new_tenant()
    client = both_listeners.ordinary(issue_token(tenant_id))
    for is_marked, expected in ((False, 200), (True, 403), (False, 200)):
        url = both_listeners.server.database_url
        assert set_tenant_mtls(url, uuid.UUID(tenant_id), requires_mtls=is_marked)
        wait_until(
            lambda expected=expected: client.get(BALANCE).status == expected,
            f"status {expected}",
            MARKED_SECONDS_MAX,
        )


def test_the_operator_marks_tenants_by_command(
    database_url: str, issuer: DevelopmentIssuer, tmp_path: Path
) -> None:
    environment = serving_environment(database_url, issuer, quiet_port())

    def run(*arguments: str) -> str:
        ran = run_hpts("tenant", *arguments, environment=environment, folder=tmp_path)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    def kind(tenant_id: str) -> str:
        (line,) = [line for line in run("list").splitlines() if line.startswith(tenant_id)]
        return line.split()[2]

    partner, other = run("add", "--name", "P", "--partner"), run("add", "--name", "O")
    assert (kind(partner), kind(other)) == ("partner", "ordinary")
    run("require-mtls", "--tenant", other)
    run("waive-mtls", "--tenant", partner)
    assert (kind(partner), kind(other)) == ("ordinary", "partner")
    unknown = str(uuid.uuid4())
    ran = run_hpts(
        "tenant", "require-mtls", "--tenant", unknown, environment=environment, folder=tmp_path
    )
    assert ran.returncode == 1 and unknown in ran.stderr


def test_a_worker_cannot_be_told_from_outside_that_it_is_the_partners(
    database_url: str,
    issuer: DevelopmentIssuer,
    papers: Papers,
    partner_tenant: str,
    issue_token: Callable[..., str],
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    with partnered(database_url, issuer, log, papers, HPTS_LISTENER="partner") as found:
        reply = found.ordinary(issue_token(partner_tenant)).get(BALANCE)
        assert problem(reply) == (403, "mtls_required")


def test_the_certificates_of_these_tests_are_what_they_are_named(papers: Papers) -> None:
    now = datetime.datetime.now(datetime.UTC)
    assert papers.expired.certificate.not_valid_after_utc < now
    assert papers.not_yet_valid.certificate.not_valid_before_utc > now
    for issued in (papers.good, papers.revoked, papers.expired, papers.not_yet_valid):
        issued.certificate.verify_directly_issued_by(papers.authority.certificate)
