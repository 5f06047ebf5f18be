"""A tenant gets its rate and a second's burst, never more, and takes nothing from another."""

import random

import pytest

from hpts.domain.limits import RATE_LIMITED_TENANTS_MAX
from hpts.http.rate_limit import RateLimit, RateLimits
from tests.clock import Clock

ONE, TWO = bytes(16), b"\1" * 16


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_of_a_second_then_the_rate(clock: Clock) -> None:
    limit = RateLimit(10, clock)
    assert [limit.seconds_to_wait(ONE) for _ in range(10)] == [0.0] * 10
    assert limit.seconds_to_wait(ONE) == pytest.approx(0.1)
    clock.now += 0.1
    assert limit.seconds_to_wait(ONE) == 0.0
    assert limit.seconds_to_wait(ONE) == pytest.approx(0.1)


@pytest.mark.parametrize("rate", [1, 3, 7, 100, 9_999, 100_000])
def test_in_any_time_no_more_than_rate_and_burst_get_through(rate: int, seed: int) -> None:
    clock = Clock()
    limit = RateLimit(rate, clock)
    drawn = random.Random(f"{seed} {rate}")
    seconds = 20_000 / rate
    begun, passed = clock.now, 0
    while clock.now < begun + seconds:
        clock.now += drawn.expovariate(3 * rate)
        passed += limit.seconds_to_wait(ONE) == 0.0
    elapsed = clock.now - begun
    assert elapsed * rate * 0.9 <= passed <= elapsed * rate + rate + 1


def test_who_waits_as_told_gets_through(clock: Clock, seed: int) -> None:
    limit = RateLimit(37, clock)
    drawn = random.Random(seed)
    for _ in range(1_000):
        clock.now += drawn.random() / 50
        wait = limit.seconds_to_wait(ONE)
        if wait:
            clock.now += wait
            assert limit.seconds_to_wait(ONE) == 0.0


def test_a_refused_request_is_not_counted(clock: Clock) -> None:
    limit = RateLimit(1, clock)
    assert limit.seconds_to_wait(ONE) == 0.0
    for _ in range(100):
        assert limit.seconds_to_wait(ONE) == pytest.approx(1.0)


def test_one_tenants_flood_is_no_other_tenants_business(clock: Clock) -> None:
    limit = RateLimit(5, clock)
    for _ in range(100):
        limit.seconds_to_wait(ONE)
    assert [limit.seconds_to_wait(TWO) for _ in range(5)] == [0.0] * 5


def test_tenants_are_forgotten_before_they_fill_the_memory(clock: Clock) -> None:
    limit = RateLimit(5, clock)
    for number in range(RATE_LIMITED_TENANTS_MAX + 100):
        limit.seconds_to_wait(number.to_bytes(16, "big"))
    assert len(limit._worked_off_at) == RATE_LIMITED_TENANTS_MAX


def test_writes_and_reads_have_limits_of_their_own() -> None:
    limits = RateLimits(writes=1, reads=None)
    assert limits.seconds_to_wait(ONE, "POST") == 0.0
    assert limits.seconds_to_wait(ONE, "POST") > 0.9
    assert [limits.seconds_to_wait(ONE, "GET") for _ in range(100)] == [0.0] * 100
