"""Partners behind the nginx configuration that is shipped: the certificate that a client showed is
the one that HPTS knows, and nobody gets another one believed.
"""

import base64
import json
import socket
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from hpts.http.issuer import DevelopmentIssuer
from hpts.store.tenants import set_tenant_status
from tests.certificates import DAY, Issued
from tests.conftest import Server

from .nginx import Nginx, needs_nginx, proxying
from .partners import BALANCE, Papers, make_papers, problem
from .payers import Client, Reply, open_loans, payment_body
from .processes import quiet_port, serving

pytestmark = needs_nginx
TRUSTED, UNTRUSTED = "127.0.0.1", "127.0.0.2"
PROTECTING = (
    "strict-transport-security", "x-content-type-options", "content-security-policy",
    "cross-origin-resource-policy",
)  # fmt: skip
NGINX_BYTES_MAX = 3_120
"""The largest certificate that the configuration passes on, by its own word."""


class Proxied(NamedTuple):
    server: Server
    nginx: Nginx
    papers: Papers

    def partner(self, token: str, shown: Issued | None, **headers: str) -> Client:
        """Through the partners' port of nginx."""
        context = self.papers.authority.context(shown)
        return Client(self.nginx.partner_port, token, context=context, headers=named(headers))

    def ordinary(self, token: str, shown: Issued | None = None, **headers: str) -> Client:
        """Through its ordinary port."""
        context = self.papers.authority.context(shown)
        return Client(self.nginx.port, token, context=context, headers=named(headers))

    def direct(self, token: str, source: str, **headers: str) -> Client:
        """Past nginx, from an address of loopback."""
        port = int(self.server.base_url.rpartition(":")[2])
        return Client(port, token, source=source, headers=named(headers))


def named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture(scope="module", params=["rsgi", "asgi"])
def proxied(
    database_url: str,
    issuer: DevelopmentIssuer,
    papers: Papers,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxied]:
    folder, port = tmp_path_factory.mktemp("proxied"), quiet_port()
    how = {"HPTS_INTERFACE": str(request.param), "HPTS_TRUSTED_PROXIES": TRUSTED}
    authority = papers.authority
    with (
        serving(database_url, issuer, folder / "log", port, **how) as server,
        proxying(
            folder / "nginx", port, papers.server, authority.path, authority.crl_path
        ) as nginx,
    ):
        yield Proxied(server, nginx, papers)


def refused_by_nginx(reply: Reply) -> bool:
    return reply.status == 400 and b"nginx" in reply.body and b"certificate" in reply.body.lower()


def test_a_partner_posts_a_payment_with_a_token_bound_to_its_certificate(
    proxied: Proxied, partner_tenant: str, issue_token: Callable[..., str]
) -> None:
    good = proxied.papers.good
    token = issue_token(partner_tenant, claims=good.confirmation)
    client = proxied.partner(token, good)
    (loan,) = open_loans(proxied.nginx.partner_port, token, 1, client)
    key, body = f"payment:{uuid.uuid4()}", payment_body(loan, 5)
    assert [client.post("/v1/payments", key, body).status for _ in range(2)] == [201, 200]
    assert client.get(f"/v1/loans/{loan.loan_id}/balance").status == 200


def test_a_partner_is_refused_on_the_ordinary_port_of_nginx(
    proxied: Proxied, partner_tenant: str, issue_token: Callable[..., str]
) -> None:
    good = proxied.papers.good
    for shown in (None, good):
        client = proxied.ordinary(issue_token(partner_tenant), shown)
        assert problem(client.get(BALANCE)) == (403, "mtls_required")
    bound = issue_token(partner_tenant, claims=good.confirmation)
    reply = proxied.ordinary(bound, good).get(BALANCE)
    assert problem(reply) == (401, "unauthorized")
    assert "without one" in reply.headers["www-authenticate"]


def test_an_ordinary_tenant_passes_the_ordinary_port(
    proxied: Proxied, new_tenant: Callable[[], str], issue_token: Callable[..., str]
) -> None:
    assert proxied.ordinary(issue_token(new_tenant())).get(BALANCE).status == 200


def test_nginx_tells_browsers_to_come_over_tls_and_names_no_version(proxied: Proxied) -> None:
    good = proxied.papers.good
    for client in (proxied.ordinary("none"), proxied.partner("none", good)):
        for path in ("/v1/health/live", "/v1/nothing", "/docs"):
            headers = client.get(path).headers
            assert headers["strict-transport-security"] == "max-age=63072000"
            assert headers["x-content-type-options"] == "nosniff"
            assert "content-security-policy" in headers
            assert headers["server"] == "nginx"


