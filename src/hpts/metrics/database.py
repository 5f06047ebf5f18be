"""The database's vital signs for Prometheus: read at most every few seconds, and never waited for
longer than a scrape can bear. Where they cannot be read, what is missing says so by its absence and
`hpts_database_up` by 0.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from threading import Lock

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hpts.meters import METERS, TENANTS_MAX
from hpts.store.vital_signs import VitalSigns, read_vital_signs
from hpts.store.wire import ConnectionLost
from hpts.telemetry import logger

FRESH_SECONDS = 5
WAIT_SECONDS_MAX = 3
"""A scrape waits this long for a reading; Prometheus itself gives up after 10 s."""
TENANT = ["tenant"]
RELAY = {
    "lag_blocks": "Blocks that the slowest webhook endpoint of the tenant is behind the chain.",
    "lag_seconds": "How long the first entry waits that the slowest endpoint has not been sent.",
    "waiting": "Deliveries that failed and are tried again, or wait behind such a one.",
    "parked": "Deliveries that were given up after three days, until they are redriven.",
}


class DatabaseCollector(Collector):
    """Shares one reading among the scrapes of FRESH_SECONDS, and runs one at a time."""

    def __init__(self, read: Callable[[], VitalSigns]) -> None:
        self._read = read
        self._reader = ThreadPoolExecutor(1, "hpts-vital-signs")
        self._reading: Future[VitalSigns | None] | None = None
        self._began_at = 0.0
        self._guard = Lock()

    @classmethod
    def of(cls, database_url: str) -> "DatabaseCollector":
        """Over a database; of its tenants, first of all those that the workers tell apart."""

        def read() -> VitalSigns:
            told_apart = [uuid.UUID(bytes=tenant) for tenant in METERS.tenants()]
            return read_vital_signs(database_url, told_apart, TENANTS_MAX)

        return cls(read)

    def collect(self) -> Iterable[Metric]:
        try:
            signs = self._latest().result(WAIT_SECONDS_MAX)
        except NotYet:
            signs = None
        yield GaugeMetricFamily(
            "hpts_database_up",
            "Whether the database told its state when it was asked last.",
            value=int(signs is not None),
        )
        yield from _metrics_of(signs or VitalSigns((), (), ()))

    def _latest(self) -> "Future[VitalSigns | None]":
        with self._guard:
            is_stale = time.monotonic() - self._began_at > FRESH_SECONDS
            if self._reading is None or (is_stale and self._reading.done()):
                self._began_at = time.monotonic()
                self._reading = self._reader.submit(self._try_to_read)
            return self._reading

    def _try_to_read(self) -> VitalSigns | None:
        try:
            return self._read()
        except ConnectionLost as error:
            logger.warning("the database's state cannot be read: %s", error)
            return None


def _metrics_of(signs: VitalSigns) -> Iterator[Metric]:
    behind = GaugeMetricFamily(
        "hpts_standby_lag_bytes", "Log that a standby has not replayed yet.", labels=["standby"]
    )
    late = GaugeMetricFamily(
        "hpts_standby_lag_seconds",
        "How old what a standby replays is, while something is written.",
        labels=["standby"],
    )
    for standby in signs.standbys:
        behind.add_metric([standby.name], standby.behind_bytes)
        late.add_metric([standby.name], standby.behind_seconds or 0.0)
    dead = GaugeMetricFamily(
        "hpts_dead_versions_per_row",
        "Versions of a row that no longer count, and that every lookup of it passes.",
        labels=["table"],
    )
    for versions in signs.dead_versions:
        dead.add_metric([versions.table], versions.per_row)
    yield from (behind, late, dead)
    yield from _tenants(signs)


def _tenants(signs: VitalSigns) -> Iterator[Metric]:
    block = GaugeMetricFamily("hpts_head_block", "Number of the last block.", labels=TENANT)
    age = GaugeMetricFamily(
        "hpts_reconciliation_age_seconds", "Since the latest reconciliation.", labels=TENANT
    )
    mismatched = GaugeMetricFamily(
        "hpts_reconciliation_mismatched_accounts",
        "Accounts whose totals were not the sum of their lines at the latest reconciliation.",
        labels=TENANT,
    )
    drifted = GaugeMetricFamily(
        "hpts_reconciliation_principal_drifted",
        "Whether loans and general ledger differed at the latest reconciliation.",
        labels=TENANT,
    )
    relay = {
        name: GaugeMetricFamily(f"hpts_relay_{name}", meaning, labels=TENANT)
        for name, meaning in RELAY.items()
    }
    for tenant in signs.tenants:
        labels = [str(tenant.tenant_id)]
        if tenant.block_number is not None:
            block.add_metric(labels, tenant.block_number)
        if tenant.reconciled is not None:
            age.add_metric(labels, tenant.reconciled.age_seconds)
            mismatched.add_metric(labels, tenant.reconciled.mismatched_account_count)
            drifted.add_metric(labels, int(tenant.reconciled.principal_drifted))
        if tenant.relayed is not None:
            relay["lag_blocks"].add_metric(labels, tenant.relayed.behind_blocks)
            relay["lag_seconds"].add_metric(labels, tenant.relayed.behind_seconds)
            relay["waiting"].add_metric(labels, tenant.relayed.waiting)
            relay["parked"].add_metric(labels, tenant.relayed.parked)
    yield from (block, age, mismatched, drifted, *relay.values())
