"""Whatever is sent as a token ends in a principal or a refusal, generated a thousand ways."""

import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hpts.domain import limits
from hpts.http.auth import Principal, TokenRefused

from .token_bench import DESCRIPTION, NOW, Bench, bearer, claims, signed

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