def test_what_nginx_answers_itself_protects_browsers_as_the_api_does(proxied: Proxied) -> None:
    """And what HPTS has sent is not sent twice."""
    answers = {
        "400": b"GARBAGE\r\n\r\n",
        "414": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        "505": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        "404": b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "200": b"GET /docs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    }
    for port, shown in ((proxied.nginx.port, None), (proxied.nginx.partner_port, "good")):
        for status, request in answers.items():
            head = head_of_answer(port, proxied.papers, shown, request)
            assert head.startswith(f"http/1.1 {status}"), head
            for name in PROTECTING:
                assert head.count(f"\r\n{name}: ") == 1, (status, name)


def head_of_answer(port: int, papers: Papers, shown: str | None, request: bytes) -> str:
    context = papers.authority.context(None if shown is None else getattr(papers, shown))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as wire,
    ):
        wire.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = wire.recv(65_536)
            assert chunk, received
            received += chunk
    return received.partition(b"\r\n\r\n")[0].decode().lower()


def test_a_token_bound_to_another_certificate_is_refused(
    proxied: Proxied, partner_tenant: str, issue_token: Callable[..., str]
) -> None:
    other = proxied.papers.authority.issue("other")
    token = issue_token(partner_tenant, claims=other.confirmation)
    assert proxied.partner(token, other).get(BALANCE).status == 200
    # The token is remembered by now; the certificate is compared all the same.
    for _ in range(3):
        reply = proxied.partner(token, proxied.papers.good).get(BALANCE)
        assert problem(reply) == (401, "unauthorized")
        assert "another certificate" in reply.headers["www-authenticate"]


def test_nginx_overwrites_what_a_client_sends_of_its_own(
    proxied: Proxied, partner_tenant: str, issue_token: Callable[..., str]
) -> None:
    good = proxied.papers.good
    thief = proxied.papers.authority.issue("thief")
    stolen = issue_token(partner_tenant, claims=good.confirmation)
    forged = proxied.partner(stolen, thief, Client_Cert=good.header)
    assert problem(forged.get(BALANCE)) == (401, "unauthorized")
    honest = proxied.partner(stolen, good, Client_Cert=thief.header)
    assert honest.get(BALANCE).status == 200
    for token, expected in (
        (issue_token(partner_tenant), (403, "mtls_required")),
        (stolen, (401, "unauthorized")),
    ):
        client = proxied.ordinary(token, None, Client_Cert=good.header)
        assert problem(client.get(BALANCE)) == expected


def test_the_audit_record_names_the_address_that_a_trusted_proxy_saw(
    proxied: Proxied, new_tenant: Callable[[], str], issue_token: Callable[..., str]
) -> None:
    tenant_id, claimed = new_tenant(), {"X_Forwarded_For": "203.0.113.66"}
    token = issue_token(tenant_id)
    clients = {
        "127.0.0.1": proxied.ordinary(token, None, **claimed),  # nginx says who it was instead
        "203.0.113.66": proxied.direct(token, TRUSTED, **claimed),
        UNTRUSTED: proxied.direct(token, UNTRUSTED, **claimed),
    }
    for client in clients.values():
        assert reverse_a_disbursement(client).status == 201
    listed = clients[UNTRUSTED].get("/v1/audit-events?action=reversal.post")
    items = json.loads(listed.body)["items"]
    assert [item["source"] for item in reversed(items)] == list(clients)
    for year, client in enumerate(clients.values(), 2001):
        closing = {"closed_through": f"{year}-12-31", "reason": "The year is over"}
        assert client.post("/v1/periods/close", f"test:{uuid.uuid4()}", closing).status == 201
    listed = clients[UNTRUSTED].get("/v1/audit-events?action=period.close")
    items = json.loads(listed.body)["items"]
    assert [item["source"] for item in reversed(items)] == list(clients)


def reverse_a_disbursement(client: Client) -> Reply:
    today = datetime.now(UTC).date().isoformat()
    disbursement = {
        "loan_id": str(uuid.uuid4()),
        "borrower_id": str(uuid.uuid4()),
        "amount_minor": "100",
        "currency": "USD",
        "effective_at": today,
        "method": "wire",
    }
    opened = client.post("/v1/disbursements", f"test:{uuid.uuid4()}", disbursement)
    reversal: dict[str, object] = {
        "reverses_entry_id": json.loads(opened.body)["journal_entry_id"],
        "reason_code": "duplicate",
        "reason_description": "a test",
        "effective_at": today,
    }
    return client.post("/v1/reversals", f"test:{uuid.uuid4()}", reversal)


