"""The same requests get the same answers behind RSGI, the default, and behind ASGI."""

import json
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hpts.http.issuer import DevelopmentIssuer
from hpts.store.tenants import add_tenant
from tests.certificates import Authority
from tests.conftest import Server, start_server, stop_server

VARYING = {"date", "traceparent"}
IDENTIFIER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


@pytest.fixture(scope="module")
def both(
    database_url: str, issuer: DevelopmentIssuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    """A server behind each interface, on one database."""
    servers = []
    try:
        for interface in ("rsgi", "asgi"):
            log = tmp_path_factory.mktemp(interface) / "log"
            how = {"HPTS_INTERFACE": interface, "HPTS_TRUSTED_PROXIES": "127.0.0.1"}
            servers.append(start_server(database_url, issuer, log, **how))
        yield servers
    finally:
        for server in servers:
            stop_server(server)


def exchange(server: Server, *pieces: bytes) -> bytes:
    """What comes back for the pieces of a request, until the server closes the connection."""
    address = urlsplit(server.base_url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=20) as wire:
        for piece in pieces:
            wire.sendall(piece)
        received = b""
        while chunk := wire.recv(65_536):
            received += chunk
    return received


def answer(server: Server, *pieces: bytes) -> tuple[str, dict[str, str], Any]:
    """(status line, headers, body), what differs by nature replaced by its kind."""
    head, _, body = exchange(server, *pieces).partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines), "each header once"
    assert headers.keys() >= VARYING
    plain = IDENTIFIER.sub("ID", INSTANT.sub("INSTANT", body.decode()))
    shown = {
        name: IDENTIFIER.sub("ID", value) for name, value in headers.items() if name not in VARYING
    }
    if shown.get("hpts-position", "").isdecimal():
        shown["hpts-position"] = "BLOCK"
    return status, shown, json.loads(plain) if plain.startswith("{") else plain


def request(
    method: str, path: str, token: str | None = None, body: bytes | None = None, *more: str
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *more]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def disbursement(loan_id: uuid.UUID) -> bytes:
    return json.dumps(
        {
            "loan_id": str(loan_id),
            "borrower_id": str(loan_id),
            "amount_minor": "100",
            "currency": "USD",
            "effective_at": "2026-01-31",
            "method": "ach",
        }
    ).encode()


@pytest.fixture
def pieces(
    new_tenant: Callable[[], str],
    issue_token: Callable[..., str],
    database_url: str,
    tmp_path: Path,
) -> Callable[[], dict[str, list[bytes]]]:
    """Requests by name, under fresh keys and loans each time."""
    token = issue_token(new_tenant())
    partner = str(add_tenant(database_url, "a partner", requires_mtls=True))
    shown = Authority(tmp_path, "Partners").issue("shown")
    bound = issue_token(partner, claims=shown.confirmation)
    certificate = f"Client-Cert: {shown.header}"

    def account(token: str, *more: str) -> list[bytes]:
        path = "/v1/accounts/1000/balance?currency=USD"
        return [request("GET", path, token, None, *more)]

    def make() -> dict[str, list[bytes]]:
        key, loan_id = f"Idempotency-Key: {uuid.uuid4()}", uuid.uuid4()
        body = disbursement(loan_id)
        post = request("POST", "/v1/disbursements", token, body, key)
        chunked = request(
            "POST", "/v1/disbursements", token, None, key, "Transfer-Encoding: chunked",
            "Content-Type: application/json",
        )  # fmt: skip
        half = len(body) // 2
        large = b"%x\r\n%b\r\n" % (3_000_000, b" " * 3_000_000)
        balance = f"/v1/loans/{loan_id}/balance"
        return {
            "posted": [post],
            "replayed": [post],
            "in two pieces": [post[:-half], post[-half:]],
            "chunked": [
                chunked,
                b"%x\r\n%b\r\n" % (half, body[:half]),
                b"%x\r\n%b\r\n0\r\n\r\n" % (len(body) - half, body[half:]),
            ],
            "chunked and too large": [chunked, large],
            "declared too large": [
                request("POST", "/v1/disbursements", token, None, key,
                        "Content-Type: application/json", "Content-Length: 3000000")
            ],
            "two keys": [
                request("POST", "/v1/disbursements", token, body, key, "Idempotency-Key: another1")
            ],
            "no body": [request("POST", "/v1/disbursements", token, None, key,
                                "Content-Type: application/json", "Content-Length: 0")],
            "a body that is no JSON": [request("POST", "/v1/payments", token, b"{", key)],
            "no token": [request("POST", "/v1/payments", None, body, key)],
            "a token that is none": [request("POST", "/v1/payments", "a.b.c", body, key)],
            "another media type": [request("POST", "/v1/payments", token, None, key)],
            "no such path": [request("GET", "/v1/nothing%20here")],
            "another method": [request("DELETE", "/v1/payments", token)],
            "balance": [request("GET", balance, token)],
            "balance with a parameter": [request("GET", f"{balance}?as_of_date=2026-02-30", token)],
            "live": [request("GET", "/v1/health/live")],
            "document": [request("GET", "/v1/openapi.json")],
            "a partner, plainly": account(issue_token(partner)),
            "a partner with a certificate": account(issue_token(partner), certificate),
            "a bound token, plainly": account(bound),
            "a bound token with its certificate": account(bound, certificate),
            "a certificate twice": account(bound, certificate, certificate),
            "a certificate that is none": account(bound, "Client-Cert: rubbish"),
            "an empty certificate": account(bound, "Client-Cert:"),
            "a certificate that is not ASCII": [
                account(bound, "Client-Cert: cafe")[0].replace(b"cafe", b"caf\xe9")
            ],
            "a header that is not ASCII": [
                request("GET", "/v1/health/live").replace(b"Host", b"X-Name: caf\xe9\r\nHost")
            ],
        }  # fmt: skip

    return make


