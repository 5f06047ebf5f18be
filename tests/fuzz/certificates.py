"""The Client-Cert header: a thumbprint only of a certificate in the one form that RFC 9440 has, and
only from a trusted proxy.
"""

import base64
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from cryptography import x509

from hpts.http.client_certificate import ORDINARY, Entrance
from hpts.http.problems import ProblemRaised
from tests.certificates import Authority
from tests.fuzz.mutations import arbitrary_bytes, spoil_bytes
from tests.fuzz.target import Target
from tests.http.asgi import request_of

PROXY = "192.0.2.1"
PEERS = (PROXY, PROXY, PROXY, "::ffff:192.0.2.1", "192.0.2.2", "::1", "", "nobody", "192.0.2.1 ")


class Sent(NamedTuple):
    values: tuple[bytes, ...]
    peer: str


def target(context: dict[str, Any]) -> Target:
    certificates = Certificates(Path(context["folder"]))
    return Target(certificates.draw, certificates.check, lambda data: Sent((data,), PROXY))


class Certificates:
    """A few real certificates, and the entrance of an ordinary listener behind a proxy."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder / "authority", "fuzz")
        self._certificates = [authority.issue(f"partner-{at}").der for at in range(3)]
        self._entrance = Entrance(is_for_partners=False, trusted_proxies=(PROXY,))

    def draw(self, random: Random) -> Sent:
        der = random.choice(self._certificates)
        match random.randrange(6):
            case 0:
                value = b":" + base64.b64encode(der) + b":"
            case 1 | 2:
                value = b":" + base64.b64encode(spoil_bytes(random, der)) + b":"
            case 3:
                value = spoil_bytes(random, b":" + base64.b64encode(der) + b":")
            case 4:
                value = b":" + base64.b64encode(arbitrary_bytes(random)) + b":"
            case _:
                value = arbitrary_bytes(random)
        values = (value,) * random.choice((1, 1, 1, 1, 2))
        return Sent(values, random.choice(PEERS))

    def check(self, sent: Sent) -> str:
        headers = [(b"client-cert", value) for value in sent.values]
        try:
            arrival = self._entrance.arrival_of(request_of(*headers, peer=sent.peer))
        except ProblemRaised as raised:
            assert raised.code == "bad_request" and raised.errors
            return "400"
        if sent.peer not in PEERS[:4]:
            assert arrival == ORDINARY, "a stranger's header was believed"
            return "not believed"
        assert arrival.is_mutual and len(sent.values) == 1
        certificate = base64.b64decode(sent.values[0].strip(b" ")[1:-1], validate=True)
        x509.load_der_x509_certificate(certificate)
        assert arrival.thumbprint == sha256(certificate).digest()
        return "read"
