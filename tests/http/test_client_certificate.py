"""Whose Client-Cert header counts, and what may stand in it (RFC 9440)."""

import ast
import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hpts.http
from hpts.domain import limits
from hpts.domain.audit import Origin
from hpts.http.client_certificate import (
    ORDINARY,
    UNNAMED_PARTNER,
    Arrival,
    Entrance,
    thumbprint_of,
)
from hpts.http.messages import Request, Response
from hpts.http.problems import ProblemRaised
from tests.certificates import Authority, Issued
from tests.http.asgi import TRACE_ID, TRACED, answer, fine, request_of

PROXY = "192.0.2.10"
KNOW_PEERS = {"asgi.py", "rsgi.py", "client_certificate.py"}
"""The adapters, who hand it over, and the entrance."""


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory) -> Issued:
    return Authority(tmp_path_factory.mktemp("authority"), "Partners").issue("partner")


@pytest.fixture
def entrance() -> Entrance:
    return Entrance(is_for_partners=False, trusted_proxies=(PROXY, "2001:db8::/64"))


def arrival(entrance: Entrance, peer: str | None, *values: str) -> Arrival:
    headers = [(b"client-cert", value.encode("latin-1")) for value in values]
    return entrance.arrival_of(request_of(*headers, peer=peer))


def refusal(entrance: Entrance, *values: str) -> str:
    with pytest.raises(ProblemRaised) as raised:
        arrival(entrance, PROXY, *values)
    assert raised.value.code == "bad_request"
    (error,) = raised.value.errors
    assert (error.field, error.code) == ("Client-Cert", "malformed_header")
    return error.message


def test_the_certificate_that_a_trusted_proxy_names_is_known(
    entrance: Entrance, partner: Issued
) -> None:
    assert arrival(entrance, PROXY, partner.header) == Arrival(True, partner.thumbprint)


@pytest.mark.parametrize(
    "peer", ["192.0.2.10", "::ffff:192.0.2.10", "2001:db8::1", "2001:db8::ffff:1"]
)
def test_a_proxy_is_known_by_its_address_in_either_family(
    entrance: Entrance, partner: Issued, peer: str
) -> None:
    assert arrival(entrance, peer, partner.header).is_mutual


@pytest.mark.parametrize(
    "peer",
    ["192.0.2.11", "127.0.0.1", "::1", "2001:db8:0:1::1", "::ffff:192.0.2.11", "unix", "", None],
)
@pytest.mark.parametrize("value", ["a good one", "rubbish", ""])
def test_from_anybody_else_the_header_counts_as_not_sent(
    entrance: Entrance, partner: Issued, peer: str | None, value: str
) -> None:
    value = partner.header if value == "a good one" else value
    assert arrival(entrance, peer, value) is ORDINARY


def test_without_trusted_proxies_nobody_is_believed(partner: Issued) -> None:
    assert arrival(Entrance(is_for_partners=False), PROXY, partner.header) is ORDINARY


def test_what_other_headers_claim_counts_for_nothing(entrance: Entrance, partner: Issued) -> None:
    headers = (
        (b"client-cert", partner.header.encode()),
        (b"x-forwarded-for", PROXY.encode()),
        (b"forwarded", f"for={PROXY}".encode()),
        (b"x-real-ip", PROXY.encode()),
    )
    assert entrance.arrival_of(request_of(*headers, peer="192.0.2.99")) is ORDINARY


def test_a_trusted_proxy_without_a_certificate_brings_an_ordinary_request(
    entrance: Entrance,
) -> None:
    assert arrival(entrance, PROXY) is ORDINARY


def test_the_partners_listener_knows_of_a_handshake_and_of_no_certificate(partner: Issued) -> None:
    entrance = Entrance(is_for_partners=True, trusted_proxies=(PROXY,))
    assert arrival(entrance, "192.0.2.99", partner.header) is UNNAMED_PARTNER
    assert arrival(entrance, PROXY, partner.header).thumbprint == partner.thumbprint


def test_a_header_that_is_sent_twice_is_refused(entrance: Entrance, partner: Issued) -> None:
    assert "once" in refusal(entrance, partner.header, partner.header)


@pytest.mark.parametrize(
    "value",
    [
        "",
        ":",
        "::",
        ":A:",
        "unreadable",
        ":not base64!:",
        ":QUJD",
        "QUJD:",
        ":QUJD:;a=1",
        ":QUJD:, :QUJD:",
        ":QUJD=:",
        ":" + base64.b64encode(b"no certificate").decode() + ":",
        "-----BEGIN%20CERTIFICATE-----%0A",
        "caf\xe9",
        "\u00b2",
    ],
)
def test_what_is_no_certificate_is_refused(entrance: Entrance, value: str) -> None:
    assert refusal(entrance, value)