def test_both_interfaces_give_the_same_answers(
    both: list[Server], pieces: Callable[[], dict[str, list[bytes]]]
) -> None:
    rsgi, asgi = (
        {name: answer(server, *sent) for name, sent in pieces().items()} for server in both
    )
    for name, found in rsgi.items():
        assert found == asgi[name], name
    statuses = {name: found[0].split(" ")[1] for name, found in rsgi.items()}
    assert statuses["posted"] == "201"
    assert statuses["replayed"] == statuses["in two pieces"] == statuses["chunked"] == "200"
    assert statuses["chunked and too large"] == statuses["declared too large"] == "413"
    assert (
        statuses["two keys"] == statuses["no body"] == statuses["a body that is no JSON"] == "400"
    )
    assert statuses["no token"] == statuses["a token that is none"] == "401"
    assert statuses["another media type"] == "415"
    assert (statuses["no such path"], statuses["another method"]) == ("404", "405")
    assert (statuses["a partner, plainly"], statuses["a bound token, plainly"]) == ("403", "401")
    for name in ("a partner with a certificate", "a bound token with its certificate"):
        assert statuses[name] == "200", name
    for name in ("twice", "that is none", "that is not ASCII"):
        assert statuses[f"a certificate {name}"] == "400", name
    assert statuses["an empty certificate"] == "400"


def test_a_body_that_breaks_off_is_a_client_error_and_posts_nothing(
    both: list[Server], pieces: Callable[[], dict[str, list[bytes]]]
) -> None:
    for server, name in product(both, ("posted", "chunked")):
        address = urlsplit(server.base_url)
        sent = b"".join(pieces()[name])
        trace_id = uuid.uuid4().hex.encode()
        traced = sent.replace(b"Host", b"traceparent: 00-%b-00f067aa0ba902b7-01\r\nHost" % trace_id)
        with socket.create_connection((address.hostname or "", address.port or 0)) as wire:
            wire.sendall(traced[:-10])
        line = wait_for_line(server.log, trace_id)
        assert (line["status"], line["code"]) == (400, "bad_request")
        assert exchange(server, sent).startswith(b"HTTP/1.1 201"), "nothing was posted before"


def wait_for_line(log: Path, trace_id: bytes) -> dict[str, Any]:
    """The log's line of a trace, within 5 seconds."""
    for _ in range(100):
        lines = log.read_bytes().splitlines()
        found = [json.loads(line) for line in lines if trace_id in line]
        if found:
            assert len(found) == 1
            return dict(found[0])
        time.sleep(0.05)
    raise AssertionError("the request was not logged")
