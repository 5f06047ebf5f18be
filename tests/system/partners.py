"""A server with a partners' listener, certificates good and bad, and handshakes with them."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hpts.http.issuer import DevelopmentIssuer
from tests.certificates import DAY, SERVER, Authority, Issued
from tests.conftest import Server

from .payers import Client, Reply
from .processes import (
    quiet_port,
    serving,
    wait_until,
)

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
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
