"""What of a key set counts: each usable key for itself, whatever stands beside it."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from hpts.http.jwks import parse_key_set

from .signing_keys import EC_JWK, ED_JWK, RSA_JWK, RSA_KEY

OCT_JWK = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "kid": "oct"}


@pytest.mark.parametrize(
    "jwk",
    [
        OCT_JWK,
        RSA_JWK | {"use": "enc"},
        RSA_JWK | {"key_ops": ["encrypt"]},
        RSA_JWK | {"alg": "RSA-OAEP"},
        RSA_JWK | {"alg": "HS256"},
        RSA_JWK | {"alg": ["RS256"]},
        RSA_JWK | {"kid": 7},
        RSA_JWK | {"n": "AQAB"},
        RSA_JWK | {"n": 5},
        {name: value for name, value in RSA_JWK.items() if name != "e"},
        RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True) | {"key_ops": ["verify"]},
        RSAAlgorithm.to_jwk(
            rsa.generate_private_key(65_537, 1024).public_key(),
            as_dict=True,
        ),
        EC_JWK | {"crv": "secp256k1"},
        EC_JWK | {"crv": ["P-256"]},
        EC_JWK | {"x": EC_JWK["y"]},
        ED_JWK | {"crv": "X25519"},
        ED_JWK | {"x": "AA"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"},
        {"kty": ["RSA"]},
        {},
        None,
        "RSA",
        [RSA_JWK],
    ],
)
def test_a_key_that_cannot_verify_is_left_out_alone(jwk: object) -> None:
    keys = parse_key_set(json.dumps({"keys": [jwk, RSA_JWK | {"kid": "good"}]}).encode())
    assert len(keys) == 1 and keys.knows("good")


def test_each_key_serves_the_algorithms_of_its_type() -> None:
    keys = parse_key_set(json.dumps({"keys": [RSA_JWK, EC_JWK, ED_JWK]}).encode())
    fits = {
        (kid, algorithm)
        for kid in ("rsa", "ec", "ed")
        for algorithm in ("RS256", "PS512", "ES256", "ES384", "EdDSA", "HS256", "none")
        if keys.find(kid, algorithm)
    }
    assert fits == {("rsa", "RS256"), ("rsa", "PS512"), ("ec", "ES256"), ("ed", "EdDSA")}


def test_one_kid_may_stand_for_keys_of_two_types() -> None:
    keys = parse_key_set(json.dumps({"keys": [RSA_JWK, EC_JWK | {"kid": "rsa"}]}).encode())
    found = keys.find("rsa", "ES256")
    assert found is not None and isinstance(found.public_key, ec.EllipticCurvePublicKey)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
MEMBERS = st.sampled_from(("kty", "crv", "alg", "use", "kid", "n", "e", "x", "y", "key_ops"))


@settings(max_examples=200, deadline=None, print_blob=True)
@given(
    st.sampled_from((RSA_JWK, EC_JWK, ED_JWK)),
    st.dictionaries(MEMBERS, JSON, max_size=3),
)
def test_no_key_breaks_the_set(jwk: dict[str, Any], changes: dict[str, Any]) -> None:
    body = json.dumps({"keys": [jwk | changes, RSA_JWK | {"kid": "good key"}]}).encode()
    assert parse_key_set(body).knows("good key")


def test_a_key_is_known_by_itself_and_not_by_its_id() -> None:
    one, other, renamed = (
        list(parse_key_set(json.dumps({"keys": [jwk]}).encode()).kids_by_fingerprint())
        for jwk in (RSA_JWK, EC_JWK | {"kid": "rsa"}, RSA_JWK | {"kid": "another"})
    )
    assert one == renamed
    assert one != other
