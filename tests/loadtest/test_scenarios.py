"""The mix and the pace of the scenarios' users."""

import itertools

import pytest

from loadtest.scenarios import MIXED_DECK, SCENARIOS, Deck, Pace


def test_a_deck_holds_the_mix_exactly(seed: int) -> None:
    deck = Deck(MIXED_DECK, seed)
    drawn = [deck.draw() for _ in range(200)]
    assert {name: drawn.count(name) for name in MIXED_DECK} == {
        name: 2 * count for name, count in MIXED_DECK.items()
    }


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_deck_has_a_hundred_cards(name: str) -> None:
    assert all(sum(role.deck.values()) == 100 for role in SCENARIOS[name].roles)


def sent_at(first_at: float, answer_seconds: list[float]) -> list[float]:
    """When a user sends whose answers take that long."""
    pace, now, found = Pace(0.2, first_at), first_at, []
    for seconds in answer_seconds:
        found.append(now)
        now += seconds
        now += pace.wait_seconds(now)
    return found


def test_the_rate_does_not_depend_on_the_answers() -> None:
    assert sent_at(100.0, [0.0, 0.19, 0.001, 0.15]) == pytest.approx([100.0, 100.2, 100.4, 100.6])


def test_users_that_begin_apart_stay_apart() -> None:
    one, other = sent_at(100.0, [0.01] * 20), sent_at(100.07, [0.03] * 20)
    for mine, theirs in itertools.product(one, other):
        assert abs(mine - theirs) > 0.06


def test_what_was_late_is_not_caught_up_with() -> None:
    found = sent_at(100.0, [0.7, 0.0, 0.0])
    assert found == pytest.approx([100.0, 100.7, 100.9])
