"""Bounds that the API document and the ledger rules promise."""

from hpts.domain import limits


def test_the_bounds_are_those_of_the_contract() -> None:
    assert limits.AMOUNT_MINOR_MAX == 9_223_372_036_854_775_807
    assert limits.LINES_PER_ENTRY_MAX == 32_767
    assert limits.LOANS_PER_ACCRUAL_MAX == 10_000
    assert limits.METADATA_BYTES_MAX == 4_096
    assert limits.BODY_BYTES_MAX == 2 * 1024 * 1024
    assert limits.PAGE_SIZE_MAX == 200
    assert limits.PAGE_SIZE_DEFAULT == 50
    assert limits.PAGE_TOKEN_LENGTH_MAX == 512
    assert limits.TOKEN_LEEWAY_SECONDS <= 30


def test_no_algorithm_lets_whoever_verifies_sign() -> None:
    assert {name[:2] for name in limits.TOKEN_ALGORITHMS} == {"RS", "PS", "ES", "Ed"}
