"""The simulation itself: it repeats itself exactly, meets what it should, and finds defects."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from .coverage import LEAST, SEEDS
from .loop import simulated_modules
from .mutations import MUTATIONS
from .scenario import failure_of, play

SEEDS_MAX = 1_000
"""Within so many seeds every defect must show."""
ROOT = Path(__file__).parents[2]


def test_a_seed_repeats_itself_to_the_letter() -> None:
    with simulated_modules():
        for seed in range(40):
            first, second = play(seed, is_traced=True), play(seed, is_traced=True)
            assert first.trace
            assert first.trace == second.trace
            assert first.counts == play(seed).counts, "a trace changes what happens"


def test_another_seed_is_another_scenario() -> None:
    with simulated_modules():
        traces = {tuple(play(seed, is_traced=True).trace or ()) for seed in range(20)}
    assert len(traces) == 20


@pytest.mark.parametrize("seed", [7, 922])
def test_a_seed_repeats_itself_in_another_process(seed: int) -> None:
    """Where sets and dictionaries of text have another order."""
    shown = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", str(seed)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert shown[0] == shown[1]
    assert b"posted" in shown[0]


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_ledger_with_a_defect_is_found_out(name: str) -> None:
    with simulated_modules(), MUTATIONS[name]():
        for seed in range(SEEDS_MAX):
            failure = failure_of(seed, play(seed))
            if failure:
                print(f"{name}: {failure}")
                assert f"python -m tests.simulation {seed}" in failure
                return
    pytest.fail(f"{SEEDS_MAX} seeds did not find a ledger that {name}")


def test_everything_that_may_happen_does() -> None:
    counts: Counter[str] = Counter()
    with simulated_modules():
        for seed in range(SEEDS):
            counts += play(seed).counts
    table = "\n".join(f"{count:8} {kind}" for kind, count in sorted(counts.items()))
    print(table)
    rare = {kind: counts[kind] for kind, least in LEAST.items() if counts[kind] < least}
    assert rare == {}, table
    assert counts.keys() == LEAST.keys(), "a kind without a least number, or never met any more"
