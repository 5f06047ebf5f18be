"""Bearer tokens: a Principal only for what an issuer's key has signed, else TokenRefused."""

import asyncio
import base64
import hmac
import json
import time
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwt.algorithms import ECAlgorithm

from hpts.domain import limits
from hpts.http.auth import KeysUnavailable, TokenRefused, Verifier
from hpts.http.jwks import KeySource
from tests.fuzz.mutations import arbitrary_bytes, as_members, emit, nested, spoil_bytes, spoil_json
from tests.fuzz.target import Target

ISSUER, AUDIENCE, KID = "https://issuer.test", "hpts", "one"
HEADER = {"alg": "ES256", "typ": "JWT", "kid": KID}
TENANT = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
COMPACT_PARTS = 3


class Shown(NamedTuple):
    """An Authorization value, and whether the issuer's key signed the claims as they are."""

    header: bytes
    is_signed: bool


def target(context: dict[str, Any]) -> Target:
    tokens = Tokens(Path(context["folder"]))
    return Target(tokens.draw, tokens.check, lambda data: Shown(b"Bearer " + data, False))


class Tokens:
    """An issuer with one ES256 key, and a Verifier that has its key set from a file."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._stranger = ec.generate_private_key(ec.SECP256R1())
        public = self._key.public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        self._public_pem = public.public_bytes(serialization.Encoding.PEM, form)
        shown = ECAlgorithm.to_jwk(public, as_dict=True) | {"kid": KID, "use": "sig"}
        path = folder / "jwks.json"
        path.write_text(json.dumps({"keys": [shown]}))
        self._loop = asyncio.new_event_loop()
        keys = KeySource(path.resolve().as_uri())
        self._loop.run_until_complete(keys.refetch())
        algorithms = ("RS256", "ES256", "EdDSA")
        self._verifier = Verifier(keys, issuer=ISSUER, audience=AUDIENCE, algorithms=algorithms)
        now = int(time.time())
        self._claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "teller",
            "tenant_id": TENANT,
            "scope": "hpts:payments:write hpts:ledger:read",
            "iat": now,
            "nbf": now,
            "exp": now + 86_400,
            "cnf": {"x5t#S256": "A" * 43},
        }

    def draw(self, random: Random) -> Shown:
        kind = random.randrange(10)
        claims = as_members(self._claims)
        if kind == 0:
            noise = arbitrary_bytes(random)
            return Shown(random.choice((b"Bearer ", b"bearer  ", b"")) + noise, False)
        if kind <= 4:
            claims = spoil_json(random, claims)
        elif kind == 5:
            claims = nested(random, claims)
        header = as_members(HEADER)
        if kind in (4, 6):
            header = spoil_json(random, header)
        payload = emit(random, claims)
        if random.random() < 0.1:
            payload = spoil_bytes(random, payload)
        signing_input = _part(emit(random, header)) + b"." + _part(payload)
        match random.randrange(8):
            case 0:
                return Shown(self._unsigned(random, payload), False)
            case 1:
                token = signing_input + b"." + _part(self._sign(self._stranger, signing_input))
                return Shown(b"Bearer " + token, False)
            case 2:
                token = signing_input + b"." + _part(self._sign(self._key, signing_input))
                spoilt = spoil_bytes(random, token)
                return Shown(b"Bearer " + spoilt, _means_the_same(spoilt, token))
            case _:
                token = signing_input + b"." + _part(self._sign(self._key, signing_input))
                return Shown(b"Bearer " + token, True)

    @staticmethod
    def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def _unsigned(self, random: Random, payload: bytes) -> bytes:
        """The tricks of RFC 8725: no algorithm, or the public key as the secret of an HMAC."""
        algorithm = random.choice(("none", "None", "HS256", "ES256", "RS256"))
        data = _part(json.dumps(HEADER | {"alg": algorithm}).encode()) + b"." + _part(payload)
        signature = hmac.new(self._public_pem, data, sha256).digest()
        return b"Bearer " + data + b"." + random.choice((b"", _part(signature), _part(bytes(64))))

    def check(self, shown: Shown) -> str:
        try:
            principal = self._loop.run_until_complete(self._verifier.verify(shown.header))
        except TokenRefused as refused:
            assert refused.challenge.isascii() and refused.challenge.isprintable()
            assert refused.reason.count('"') == 0, refused.reason
            return "refused"
        except KeysUnavailable:
            raise AssertionError("the key set is there") from None
        assert shown.is_signed, "a token was taken that the issuer's key has not signed so"
        assert len(principal.tenant_id) == 16
        assert 0 < len(principal.actor) <= limits.ACTOR_LENGTH_MAX
        assert principal.thumbprint is None or len(principal.thumbprint) == 32
        assert self._verifier.verify_cached(shown.header) in (None, principal)
        return "verified"


def _part(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _means_the_same(spoilt: bytes, token: bytes) -> bool:
    """Whether what is signed is the same: the last character of a signature has bits that count
    for nothing, and spaces around a token count for nothing either."""
    parts, others = spoilt.strip(b" ").split(b"."), token.split(b".")
    if len(parts) != COMPACT_PARTS or parts[:2] != others[:2]:
        return False
    try:
        padding = b"=" * (-len(parts[2]) % 4)
        return base64.urlsafe_b64decode(parts[2] + padding) == base64.urlsafe_b64decode(
            others[2] + b"=" * (-len(others[2]) % 4)
        )
    except ValueError:
        return False
