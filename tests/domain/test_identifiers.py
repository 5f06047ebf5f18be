"""Identifiers are UUIDv7, sort in posting order and leave room for the positions of a batch."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from hpts.domain.identifiers import (
    POSITIONS_PER_BATCH,
    RANDOM_BITS,
    UNIX_TO_2000_MICROSECONDS,
    first_identifier,
)

MICROSECONDS_MAX = (1 << 48) * 1000 - UNIX_TO_2000_MICROSECONDS - 1
instants = st.integers(-UNIX_TO_2000_MICROSECONDS, MICROSECONDS_MAX) | st.integers(
    840_000_000_000_000, 900_000_000_000_000
)
random_parts = st.integers(0, 2**RANDOM_BITS - 1)
positions = st.integers(0, POSITIONS_PER_BATCH - 1)


@given(instants, random_parts, positions)
def test_it_holds_version_and_variant_at_every_position(
    microseconds: int, random_bits: int, position: int
) -> None:
    made = uuid.UUID(int=first_identifier(microseconds, random_bits) + position)
    assert made.version == 7
    assert made.variant == uuid.RFC_4122


@given(instants, random_parts)
def test_it_opens_with_the_milliseconds_of_unix_time(microseconds: int, random_bits: int) -> None:
    identifier = first_identifier(microseconds, random_bits)
    assert identifier >> 80 == (microseconds + UNIX_TO_2000_MICROSECONDS) // 1000


@given(instants, random_parts, random_parts)
def test_later_batches_sort_behind_earlier_ones_whatever_the_dice_say(
    microseconds: int, random_bits: int, others: int
) -> None:
    if microseconds == MICROSECONDS_MAX:
        return
    last = first_identifier(microseconds, random_bits) + POSITIONS_PER_BATCH - 1
    assert last < first_identifier(microseconds + 1, others)


@given(instants, random_parts)
def test_a_batch_begins_at_position_zero_and_is_consecutive(
    microseconds: int, random_bits: int
) -> None:
    first = first_identifier(microseconds, random_bits)
    last = first + POSITIONS_PER_BATCH - 1
    assert first.to_bytes(16, "big").endswith(b"\0\0")
    assert last.to_bytes(16, "big")[:14] == first.to_bytes(16, "big")[:14]


@given(instants, st.lists(random_parts, min_size=2, max_size=2, unique=True))
def test_batches_of_one_microsecond_differ_by_their_random_bits(
    microseconds: int, random_bits: list[int]
) -> None:
    first, second = (first_identifier(microseconds, bits) for bits in random_bits)
    assert first != second
