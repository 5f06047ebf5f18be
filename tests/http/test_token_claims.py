"""What the claims of a token must say, and what they make of the caller (rules.md, section 5)."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from hpts.domain import limits

from .token_bench import AUDIENCE, ISSUER, NOW, TENANT, Bench, bearer, claims, encode, signed


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
