"""The key set that processes share: what one keeps another finds, whole or not at all."""

import multiprocessing

from hypothesis import given
from hypothesis import strategies as st

from hpts.http.kept_keys import KeptKeys


def test_nothing_is_found_before_anything_is_kept() -> None:
    assert KeptKeys(100).find() is None


@given(st.lists(st.binary(max_size=100), min_size=1))
def test_what_was_kept_last_is_found(bodies: list[bytes]) -> None:
    kept = KeptKeys(100)
    for body in bodies:
        kept.keep(body)
        assert kept.find() == body


def test_another_process_finds_it() -> None:
    kept = KeptKeys(100)
    other = multiprocessing.get_context("fork").Process(target=kept.keep, args=(b"keys",))
    other.start()
    other.join()
    assert kept.find() == b"keys"


def test_what_is_too_large_leaves_what_was_there() -> None:
    kept = KeptKeys(4)
    kept.keep(b"four")
    kept.keep(b"fives")
    assert kept.find() == b"four"


@given(st.integers(0, 39), st.integers(1, 255))
def test_a_mixture_is_not_taken_for_keys(place: int, change: int) -> None:
    kept = KeptKeys(100)
    kept.keep(b"keys")
    kept._memory[place] = (kept._memory[place] + change) % 256
    assert kept.find() is None
