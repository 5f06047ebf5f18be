"""What a worker writes down twice a second of itself: lanes, pools, and that its loop still turns.

Sampled, so that no request pays for it.
"""

import asyncio

from hpts.ledger import Ledger
from hpts.meters import BY_TENANT, METERS, Gauge, Histogram
from hpts.store.pool import PoolState
from hpts.telemetry import logger

SAMPLE_SECONDS = 0.5
POOLS = ("writers", "readers")
LANE_DEPTH = Gauge("hpts_lane_depth", "Postings that wait in their tenant's lane.", BY_TENANT)
POOL = Gauge(
    "hpts_pool_connections",
    "Connections to PostgreSQL that work or are idle, and borrowers that wait for one.",
    ("pool", "state"),
    [(pool, state) for pool in POOLS for state in PoolState._fields],
)
LOOP_DELAY = Histogram(
    "hpts_loop_delay_seconds",
    "How late a worker's event loop is with a timer: everybody in it waited as long.",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
)


class Sampler:
    """Of one worker. `start` and `stop` run inside its loop."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """From now on the process counts in a slot of its own."""
        if not METERS.claim_slot():
            logger.warning("more processes than there are slots; metrics may be a little low")
        self._go_on()

    def _go_on(self) -> None:
        self._write()
        loop = asyncio.get_running_loop()
        due = loop.time() + SAMPLE_SECONDS
        self._timer = loop.call_at(due, self._sample, due)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _sample(self, due: float) -> None:
        late = asyncio.get_running_loop().time() - due
        LOOP_DELAY.observe(LOOP_DELAY.cell_of(), max(0.0, late))
        self._go_on()

    def _write(self) -> None:
        METERS.note_alive()
        LANE_DEPTH.set_tenants(self._ledger.lane_depths)
        for pool, found in self._ledger.pools.items():
            for state, number in found._asdict().items():
                POOL.set(POOL.cell_of(pool, state), number)
