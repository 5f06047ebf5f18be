"""The partners' listener of `hpts serve`: who gets through its handshake, what counts behind it.

Real certificates of a real authority, a real server, plain TLS clients.
"""

import contextlib
import datetime
import os
import signal
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hpts.http.issuer import DevelopmentIssuer
from hpts.store.tenants import add_tenant, set_tenant_mtls, set_tenant_status
from tests.certificates import DAY, SERVER, Authority, Issued
from tests.conftest import Server

from .payers import Client, Loan, Reply, loan_body, open_loans, payment_body
from .processes import (
    descendants,
    quiet_port,
    run_hpts,
    serving,
    serving_environment,
    wait_until,
    wait_until_gone,
    workers_of,
)

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
MARKED_SECONDS_MAX = 5
BALANCE = "/v1/accounts/1000/balance?currency=USD"


class Papers(NamedTuple):
    """An authority's files, and those of an authority that nobody here trusts."""

    authority: Authority
    server: Issued
    good: Issued
    revoked: Issued
    expired: Issued
    not_yet_valid: Issued
    foreign: Issued

    @property
    def settings(self) -> dict[str, str]:
        return {
            "HPTS_PARTNER_CERTIFICATE": str(self.server.path),
            "HPTS_PARTNER_KEY": str(self.server.key_path),
            "HPTS_PARTNER_CA": str(self.authority.path),
            "HPTS_PARTNER_CRL": str(self.authority.crl_path),
        }


def make_papers(folder: Path) -> Papers:
    authority, other = Authority(folder / "ours", "Partners"), Authority(folder / "other", "Other")
    papers = Papers(
        authority=authority,
        server=authority.issue("server", SERVER),
        good=authority.issue("good"),
        revoked=authority.issue("revoked"),
        expired=authority.issue("expired", begins=-10 * DAY, ends=-DAY / 24),
        not_yet_valid=authority.issue("early", begins=DAY, ends=3 * DAY),
        foreign=other.issue("foreign"),
    )
    authority.revoke([papers.revoked])
    return papers


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return make_papers(tmp_path_factory.mktemp("papers"))


class Partnered(NamedTuple):
    """A server with a partners' listener."""

    server: Server
    port: int
    partner_port: int
    papers: Papers

    def ordinary(self, token: str, **how: object) -> Client:
        return Client(self.port, token, **how)  # type: ignore[arg-type]

    def partner(self, token: str, shown: Issued | None) -> Client:
        return Client(self.partner_port, token, context=self.papers.authority.context(shown))


@contextlib.contextmanager
def partnered(
    database_url: str, issuer: DevelopmentIssuer, log: Path, papers: Papers, **variables: str
) -> Iterator[Partnered]:
    port, partner_port = quiet_port(), quiet_port()
    settings = papers.settings | {"HPTS_PARTNER_PORT": str(partner_port)} | variables
    with serving(database_url, issuer, log, port, **settings) as server:
        found = Partnered(server, port, partner_port, papers)
        wait_until(lambda: is_accepted(found, papers.good), "the partners' listener", 30)
        yield found


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


@pytest.fixture
def partner_tenant(database_url: str) -> str:
    return str(add_tenant(database_url, "a partner", requires_mtls=True))


