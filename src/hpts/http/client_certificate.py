"""How a request came: over mutual TLS or not, with which client certificate, from which address.

The certificate is taken from `Client-Cert` (RFC 9440) and the address from `X-Forwarded-For` where
a trusted proxy sent them; from anybody else they count as not sent. Who may come which way is not
decided here.
"""

import base64
import functools
import ipaddress
import re
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from cryptography import x509

from hpts.domain import limits
from hpts.domain.audit import Origin
from hpts.domain.rejections import FieldError
from hpts.http.messages import Request
from hpts.http.problems import ProblemRaised

HEADER = "client-cert"
FORWARDED = "x-forwarded-for"
FORM = "must be one certificate in DER as `:base64:` (RFC 9440), sent once"
_BYTE_SEQUENCE = re.compile(r":([A-Za-z0-9+/]+={0,2}):", re.ASCII)


class Arrival(NamedTuple):
    """`is_mutual`: a handshake has shown a certificate of the partners' authority. `thumbprint` is
    the certificate's SHA-256, or None where the handshake's listener does not tell which it was."""

    is_mutual: bool
    thumbprint: bytes | None


ORDINARY = Arrival(False, None)
UNNAMED_PARTNER = Arrival(True, None)


class Entrance:
    """The listener of this worker, and the proxies whose word counts on it."""

    def __init__(self, *, is_for_partners: bool, trusted_proxies: Iterable[str] = ()) -> None:
        self.speaks_tls = is_for_partners
        self._direct = UNNAMED_PARTNER if is_for_partners else ORDINARY
        self._proxies = tuple(ipaddress.ip_network(proxy) for proxy in trusted_proxies)
        self._known_peers: dict[str, bool] = {}

    def arrival_of(self, request: Request) -> Arrival:
        """Raises ProblemRaised for a trusted proxy's header that cannot be read."""
        if not self._proxies or HEADER not in request.headers or not self._trusts(request.peer):
            return self._direct
        values = request.header_values(HEADER)
        if len(values) != 1:
            raise _malformed(FORM)
        try:
            return Arrival(True, thumbprint_of(values[0]))
        except ValueError as error:
            raise _malformed(str(error)) from None

    def origin_of(self, request: Request) -> Origin:
        """The client's address for the audit record: the nearest that no trusted proxy has."""
        source = request.peer
        if self._proxies and FORWARDED in request.headers and self._trusts(source):
            claimed = ",".join(request.header_values(FORWARDED)).split(",")
            for text in reversed(claimed[-limits.FORWARDED_HOPS_MAX :]):
                address = _address_of(text.strip())
                if address is None:
                    break  # what stands before it was not written by a proxy that we know
                source = str(address)
                if not self._is_a_proxys(source):
                    break
        return Origin(source or None, request.trace_id)

    def _trusts(self, peer: str) -> bool:
        is_trusted = self._known_peers.get(peer)
        if is_trusted is None:
            if len(self._known_peers) >= limits.PEERS_REMEMBERED_MAX:
                self._known_peers.clear()
            is_trusted = self._known_peers[peer] = self._is_a_proxys(peer)
        return is_trusted

    def _is_a_proxys(self, peer: str) -> bool:
        address = _address_of(peer)
        return address is not None and any(address in proxy for proxy in self._proxies)


def _address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket that takes both families shows an IPv4 peer as ::ffff:a.b.c.d.
    return getattr(address, "ipv4_mapped", None) or address


@functools.lru_cache(maxsize=limits.CERTIFICATES_REMEMBERED_MAX)
def thumbprint_of(value: str) -> bytes:
    """The SHA-256 of the certificate in a Client-Cert value. Raises ValueError, fit to be shown."""
    sequence = _BYTE_SEQUENCE.fullmatch(value.strip(" "))
    if sequence is None:
        raise ValueError(FORM)
    if len(sequence[1]) > limits.CERTIFICATE_BYTES_MAX * 4 // 3 + 4:
        raise ValueError(f"must hold at most {limits.CERTIFICATE_BYTES_MAX} bytes")
    try:
        certificate = base64.b64decode(sequence[1], validate=True)
        x509.load_der_x509_certificate(certificate)
    except (ValueError, x509.InvalidVersion):
        raise ValueError("must hold an X.509 certificate in DER") from None
    return sha256(certificate).digest()


def _malformed(message: str) -> ProblemRaised:
    return ProblemRaised(
        "bad_request",
        "The proxy in front of the server sends a Client-Cert header that cannot be read; its "
        "operator must mend it.",
        errors=(FieldError("Client-Cert", "malformed_header", message),),
    )
