"""Identifiers: UUIDv7 laid out so that they sort in posting order and a batch's are consecutive.

48 bits of milliseconds, then 12 bits of the fraction of a millisecond (RFC 9562, section 6.2,
method 3), then 46 random bits and 16 bits of position in the batch.
"""

from hpts._identifiers import format_identifier, read_identifier

__all__ = ["first_identifier", "format_identifier", "read_identifier"]

UNIX_TO_2000_MICROSECONDS = 946_684_800_000_000
RANDOM_BITS = 46
POSITIONS_PER_BATCH = 65_536


def first_identifier(microseconds: int, random_bits: int) -> int:
    """The identifier at position 0 of a batch, as a number.

    `microseconds` count from 2000-01-01 UTC; `random_bits` is a fresh number below 2**46.
    """
    milliseconds, fraction = divmod(microseconds + UNIX_TO_2000_MICROSECONDS, 1000)
    version_and_fraction = 0x7000 | (fraction * 4096 // 1000)
    variant_and_random = (0b10 << 62) | (random_bits << 16)
    return (milliseconds << 80) | (version_and_fraction << 64) | variant_and_random