def handshake(port: int, context: ssl.SSLContext) -> bytes:
    """What a request without a token is answered. Raises OSError where the handshake fails: with
    TLS 1.3 a client hears of that only when it reads."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as wire,
    ):
        wire.sendall(b"GET /v1/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b""
        while chunk := wire.recv(65_536):
            received += chunk
        if not received:
            raise ConnectionResetError("closed without a word")
        return received


def is_accepted(found: Partnered, shown: Issued | None) -> bool:
    try:
        context = found.papers.authority.context(shown)
        return handshake(found.partner_port, context).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def problem(reply: Reply) -> tuple[int, str | None]:
    return reply.status, reply.code


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


def test_a_certificate_revoked_later_is_refused_after_a_reload(
    database_url: str, issuer: DevelopmentIssuer, tmp_path: Path
) -> None:
    own = make_papers(tmp_path / "papers")
    with partnered(database_url, issuer, tmp_path / "log", own) as found:
        own.authority.revoke([own.revoked, own.good])
        assert is_accepted(found, own.good), "the lists are read when a worker starts"
        renewed = own.authority.issue("renewed")
        found.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not is_accepted(found, own.good), "the new list to count", 20)
        wait_until(lambda: is_accepted(found, renewed), "the others to be let in", 20)
        assert found.server.process.poll() is None


def test_a_list_past_its_next_update_still_counts(
    database_url: str, issuer: DevelopmentIssuer, tmp_path: Path
) -> None:
    own = make_papers(tmp_path / "papers")
    own.authority.revoke([own.revoked], next_update=-DAY / 24)
    with partnered(database_url, issuer, tmp_path / "log", own) as found:
        assert not is_accepted(found, own.revoked)


def test_with_lists_each_authority_needs_one(
    database_url: str, issuer: DevelopmentIssuer, tmp_path: Path
) -> None:
    own, other = make_papers(tmp_path / "papers"), Authority(tmp_path / "second", "Second")
    client = other.issue("client")
    own.authority.path.write_bytes(own.authority.path.read_bytes() + other.path.read_bytes())
    one, both = str(own.authority.crl_path), f"{own.authority.crl_path}, {other.revoke()}"
    for lists, is_let_in in ((one, False), (both, True)):
        log, how = tmp_path / "log", {"HPTS_PARTNER_CRL": lists}
        with partnered(database_url, issuer, log, own, **how) as found:
            assert is_accepted(found, own.good)
            assert is_accepted(found, client) is is_let_in


def test_a_reload_with_a_file_that_cannot_be_used_changes_nothing(
    database_url: str, issuer: DevelopmentIssuer, tmp_path: Path
) -> None:
    own, log = make_papers(tmp_path / "papers"), tmp_path / "log"
    with partnered(database_url, issuer, log, own) as found:
        own.authority.crl_path.write_text("half of a")
        found.server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "is not reloaded" in log.read_text(), "the log's word", 20)
        assert "HPTS_PARTNER_CRL" in log.read_text()
        time.sleep(1)
        assert is_accepted(found, own.good) and not is_accepted(found, own.revoked)
        assert found.server.process.poll() is None


def test_sigterm_stops_both_listeners_at_once(
    database_url: str, issuer: DevelopmentIssuer, papers: Papers, tmp_path: Path
) -> None:
    how = {"HPTS_PARTNER_WORKERS": "2"}
    with partnered(database_url, issuer, tmp_path / "log", papers, **how) as found:
        process = found.server.process
        everybody = descendants(process.pid)
        assert len(everybody) == 2 + 1 + 2
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert time.monotonic() - began < 10
        wait_until_gone(everybody, 1)


def test_ctrl_c_is_no_failure(
    database_url: str, issuer: DevelopmentIssuer, papers: Papers, tmp_path: Path
) -> None:
    with partnered(database_url, issuer, tmp_path / "log", papers) as found:
        process = found.server.process
        everybody = descendants(process.pid)
        for each in everybody:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        wait_until_gone(everybody, 1)


def test_the_partners_listener_dies_with_its_starter(
    database_url: str, issuer: DevelopmentIssuer, papers: Papers, tmp_path: Path
) -> None:
    with partnered(database_url, issuer, tmp_path / "log", papers) as found:
        everybody = descendants(found.server.process.pid)
        found.server.process.kill()
        wait_until_gone(everybody, 5)


def test_a_listener_that_is_lost_stops_the_server_with_a_failure(
    database_url: str, issuer: DevelopmentIssuer, papers: Papers, tmp_path: Path
) -> None:
    """Whoever supervises the server starts it again, with both."""
    log = tmp_path / "log"
    with partnered(database_url, issuer, log, papers) as found:
        process = found.server.process
        everybody = descendants(process.pid)
        (listener,) = [
            each for each in everybody if descendants(each.pid)
        ]  # the only child that has children
        os.kill(listener.pid, signal.SIGKILL)
        assert process.wait(30) == 1
        wait_until_gone(everybody, 1)
    assert "the partners' listener has ended" in log.read_text()


def test_a_worker_of_the_partners_that_dies_is_replaced(
    database_url: str, issuer: DevelopmentIssuer, papers: Papers, tmp_path: Path
) -> None:
    with partnered(database_url, issuer, tmp_path / "log", papers) as found:
        children = workers_of(found.server.process)
        (listener,) = [each for each in children if descendants(each.pid)]
        (worker,) = descendants(listener.pid)
        os.kill(worker.pid, signal.SIGKILL)
        wait_until_gone([worker])
        wait_until(lambda: is_accepted(found, papers.good), "another worker", 20)


def bad_settings(papers: Papers, folder: Path) -> dict[str, tuple[dict[str, str], tuple[str, ...]]]:
    """What is wrong by name: (settings over the good ones, what the message must say)."""
    two_lists = folder / "two.pem"
    two_lists.write_bytes(papers.authority.crl_path.read_bytes() + another_list(folder))
    encrypted = folder / "encrypted.key"
    key = serialization.load_pem_private_key(papers.server.key_path.read_bytes(), None)
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    nothing = str(folder / "nothing.pem")
    return {
        "no key": ({"HPTS_PARTNER_KEY": ""}, ("HPTS_PARTNER_KEY must be set",)),
        "no authority": ({"HPTS_PARTNER_CA": ""}, ("HPTS_PARTNER_CA must be set",)),
        "no port": ({"HPTS_PARTNER_PORT": ""}, ("HPTS_PARTNER_CRL", "HPTS_PARTNER_PORT")),
        "another's key": (
            {"HPTS_PARTNER_KEY": str(papers.good.key_path)},
            ("HPTS_PARTNER_KEY", "HPTS_PARTNER_CERTIFICATE"),
        ),
        "a key with a password": (
            {"HPTS_PARTNER_KEY": str(encrypted)}, ("HPTS_PARTNER_KEY", "without a password")
        ),
        "no such certificate": ({"HPTS_PARTNER_CERTIFICATE": nothing}, (nothing,)),
        "no such authority": ({"HPTS_PARTNER_CA": nothing}, ("HPTS_PARTNER_CA", nothing)),
        "an authority that is none": (
            {"HPTS_PARTNER_CA": str(papers.good.path)}, ("HPTS_PARTNER_CA", "a CA certificate")
        ),
        "a list that is none": (
            {"HPTS_PARTNER_CRL": str(papers.good.path)}, ("HPTS_PARTNER_CRL", "revocation list")
        ),
        "two lists in a file": (
            {"HPTS_PARTNER_CRL": str(two_lists)}, ("HPTS_PARTNER_CRL", "a file of its own")
        ),
        "a list of somebody of the same name": (
            {"HPTS_PARTNER_CRL": str(Authority(folder / "namesake", "Partners").revoke())},
            ("HPTS_PARTNER_CRL holds no list", "add its list, or unset the variable"),
        ),
        "a key of a kind that only OpenSSL knows": (
            of_another_kind(papers.authority), ("HPTS_PARTNER_KEY is of a kind", "make one for RSA")
        ),
    }  # fmt: skip


def of_another_kind(authority: Authority) -> dict[str, str]:
    issued = authority.issue("p521", SERVER, curve=ec.SECP521R1())
    return {
        "HPTS_PARTNER_CERTIFICATE": str(issued.path), "HPTS_PARTNER_KEY": str(issued.key_path)
    }  # fmt: skip


def another_list(folder: Path) -> bytes:
    return Authority(folder / "third", "Third").revoke().read_bytes()


NAMES = ("no key", "no authority", "no port", "another's key", "a key with a password") + (
    "no such certificate", "no such authority", "an authority that is none", "a list that is none",
    "two lists in a file", "a list of somebody of the same name",
    "a key of a kind that only OpenSSL knows",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_settings_that_cannot_be_used_stop_the_start(
    database_url: str, issuer: DevelopmentIssuer, papers: Papers, tmp_path: Path, name: str
) -> None:
    cases = bad_settings(papers, tmp_path)
    assert cases.keys() == set(NAMES)
    changes, words = cases[name]
    settings = papers.settings | {"HPTS_PARTNER_PORT": str(quiet_port())} | changes
    environment = serving_environment(database_url, issuer, quiet_port())
    environment |= {variable: value for variable, value in settings.items() if value}
    ran = run_hpts("serve", environment=environment, folder=tmp_path)
    assert ran.returncode == 1
    assert all(word in ran.stderr for word in words), ran.stderr
    assert "Traceback" not in ran.stderr


def test_both_ports_are_checked_before_anything_starts(
    database_url: str, issuer: DevelopmentIssuer, papers: Papers, tmp_path: Path
) -> None:
    port = quiet_port()
    environment = serving_environment(database_url, issuer, port) | papers.settings
    same = environment | {"HPTS_PARTNER_PORT": str(port)}
    ran = run_hpts("serve", environment=same, folder=tmp_path)
    assert ran.returncode == 1 and "another port" in ran.stderr
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1])
        busy = environment | {"HPTS_PARTNER_PORT": number}
        ran = run_hpts("serve", environment=busy, folder=tmp_path)
    assert ran.returncode == 1 and "HPTS_PARTNER_PORT" in ran.stderr and number in ran.stderr


def test_the_certificates_of_these_tests_are_what_they_are_named(papers: Papers) -> None:
    now = datetime.datetime.now(datetime.UTC)
    assert papers.expired.certificate.not_valid_after_utc < now
    assert papers.not_yet_valid.certificate.not_valid_before_utc > now
    for issued in (papers.good, papers.revoked, papers.expired, papers.not_yet_valid):
        issued.certificate.verify_directly_issued_by(papers.authority.certificate)
