"""Tokens, good ones and any others, and a verifier for them: a key set on disk, a clock by hand."""

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any

import jwt
import pytest

from hpts.http.auth import Principal, TokenRefused, Verifier
from hpts.http.jwks import KeySource
from tests.clock import Clock

from .signing_keys import EC_JWK, ED_JWK, RSA_JWK, RSA_KEY

ISSUER = "https://issuer.test"
AUDIENCE = "hpts"
TENANT = "0190A1B2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
NOW = 1_700_000_000.0
KEY_SET = [RSA_JWK, EC_JWK, ED_JWK]
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")
"""What RFC 6750, section 3, allows in error_description."""


class Bench:
    """A Verifier over a key set on disk, and the clock that it reads."""

    def __init__(
        self,
        directory: Path,
        keys: list[Any],
        algorithms: tuple[str, ...],
        partner_clients: tuple[str, ...] = (),
    ) -> None:
        self.path = directory / "jwks.json"
        self.publish(keys)
        self.clock = Clock(NOW)
        self.key_clock = Clock(NOW)
        self.keys = KeySource(self.path.as_uri(), clock=self.key_clock)
        self.verifier = Verifier(
            self.keys,
            issuer=ISSUER,
            audience=AUDIENCE,
            algorithms=algorithms,
            partner_clients=partner_clients,
            clock=self.clock,
        )

    def publish(self, keys: list[Any]) -> None:
        self.path.write_text(json.dumps({"keys": keys}))

    def verify(self, header: bytes | None) -> Principal:
        return asyncio.run(self.verifier.verify(header))

    def refusal(self, header: bytes | None) -> str:
        with pytest.raises(TokenRefused) as refused:
            self.verify(header)
        assert DESCRIPTION.fullmatch(refused.value.reason), refused.value.reason
        if header and len(header) > 40:
            assert header[-30:].decode("latin-1") not in str(refused.value)
        return refused.value.reason


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims with changes; a change of ... removes the claim."""
    base = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "teller",
        "tenant_id": TENANT,
        "scope": "hpts:ledger:read hpts:payments:write",
        "iat": NOW,
        "exp": NOW + 600,
    }
    return {name: value for name, value in (base | changes).items() if value is not ...}


def bearer(
    payload: dict[str, Any] | None = None,
    *,
    key: Any = RSA_KEY,
    algorithm: str = "RS256",
    kid: str | None = "rsa",
) -> bytes:
    headers = {} if kid is None else {"kid": kid}
    token = jwt.encode(payload or claims(), key, algorithm=algorithm, headers=headers)
    return b"Bearer " + token.encode()


def encode(part: bytes) -> bytes:
    return base64.urlsafe_b64encode(part).rstrip(b"=")


def signed(header: bytes, payload: bytes) -> bytes:
    """A token with these very bytes, validly signed by RSA_KEY."""
    signing_input = encode(header) + b"." + encode(payload)
    signer = jwt.get_algorithm_by_name("RS256")
    return b"Bearer " + signing_input + b"." + encode(signer.sign(signing_input, RSA_KEY))
