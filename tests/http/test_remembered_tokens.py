"""A token that passed is remembered for a minute, never for longer than it or its key counts."""

import asyncio
import json

import pytest

from hpts.domain import limits

from .signing_keys import OTHER_RSA_KEY
from .token_bench import (
    KEY_SET,
    NOW,
    Bench,
    bearer,
    claims,
)


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
