"""Workers that are killed now and then are no crash loop; one that cannot start is."""

import pytest

from hpts import crash_loop
from hpts.crash_loop import EARLY_END_SECONDS, Respawns
from hpts.domain.limits import EARLY_ENDS_MAX, EARLY_ENDS_SECONDS

NEVER = 0.0


class Clock:
    """As the module sees time."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(crash_loop, "time", made)
    return made


def end_early(respawns: Respawns, clock: Clock, *, after: float, worker: int = 0) -> bool:
    """Whether granian ends the server (as its loop does: forget, replace; ask when it ends)."""
    respawns.clear()
    respawns[worker] = clock.now
    clock.now += after
    return clock.now - respawns.get(worker, NEVER) <= EARLY_END_SECONDS


def test_two_early_ends_are_no_loop_and_the_fifth_within_a_minute_is(clock: Clock) -> None:
    respawns = Respawns()
    found = [end_early(respawns, clock, after=1) for _ in range(EARLY_ENDS_MAX)]
    assert found == [False] * (EARLY_ENDS_MAX - 1) + [True]


def test_workers_that_end_early_in_turn_are_a_loop_too(clock: Clock) -> None:
    respawns = Respawns()
    respawns[0], respawns[1] = clock.now, clock.now
    found = []
    for number in range(EARLY_ENDS_MAX):
        clock.now += 1
        found.append(clock.now - respawns.get(number % 2, NEVER) <= EARLY_END_SECONDS)
        respawns.clear()
        respawns[number % 2] = clock.now
    assert found == [False] * (EARLY_ENDS_MAX - 1) + [True]


def test_a_worker_that_ends_late_is_no_part_of_a_loop(clock: Clock) -> None:
    respawns = Respawns()
    for _ in range(3 * EARLY_ENDS_MAX):
        assert not end_early(respawns, clock, after=EARLY_END_SECONDS + 0.1)
    assert [end_early(respawns, clock, after=1) for _ in range(EARLY_ENDS_MAX)][:-1] == [False] * (
        EARLY_ENDS_MAX - 1
    )


def test_early_ends_far_apart_are_no_loop(clock: Clock) -> None:
    respawns = Respawns()
    for _ in range(3 * EARLY_ENDS_MAX):
        assert not end_early(respawns, clock, after=1)
        clock.now += EARLY_ENDS_SECONDS / (EARLY_ENDS_MAX - 1)


def test_a_worker_that_was_never_replaced_counts_for_nothing(clock: Clock) -> None:
    respawns = Respawns()
    for _ in range(3 * EARLY_ENDS_MAX):
        assert respawns.get(0, NEVER) == NEVER