def test_a_certificate_of_a_version_that_there_is_not_is_refused(
    entrance: Entrance, partner: Issued
) -> None:
    version = b"\xa0\x03\x02\x01"
    assert version + b"\x02" in partner.der
    strange = partner.der.replace(version + b"\x02", version + b"\x12", 1)
    assert refusal(entrance, f":{base64.b64encode(strange).decode()}:")


def test_a_certificate_with_something_behind_it_is_refused(
    entrance: Entrance, partner: Issued
) -> None:
    longer = base64.b64encode(partner.der + b"\0").decode()
    assert "X.509" in refusal(entrance, f":{longer}:")


def test_a_certificate_that_is_too_large_is_refused_unread(entrance: Entrance) -> None:
    large = base64.b64encode(bytes(limits.CERTIFICATE_BYTES_MAX + 3)).decode()
    assert str(limits.CERTIFICATE_BYTES_MAX) in refusal(entrance, f":{large}:")


def test_spaces_around_the_value_do_not_count(partner: Issued) -> None:
    assert thumbprint_of(f"  {partner.header} ") == partner.thumbprint


@given(st.text(max_size=60) | st.text(max_size=60).map(lambda text: f":{text}:"))
def test_no_value_does_more_than_refuse(value: str) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        thumbprint_of(value)


def test_memory_of_peers_and_certificates_is_bounded(
    partner: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PEERS_REMEMBERED_MAX", 4)
    entrance = Entrance(is_for_partners=False, trusted_proxies=(PROXY,))
    for number in range(20):
        assert not arrival(entrance, f"198.51.100.{number}", partner.header).is_mutual
        assert arrival(entrance, PROXY, partner.header).is_mutual
        assert len(entrance._known_peers) <= 4
    assert thumbprint_of.cache_info().maxsize == limits.CERTIFICATES_REMEMBERED_MAX


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        ("192.0.2.99", (), "192.0.2.99"),
        ("192.0.2.99", ("203.0.113.9",), "192.0.2.99"),
        (PROXY, (), PROXY),
        (PROXY, ("203.0.113.9",), "203.0.113.9"),
        (PROXY, ("10.6.6.6, 203.0.113.9",), "203.0.113.9"),
        (PROXY, ("10.6.6.6", "203.0.113.9"), "203.0.113.9"),
        (PROXY, ("203.0.113.9, 2001:db8::7",), "203.0.113.9"),
        (PROXY, (f"203.0.113.9,{PROXY} , ::ffff:{PROXY}",), "203.0.113.9"),
        (PROXY, ("10.6.6.6, unknown",), PROXY),
        (PROXY, ("10.6.6.6, unknown, 2001:db8::7",), "2001:db8::7"),
        (PROXY, ("2001:DB8:1::0001",), "2001:db8:1::1"),
        (PROXY, ("",), PROXY),
        (PROXY, ("203.0.113.9, " + f"{PROXY}, " * 20 + PROXY,), PROXY),
        ("::ffff:192.0.2.10", ("203.0.113.9",), "203.0.113.9"),
        (None, ("203.0.113.9",), None),
    ],
)
def test_the_address_is_the_nearest_that_no_trusted_proxy_has(
    entrance: Entrance, peer: str | None, forwarded: tuple[str, ...], source: str | None
) -> None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    request = request_of(*headers, peer=peer)
    request.trace_id = "trace"
    assert entrance.origin_of(request) == Origin(source, "trace")


def test_without_trusted_proxies_no_forwarded_address_is_believed() -> None:
    request = request_of((b"x-forwarded-for", b"203.0.113.9"), peer=PROXY)
    assert Entrance(is_for_partners=False).origin_of(request).source == PROXY


def test_every_handler_is_told_the_address_that_a_trusted_proxy_saw(entrance: Entrance) -> None:
    told: list[Origin] = []

    async def handler(request: Request) -> Response:
        told.append(request.origin)
        return await fine(request)

    headers = [(b"x-forwarded-for", b"203.0.113.9"), TRACED]
    for peer in (PROXY, "192.0.2.99"):
        assert answer(handler, headers=headers, entrance=entrance, peer=peer).status == 200
    assert [origin.source for origin in told] == ["203.0.113.9", "192.0.2.99"]
    assert {origin.trace_id for origin in told} == {TRACE_ID}


def test_nobody_else_asks_from_where_a_connection_comes() -> None:
    """Behind a proxy it is the proxy's address, which an endpoint would record without a notice."""
    asking = {
        path.name
        for path in Path(hpts.http.__path__[0]).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "peer"
    }
    assert asking - KNOW_PEERS == set()
    assert "client_certificate.py" in asking
    with pytest.raises(RuntimeError, match="trusted proxies"):
        _ = request_of(peer=PROXY).origin