def test_past_the_proxy_the_header_counts_for_nothing(
    proxied: Proxied, partner_tenant: str, issue_token: Callable[..., str]
) -> None:
    good = proxied.papers.good
    token = issue_token(partner_tenant, claims=good.confirmation)
    trusted = proxied.direct(token, TRUSTED, Client_Cert=good.header)
    assert trusted.get(BALANCE).status == 200, "or the test below would show nothing"
    untrusted = proxied.direct(token, UNTRUSTED, Client_Cert=good.header)
    assert problem(untrusted.get(BALANCE)) == (401, "unauthorized")
    forwarded = proxied.direct(
        issue_token(partner_tenant), UNTRUSTED, Client_Cert=good.header, X_Forwarded_For=TRUSTED
    )
    assert problem(forwarded.get(BALANCE)) == (403, "mtls_required")
    rubbish = proxied.direct(issue_token(partner_tenant), UNTRUSTED, Client_Cert="rubbish")
    assert problem(rubbish.get(BALANCE)) == (403, "mtls_required")


def test_a_proxys_header_that_cannot_be_read_is_400(
    proxied: Proxied, partner_tenant: str, issue_token: Callable[..., str]
) -> None:
    pem = base64.b64encode(proxied.papers.good.path.read_bytes()).decode()
    for value in ("rubbish", "::", f":{pem}:", proxied.papers.good.header + ";a=1"):
        reply = proxied.direct(issue_token(partner_tenant), TRUSTED, Client_Cert=value).get(BALANCE)
        assert problem(reply) == (400, "bad_request"), value
        assert b"Client-Cert" in reply.body


@pytest.mark.parametrize("shown", ["none", "foreign", "expired", "not_yet_valid", "revoked"])
def test_nobody_gets_past_nginx_without_a_good_certificate(
    proxied: Proxied, partner_tenant: str, issue_token: Callable[..., str], shown: str
) -> None:
    """It completes the handshake and refuses the request itself."""
    certificate = None if shown == "none" else getattr(proxied.papers, shown)
    client = proxied.partner(issue_token(partner_tenant), certificate)
    assert refused_by_nginx(client.get(BALANCE))


@pytest.mark.parametrize(
    ("rsa_bits", "names"), [(None, 0), (None, 1), (2048, 0), (3072, 0), (4096, 0), (4096, 50)]
)
def test_certificates_of_any_usual_size_arrive_whole(
    proxied: Proxied,
    partner_tenant: str,
    issue_token: Callable[..., str],
    rsa_bits: int | None,
    names: int,
) -> None:
    shown = proxied.papers.authority.issue(
        f"size-{rsa_bits}-{names}", rsa_bits=rsa_bits, names=names
    )
    assert len(shown.der) <= NGINX_BYTES_MAX
    token = issue_token(partner_tenant, claims=shown.confirmation)
    assert proxied.partner(token, shown).get(BALANCE).status == 200


def test_every_length_of_a_line_and_of_lines_arrives_whole(
    proxied: Proxied, partner_tenant: str, issue_token: Callable[..., str]
) -> None:
    """From one certificate to the next nearly a line of base64 comes along, up to the last."""
    sizes = []
    for names in range(0, 100, 3):
        shown = proxied.papers.authority.issue(f"lines-{names}", names=names)
        token = issue_token(partner_tenant, claims=shown.confirmation)
        reply = proxied.partner(token, shown).get(BALANCE)
        if len(shown.der) <= NGINX_BYTES_MAX:
            sizes.append(len(shown.der))
            assert reply.status == 200, len(shown.der)
        else:
            assert problem(reply) == (400, "bad_request"), "refused, never taken for another"
    assert len(sizes) > 10 and max(sizes) > NGINX_BYTES_MAX - 200


def test_nginx_lets_nobody_in_once_its_list_is_past_its_next_update(
    proxied: Proxied, tmp_path: Path
) -> None:
    """OpenSSL's way, other than that of our own listener; the operator's page says so."""
    own = make_papers(tmp_path / "papers")
    crl = own.authority.revoke(next_update=-DAY / 24)
    upstream = int(proxied.server.base_url.rpartition(":")[2])
    with proxying(tmp_path / "nginx", upstream, own.server, own.authority.path, crl) as nginx:
        client = Client(nginx.partner_port, "x", context=own.authority.context(own.good))
        assert refused_by_nginx(client.get(BALANCE))


def test_a_suspended_partner_is_out_behind_the_proxy(
    proxied: Proxied, partner_tenant: str, issue_token: Callable[..., str]
) -> None:
    client = proxied.partner(issue_token(partner_tenant), proxied.papers.good)
    assert client.get(BALANCE).status == 200
    url = proxied.server.database_url
    assert set_tenant_status(url, uuid.UUID(partner_tenant), "suspended")
    assert problem(client.get(BALANCE)) == (403, "tenant_unknown")


def test_the_configuration_sets_the_header_wherever_it_passes_a_request_on() -> None:
    text = (Path(__file__).parents[2] / "deploy" / "nginx" / "hpts.conf").read_text()
    locations = text.split("\n    location ")[1:]
    assert len(locations) == 2
    for location in locations:
        assert "proxy_pass http://hpts;" in location
        assert "proxy_set_header Client-Cert " in location
        assert "proxy_set_header X-Forwarded-For $remote_addr;" in location
