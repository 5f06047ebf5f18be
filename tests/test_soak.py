"""The bound of a soak is one for all of it."""

from collections.abc import Mapping

import pytest

from tests.soak import soak


@pytest.mark.parametrize(
    ("took", "left"),
    [(3_100, 3_280), (3_600, 2_880), (20, 5_744), (9_000, 1)],
    ids=["done in time", "cut off", "failed at once", "out of time"],
)
def test_the_faults_have_what_fuzzing_leaves_of_the_time(took: int, left: int) -> None:
    now = 0.0
    ran: list[tuple[str, dict[str, str]]] = []

    def run(path: str, variables: Mapping[str, str]) -> int:
        nonlocal now
        ran.append((path, dict(variables)))
        now += took
        return len(ran)

    assert soak(7_200, 1_000_000, run, lambda: now) == [1, 2]
    assert ran == [
        ("tests/fuzz", {"FUZZ_INPUTS": "1000000", "FUZZ_SECONDS": "3600"}),
        ("tests/faults/test_faults.py", {"SOAK_SECONDS": str(left)}),
    ]
