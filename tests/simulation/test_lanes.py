"""The lanes and batches of the real ledger on a simulated database, clock and chance.

A seed decides arrivals, outcomes of batches, lost connections, slow commits, duplicate keys and
shutdown; an independent model predicts every reply. See scenario.py and witness.py.
"""

import pytest

from .loop import simulated_modules
from .scenario import failure_of, play

CHUNKS, SEEDS_PER_CHUNK = 20, 500


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_reply_is_the_one_that_the_model_predicts(seed: int, chunk: int) -> None:
    """10,000 scenarios, other ones in every run; the header prints the run's seed."""
    first = (seed * CHUNKS + chunk) * SEEDS_PER_CHUNK
    with simulated_modules():
        for scenario_seed in range(first, first + SEEDS_PER_CHUNK):
            failure = failure_of(scenario_seed, play(scenario_seed))
            if failure:
                pytest.fail(failure)
