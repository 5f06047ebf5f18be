"""Certificates that are nearly good, and what a TLS session is worth once its certificate is not:
the partners' listener and nginx with real handshakes.
"""

import datetime
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from hpts.http.issuer import DevelopmentIssuer
from tests.certificates import SERVER, Authority, Issued

from .nginx import Nginx, needs_nginx, proxying
from .partners import (
    VERSIONS,
    Papers,
    Partnered,
    handshake,
    is_accepted,
    make_papers,
    partnered,
)
from .processes import wait_until

REQUEST = b"GET /v1/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
KEEPING = b"GET /v1/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
SOON = datetime.timedelta(seconds=6)
OLD_VERSIONS = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
RELOADED_SECONDS_MAX = 30


class Chain(NamedTuple):
    """Partners' papers, and an authority below theirs."""

    papers: Papers
    below: Authority
    through: Issued
    """Issued by it, with its certificate."""
    alone: Issued
    """The same without."""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("chain")
    papers = make_papers(folder / "papers")
    below = Authority(folder / "below", "Below", papers.authority)
    below.revoke()
    alone = below.issue("through")
    return Chain(papers, below, below.with_chain(alone), alone)


@pytest.fixture(scope="module")
def listening(
    database_url: str,
    issuer: DevelopmentIssuer,
    chain: Chain,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Partnered]:
    lists = f"{chain.papers.authority.crl_path},{chain.below.crl_path}"
    log = tmp_path_factory.mktemp("handshakes") / "log"
    with partnered(database_url, issuer, log, chain.papers, HPTS_PARTNER_CRL=lists) as found:
        yield found


@contextmanager
def connected(
    port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> Iterator[ssl.SSLSocket]:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as wire,
    ):
        yield wire


def session_of(port: int, context: ssl.SSLContext) -> ssl.SSLSession:
    """A session that a whole handshake and a request made."""
    with connected(port, context) as wire:
        wire.sendall(REQUEST)
        while wire.recv(65_536):
            pass
        assert wire.session is not None and not wire.session_reused
        return wire.session


def is_resumed(port: int, context: ssl.SSLContext, session: ssl.SSLSession) -> bool:
    """Whether the session goes on without the certificate being shown again."""
    try:
        with connected(port, context, session) as wire:
            wire.sendall(REQUEST)
            return bool(wire.recv(16)) and bool(wire.session_reused)
    except OSError:
        return False


def of_version(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = version
    return context


def test_who_is_nearly_a_partner_gets_through_no_handshake(
    listening: Partnered, chain: Chain, tmp_path: Path
) -> None:
    authority = chain.papers.authority
    namesake = Authority(tmp_path / "namesake", "Partners")
    ghost = namesake.issue("ghost")
    refused = {
        "of another authority of the same name": ghost,
        "the same with that authority's certificate": namesake.with_chain(ghost),
        "signed by itself": Authority(tmp_path / "itself", "good").as_client(),
        "for servers only": authority.issue("for-servers", SERVER),
        "below an authority that is not shown": chain.alone,
    }
    assert [name for name, shown in refused.items() if is_accepted(listening, shown)] == []
    accepted = {
        "good": chain.papers.good,
        "for any use": authority.issue("for-any-use", None),
        "below an authority that is shown": chain.through,
    }
    assert [name for name, shown in accepted.items() if not is_accepted(listening, shown)] == []


@pytest.mark.parametrize("version", OLD_VERSIONS, ids=lambda version: version.name)
def test_no_version_of_tls_before_1_2_is_spoken(
    listening: Partnered, chain: Chain, version: ssl.TLSVersion
) -> None:
    context = chain.papers.authority.context(chain.papers.good)
    context.set_ciphers("ALL:@SECLEVEL=0")  # else OpenSSL would not even ask
    with pytest.raises(ssl.SSLError, match="alert"):
        handshake(listening.partner_port, of_version(context, version))


def test_an_authority_below_is_revoked_by_the_list_of_the_one_above(
    database_url: str, issuer: DevelopmentIssuer, tmp_path: Path
) -> None:
    papers = make_papers(tmp_path / "papers")
    below = Authority(tmp_path / "below", "Below", papers.authority)
    below.revoke()
    shown = below.with_chain(below.issue("through"))
    papers.authority.revoke([below.as_client()])
    lists = f"{papers.authority.crl_path},{below.crl_path}"
    log = tmp_path / "log"
    with partnered(database_url, issuer, log, papers, HPTS_PARTNER_CRL=lists) as found:
        assert not is_accepted(found, shown)


def test_a_reload_ends_what_an_expired_certificate_began(
    listening: Partnered, chain: Chain
) -> None:
    """A resumed session shows no certificate, so that nobody sees it has expired meanwhile; that is
    why the listener reloads by itself."""
    soon = chain.papers.authority.issue("soon", ends=SOON)
    port = listening.partner_port
    contexts = [of_version(chain.papers.authority.context(soon), each) for each in VERSIONS]
    sessions = [(context, session_of(port, context)) for context in contexts]
    with connected(port, contexts[0]) as kept:
        kept.sendall(KEEPING)
        assert kept.recv(65_536).startswith(b"HTTP/1.1 200")
        wait_until(lambda: not is_accepted(listening, soon), "the certificate to expire")
        listening.server.process.send_signal(signal.SIGHUP)
        wait_until(
            lambda: not any(is_resumed(port, *session) for session in sessions),
            "its sessions to end",
            RELOADED_SECONDS_MAX,
        )
        kept.settimeout(RELOADED_SECONDS_MAX)
        assert kept.recv(65_536) == b"", "its connection has ended too"
    wait_until(lambda: is_accepted(listening, chain.papers.good), "the others to be let in")


@pytest.fixture(scope="module")
def nginx(
    listening: Partnered, chain: Chain, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Nginx]:
    authority = chain.papers.authority
    folder = tmp_path_factory.mktemp("nginx") / "nginx"
    with proxying(
        folder, listening.port, chain.papers.server, authority.path, authority.crl_path
    ) as found:
        yield found


@needs_nginx
@pytest.mark.parametrize("with_tickets", [True, False])
@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
def test_nginx_resumes_no_session_of_a_partner(
    nginx: Nginx, chain: Chain, version: ssl.TLSVersion, with_tickets: bool
) -> None:
    """Else one whose certificate is revoked would come in for as long as the cache remembers, for
    which a reload is nothing."""

    def resumes(port: int) -> bool:
        context = of_version(chain.papers.authority.context(chain.papers.good), version)
        if not with_tickets:
            context.options |= ssl.OP_NO_TICKET
        with connected(port, context) as wire:
            wire.sendall(REQUEST)
            while wire.recv(65_536):
                pass
            session = wire.session
        return session is not None and is_resumed(port, context, session)

    assert not resumes(nginx.partner_port)
    assert resumes(nginx.port), "this client can"
