"""What makes a bearer token pass or be refused: real keys, a key set on disk, a clock by hand.

Each test names the rule of rules.md, section 5, that it shows.
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from jwt.algorithms import RSAAlgorithm

from hpts.domain import limits
from hpts.http.auth import KeysUnavailable, Principal, TokenRefused, Verifier

from .signing_keys import EC_KEY, ED_KEY, OTHER_RSA_KEY, RSA_KEY
from .token_bench import (
    AUDIENCE,
    ISSUER,
    KEY_SET,
    NOW,
    TENANT,
    Bench,
    bearer,
    claims,
    encode,
    signed,
)


def test_a_good_token_becomes_a_principal(bench: Bench) -> None:
    assert bench.verify(bearer()) == Principal(
        tenant_id=bytes.fromhex(TENANT.replace("-", "")),
        tenant=TENANT.lower(),
        actor="teller",
        scopes=frozenset(("hpts:ledger:read", "hpts:payments:write")),
        expires_at=NOW + 600,
    )


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "a bearer token is required"),
        (b"", "a bearer token is required"),
        (b"Basic dXNlcjpwYXNz", "not of the Bearer scheme"),
        (b"Bearer", "not a signed JWT"),
        (b"Bearer ", "not a signed JWT"),
        (b"Bearer opaque-token", "not a signed JWT"),
        (b"Bearer a.b.c", "not a signed JWT"),
        (b"Bearer \xff\xfe.\x00.x", "not a signed JWT"),
        (b"Bearer " + b"a." * limits.TOKEN_BYTES_MAX, "is over 8192 bytes"),
    ],
)
def test_no_token_or_no_jwt_is_refused(bench: Bench, header: bytes | None, reason: str) -> None:
    assert reason in bench.refusal(header)


def test_the_scheme_is_read_in_any_case_and_with_more_spaces(bench: Bench) -> None:
    token = bearer().removeprefix(b"Bearer ")
    assert bench.verify(b"bEARER   " + token).actor == "teller"


def test_a_token_of_the_largest_size_passes_and_one_byte_more_does_not(bench: Bench) -> None:
    short = len(bearer(claims(pad=""))) - len(b"Bearer ")
    pad = (limits.TOKEN_BYTES_MAX - short) * 3 // 4
    sizes = [bearer(claims(pad="x" * (pad + more))) for more in range(-4, 4)]
    inside = [h for h in sizes if len(h) - len(b"Bearer ") <= limits.TOKEN_BYTES_MAX]
    outside = [h for h in sizes if h not in inside]
    assert inside and outside
    assert bench.verify(inside[-1]).actor == "teller"
    assert "8192" in bench.refusal(outside[0])


def test_a_changed_signature_or_payload_is_refused(bench: Bench) -> None:
    head, _, signature = bearer().split(b".")
    forged = encode(json.dumps(claims(sub="owner")).encode())
    assert "signature" in bench.refusal(b".".join((head, forged, signature)))
    assert "signature" in bench.refusal(bearer(key=OTHER_RSA_KEY))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE"])
def test_an_unsigned_token_is_refused(bench: Bench, alg: str) -> None:
    head = encode(json.dumps({"alg": alg, "kid": "rsa"}).encode())
    body = encode(json.dumps(claims()).encode())
    assert "JWT" in bench.refusal(b"Bearer " + head + b"." + body + b".")
    assert "algorithm" in bench.refusal(b"Bearer " + head + b"." + body + b".AAAA")


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_never_used_as_an_hmac_secret(bench: Bench, alg: str) -> None:
    pem = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head = encode(json.dumps({"alg": alg, "kid": "rsa"}).encode())
    signing_input = head + b"." + encode(json.dumps(claims()).encode())
    mac = hmac.new(pem, signing_input, getattr(hashlib, alg.replace("HS", "sha"))).digest()
    assert "algorithm" in bench.refusal(b"Bearer " + signing_input + b"." + encode(mac))


@pytest.mark.parametrize("algorithms", [(), ("HS256",), ("none",), ("RS256", "HS512")])
def test_a_verifier_cannot_be_made_with_a_symmetric_algorithm(
    bench: Bench, algorithms: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="asymmetric"):
        Verifier(bench.keys, issuer=ISSUER, audience=AUDIENCE, algorithms=algorithms)


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"), [(EC_KEY, "ES256", "ec"), (ED_KEY, "EdDSA", "ed")]
)
def test_an_algorithm_counts_only_when_it_is_on_the_allow_list(
    make_bench: Callable[..., Bench], key: Any, algorithm: str, kid: str
) -> None:
    header = bearer(key=key, algorithm=algorithm, kid=kid)
    assert make_bench(algorithms=(algorithm,)).verify(header).actor == "teller"
    assert "algorithm" in make_bench(algorithms=("RS256",)).refusal(header)


def test_a_key_serves_only_algorithms_of_its_type_and_its_own_alg(
    make_bench: Callable[..., Bench],
) -> None:
    every = ("RS256", "RS512", "PS256", "ES256", "EdDSA")
    bench = make_bench(algorithms=every)
    assert "does not fit" in bench.refusal(bearer(kid="ec"))
    assert "does not fit" in bench.refusal(bearer(key=EC_KEY, algorithm="ES256", kid="rsa"))
    assert bench.verify(bearer(algorithm="PS256")).actor == "teller"
    bound = make_bench([KEY_SET[0] | {"alg": "RS256"}], every)
    assert bound.verify(bearer()).actor == "teller"
    assert "does not fit" in bound.refusal(bearer(algorithm="RS512"))


def test_a_key_for_encryption_verifies_nothing(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench([KEY_SET[0] | {"use": "enc"}])
    assert "not known" in bench.refusal(bearer())


def test_an_unknown_kid_is_refused(bench: Bench) -> None:
    assert "not known" in bench.refusal(bearer(kid="another"))


def test_a_kid_unknown_until_now_is_looked_for_at_the_issuer(bench: Bench) -> None:
    header = bearer(key=OTHER_RSA_KEY, kid="next")
    assert "not known" in bench.refusal(header)
    jwk = RSAAlgorithm.to_jwk(OTHER_RSA_KEY.public_key(), as_dict=True) | {"kid": "next"}
    bench.publish([*KEY_SET, jwk])
    assert "not known" in bench.refusal(header), "the cool-down has not passed"
    bench.key_clock.now += 11
    assert bench.verify(header).actor == "teller"


def test_a_token_without_kid_passes_only_while_the_set_has_one_key(
    make_bench: Callable[..., Bench],
) -> None:
    assert make_bench(KEY_SET[:1]).verify(bearer(kid=None)).actor == "teller"
    assert "kid" in make_bench(KEY_SET[:2]).refusal(bearer(kid=None))


def test_without_any_key_set_tokens_are_unjudged_and_junk_still_refused(bench: Bench) -> None:
    bench.path.unlink()
    with pytest.raises(KeysUnavailable):
        bench.verify(bearer())
    assert bench.refusal(b"Bearer junk")


def test_a_critical_header_that_is_not_understood_is_refused(bench: Bench) -> None:
    payload = json.dumps(claims()).encode()
    for more in ('"crit":["exp"],"exp":1', '"b64":false,"crit":["b64"]', '"crit":[]'):
        header = b'{"alg":"RS256","kid":"rsa",' + more.encode() + b"}"
        assert "JWT" in bench.refusal(signed(header, payload))


def test_the_challenge_is_a_well_formed_header() -> None:
    assert TokenRefused("the token has expired").challenge == (
        'Bearer error="invalid_token", error_description="the token has expired"'
    )
