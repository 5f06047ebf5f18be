"""What makes a bearer token pass or be refused: real keys, a key set on disk, a clock by hand.

Each test names the rule of rules.md, section 5, that it shows.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from hpts.domain import limits
from hpts.http.auth import KeysUnavailable, Principal, TokenRefused, Verifier
from hpts.http.jwks import KeySource

ISSUER = "https://issuer.test"
AUDIENCE = "hpts"
TENANT = "0190A1B2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
NOW = 1_700_000_000.0
RSA_KEY = rsa.generate_private_key(65_537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65_537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
KEY_SET = [
    RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True) | {"kid": "rsa"},
    ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True) | {"kid": "ec"},
    OKPAlgorithm.to_jwk(ED_KEY.public_key(), as_dict=True) | {"kid": "ed"},
]
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")
"""What RFC 6750, section 3, allows in error_description."""


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


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
        self.clock = Clock()
        self.key_clock = Clock()
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


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, KEY_SET, ("RS256", "ES256"))


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[..., Bench]:
    def make(
        keys: list[Any] = KEY_SET,
        algorithms: tuple[str, ...] = ("RS256", "ES256"),
        partner_clients: tuple[str, ...] = (),
    ) -> Bench:
        return Bench(tmp_path, keys, algorithms, partner_clients)

    return make


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


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": ...}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": "1700000600"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": [NOW]}, "exp"),
        ({"exp": 1e300}, "Unix seconds"),
        ({"exp": -1}, "Unix seconds"),
        ({"exp": 10**500}, "exp"),
        ({"exp": NOW * 1000}, "Unix seconds"),
        ({"exp": float("nan")}, "JSON"),
        ({"exp": float("inf")}, "JSON"),
        ({"exp": NOW - limits.TOKEN_LEEWAY_SECONDS}, "expired"),
        ({"nbf": NOW + limits.TOKEN_LEEWAY_SECONDS + 1}, "not valid yet"),
        ({"iat": NOW + limits.TOKEN_LEEWAY_SECONDS + 1}, "not valid yet"),
        ({"nbf": "soon"}, "nbf"),
        ({"iss": ...}, "iss"),
        ({"iss": ISSUER + "/"}, "another issuer"),
        ({"iss": [ISSUER]}, "iss"),
        ({"aud": ...}, "aud"),
        ({"aud": "hpts2"}, "another audience"),
        ({"aud": []}, "another audience"),
        ({"aud": {"hpts": 1}}, "aud"),
        ({"aud": ["hpts", 1]}, "aud"),
        ({"tenant_id": ...}, "tenant_id"),
        ({"tenant_id": None}, "tenant_id"),
        ({"tenant_id": 7}, "tenant_id"),
        ({"tenant_id": ""}, "tenant_id"),
        ({"tenant_id": TENANT.replace("-", "")}, "tenant_id"),
        ({"tenant_id": "{" + TENANT + "}"}, "tenant_id"),
        ({"tenant_id": TENANT + "\n"}, "tenant_id"),
        ({"tenant_id": TENANT.replace("0", "\u0660")}, "tenant_id"),
        ({"sub": ...}, "no subject"),
        ({"sub": "", "client_id": "app"}, "subject"),
        ({"sub": "a\x00b"}, "subject"),
        ({"sub": "a\nb"}, "subject"),
        ({"sub": "a\x85b"}, "subject"),
        ({"sub": "x" * (limits.ACTOR_LENGTH_MAX + 1)}, "subject"),
        ({"sub": 42}, "sub"),
        ({"scope": 1}, "scope"),
        ({"scp": [1]}, "scp"),
    ],
)
def test_a_claim_that_is_missing_or_wrong_is_refused(
    bench: Bench, changes: dict[str, Any], reason: str
) -> None:
    payload = json.dumps(claims(**changes)).encode()
    assert reason in bench.refusal(signed(b'{"alg":"RS256","kid":"rsa"}', payload))


def test_clocks_may_differ_by_the_leeway(bench: Bench) -> None:
    leeway = limits.TOKEN_LEEWAY_SECONDS
    late = claims(exp=NOW - leeway + 1)
    early = claims(nbf=NOW + leeway, iat=NOW + leeway)
    assert bench.verify(bearer(late)).actor == bench.verify(bearer(early)).actor == "teller"


def test_the_audience_may_be_one_of_several(bench: Bench) -> None:
    assert bench.verify(bearer(claims(aud=["other", AUDIENCE]))).actor == "teller"


@pytest.mark.parametrize(
    ("changes", "actor"),
    [
        ({"client_id": "app", "azp": "party"}, "teller"),
        ({"sub": ..., "client_id": "app", "azp": "party"}, "app"),
        ({"sub": None, "azp": "party"}, "party"),
        ({"sub": "é" * limits.ACTOR_LENGTH_MAX}, "é" * limits.ACTOR_LENGTH_MAX),
    ],
)
def test_the_actor_is_sub_else_client_id_else_azp(
    bench: Bench, changes: dict[str, Any], actor: str
) -> None:
    assert bench.verify(bearer(claims(**changes))).actor == actor


@pytest.mark.parametrize(
    ("changes", "scopes"),
    [
        ({"scope": "a  b "}, {"a", "b"}),
        ({"scope": ..., "scp": ["a", "b"]}, {"a", "b"}),
        ({"scope": ..., "scp": "a b"}, {"a", "b"}),
        ({"scope": "a", "scp": ["b"]}, {"a"}),
        ({"scope": ""}, set()),
        ({"scope": ...}, set()),
    ],
)
def test_scopes_come_from_scope_or_else_scp(
    bench: Bench, changes: dict[str, Any], scopes: set[str]
) -> None:
    assert bench.verify(bearer(claims(**changes))).scopes == scopes


@pytest.mark.parametrize("bound_to", [bytes(32), bytes(range(32)), b"\xff" * 32])
def test_a_token_may_be_bound_to_a_certificate(bench: Bench, bound_to: bytes) -> None:
    header = bearer(claims(cnf={"x5t#S256": encode(bound_to).decode()}))
    assert bench.verify(header).thumbprint == bound_to
    remembered = bench.verifier.verify_cached(header)
    assert remembered is not None and remembered.thumbprint == bound_to


@pytest.mark.parametrize("changes", [{}, {"cnf": None}])
def test_a_token_without_a_confirmation_is_bound_to_nothing(
    bench: Bench, changes: dict[str, Any]
) -> None:
    payload = json.dumps(claims(**changes)).encode()
    assert bench.verify(signed(b'{"alg":"RS256","kid":"rsa"}', payload)).thumbprint is None


@pytest.mark.parametrize(
    ("confirmation", "reason"),
    [
        ({}, "in a way that is not supported"),
        ({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3"}, "in a way that is not supported"),
        ({"x5t#S256": "A" * 43, "jkt": "B" * 43}, "in a way that is not supported"),
        ({"x5t#S256": "A" * 43, "unheard-of": 1}, "in a way that is not supported"),
        ({"x5t#S256": None}, "thumbprint"),
        ({"x5t": "A" * 27}, "in a way that is not supported"),
        ({"x5t#S256": ""}, "thumbprint"),
        ({"x5t#S256": "A" * 42}, "thumbprint"),
        ({"x5t#S256": "A" * 44}, "thumbprint"),
        ({"x5t#S256": "A" * 43 + "="}, "thumbprint"),
        ({"x5t#S256": "A" * 42 + "B"}, "thumbprint"),  # another spelling of the same bytes
        ({"x5t#S256": "+" * 43}, "thumbprint"),
        ({"x5t#S256": "A" * 43 + "\n"}, "thumbprint"),
        ({"x5t#S256": 7}, "cnf"),
        ({"x5t#S256": ["A" * 43]}, "cnf"),
        ("A" * 43, "cnf"),
        (["x5t#S256"], "cnf"),
        (True, "cnf"),
    ],
)
def test_a_confirmation_that_cannot_be_enforced_is_refused(
    bench: Bench, confirmation: Any, reason: str
) -> None:
    assert reason in bench.refusal(bearer(claims(cnf=confirmation)))


@pytest.mark.parametrize(
    ("changes", "is_partner"),
    [
        ({}, False),
        ({"client_id": "acme"}, True),
        ({"azp": "acme"}, True),
        ({"sub": "acme"}, True),
        ({"client_id": "bank", "azp": "other"}, True),
        ({"client_id": "ACME"}, False),
        ({"client_id": "acme "}, False),
    ],
)
def test_a_client_is_a_partner_by_its_name(
    make_bench: Callable[..., Bench], changes: dict[str, Any], is_partner: bool
) -> None:
    bench = make_bench(partner_clients=("acme", "bank"))
    assert bench.verify(bearer(claims(**changes))).is_partner_client is is_partner


def test_a_critical_header_that_is_not_understood_is_refused(bench: Bench) -> None:
    payload = json.dumps(claims()).encode()
    for more in ('"crit":["exp"],"exp":1', '"b64":false,"crit":["b64"]', '"crit":[]'):
        header = b'{"alg":"RS256","kid":"rsa",' + more.encode() + b"}"
        assert "JWT" in bench.refusal(signed(header, payload))


def test_a_verified_token_is_remembered_for_a_minute(bench: Bench) -> None:
    header = bearer()
    assert bench.verifier.verify_cached(header) is None
    principal = bench.verify(header)
    assert bench.verifier.verify_cached(header) is principal
    bench.clock.now += limits.TOKEN_CACHE_SECONDS_MAX - 1
    assert bench.verifier.verify_cached(header) is principal
    bench.clock.now += 1
    assert bench.verifier.verify_cached(header) is None
    assert bench.verify(header) == principal
    assert bench.verifier.verify_cached(header) is not None
    assert bench.verifier.verify_cached(None) is None


def test_a_remembered_token_is_refused_once_it_has_expired(bench: Bench) -> None:
    header = bearer(claims(exp=NOW + 5))
    bench.verify(header)
    bench.clock.now = NOW + 5 + limits.TOKEN_LEEWAY_SECONDS
    assert bench.verifier.verify_cached(header) is None
    assert "expired" in bench.refusal(header)


def test_a_refused_token_is_never_remembered(bench: Bench) -> None:
    header = bearer(key=OTHER_RSA_KEY)
    bench.refusal(header)
    assert bench.verifier.verify_cached(header) is None


def test_a_key_that_left_the_set_counts_for_no_new_token(bench: Bench) -> None:
    bench.verify(bearer())
    bench.publish(KEY_SET[1:])
    bench.key_clock.now += 11
    asyncio.run(bench.keys.refetch())
    assert "not known" in bench.refusal(bearer(claims(sub="another teller")))


def test_a_key_that_left_the_set_takes_the_remembered_tokens_along(bench: Bench) -> None:
    header = bearer()
    bench.verify(header)
    bench.publish(KEY_SET[1:])
    assert bench.verifier.verify_cached(header), "the issuer's word has not come yet"
    bench.key_clock.now += 11
    asyncio.run(bench.keys.refetch())
    assert bench.verifier.verify_cached(header) is None
    assert "not known" in bench.refusal(header)


def test_a_set_that_has_not_changed_costs_no_remembered_token(bench: Bench) -> None:
    header = bearer()
    bench.verify(header)
    bench.key_clock.now += 11
    bench.path.write_text(json.dumps({"keys": KEY_SET}, indent=2))
    asyncio.run(bench.keys.refetch())
    assert bench.verifier.verify_cached(header) is not None


def test_an_issuer_that_is_away_for_an_hour_changes_nothing_for_known_keys(bench: Bench) -> None:
    asyncio.run(bench.keys.refetch())
    bench.path.unlink()
    for minute in range(60):
        bench.clock.now += 60
        bench.key_clock.now += 60
        asyncio.run(bench.keys.refetch())
        now = bench.clock.now
        header = bearer(claims(sub=f"teller {minute}", iat=now, exp=now + 600))
        assert bench.verify(header).actor == f"teller {minute}"
    assert "not known" in bench.refusal(bearer(kid="another"))


def test_the_cache_is_bounded_and_drops_the_oldest(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TOKEN_CACHE_MAX", 3)
    headers = [bearer(claims(sub=f"teller-{number}")) for number in range(5)]
    for header in headers:
        bench.verify(header)
    found = [bench.verifier.verify_cached(header) is not None for header in headers]
    assert found == [False, False, True, True, True]


def test_a_million_distinct_tokens_leave_the_cache_bounded(bench: Bench) -> None:
    principal = bench.verify(bearer())
    for number in range(1_000_000):
        bench.verifier._remember(b"Bearer %d" % number, principal)
    assert len(bench.verifier._cache) == limits.TOKEN_CACHE_MAX
    assert bench.verifier.verify_cached(b"Bearer 999999") is not None
    assert bench.verifier.verify_cached(b"Bearer 900000") is None


def test_the_challenge_is_a_well_formed_header(bench: Bench) -> None:
    assert TokenRefused("the token has expired").challenge == (
        'Bearer error="invalid_token", error_description="the token has expired"'
    )


FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
CLAIM_NAMES = ("iss", "aud", "sub", "tenant_id", "scope", "scp", "iat", "nbf", "exp", "azp", "cnf")


def outcome(bench: Bench, header: bytes | None) -> Principal | TokenRefused:
    try:
        return bench.verify(header)
    except TokenRefused as refused:
        assert DESCRIPTION.fullmatch(refused.reason), refused.reason
        return refused


@FUZZ
@given(st.binary(max_size=200) | st.binary(max_size=200).map(b"Bearer ".__add__))
def test_no_header_bytes_do_more_than_refuse(bench: Bench, header: bytes) -> None:
    assert isinstance(outcome(bench, header), TokenRefused)


@FUZZ
@given(
    JSON | st.dictionaries(st.sampled_from(("alg", "kid", "crit", "b64", "typ", "x")), JSON),
    st.booleans(),
)
@example({"alg": "RS256", "kid": "rsa", "crit": "b64", "b64": False}, True)
@example({"alg": "RS256", "kid": {"a": 1}}, False)
def test_no_jose_header_does_more_than_refuse(bench: Bench, head: Any, complete: bool) -> None:
    if complete and isinstance(head, dict):
        head = {"alg": "RS256", "kid": "rsa"} | head
    header = signed(json.dumps(head).encode(), json.dumps(claims()).encode())
    assert isinstance(outcome(bench, header), Principal | TokenRefused)


@FUZZ
@given(st.dictionaries(st.sampled_from(CLAIM_NAMES), JSON, min_size=1))
@example({"exp": 1e400})
@example({"sub": "\ud800"})
def test_no_signed_claims_do_more_than_refuse(bench: Bench, changes: dict[str, Any]) -> None:
    payload = json.dumps(claims() | changes).encode()
    found = outcome(bench, signed(b'{"alg":"RS256","kid":"rsa"}', payload))
    if isinstance(found, Principal):
        assert 0 < len(found.actor) <= limits.ACTOR_LENGTH_MAX
        assert len(found.tenant_id) == 16 and found.expires_at > NOW - 60


@FUZZ
@given(st.binary(max_size=120))
@example(b'{"x":' + b"[" * 5000)
@example(b'{"sub":"\xff"}')
@example(b'{"exp":1,"exp":"2"}')
@example(b"null")
def test_no_signed_bytes_do_more_than_refuse(bench: Bench, payload: bytes) -> None:
    header = signed(b'{"alg":"RS256","kid":"rsa"}', payload)
    assert isinstance(outcome(bench, header), TokenRefused)


@FUZZ
@given(st.data())
def test_no_damaged_token_passes(bench: Bench, data: st.DataObject) -> None:
    good = bearer(claims(iat=NOW))
    place = data.draw(st.integers(len(b"Bearer "), len(good) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != good[place]))
    damaged = good[:place] + bytes((byte,)) + good[place + 1 :]
    assert isinstance(outcome(bench, damaged), TokenRefused)
