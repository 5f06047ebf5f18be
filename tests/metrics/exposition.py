"""Everything that /metrics can show, by the real collectors, with the labels of each."""

import uuid

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

import hpts.server  # noqa: F401  (declares all that a server counts)
from hpts.config import Settings
from hpts.metrics.collector import WorkersCollector
from hpts.metrics.database import DatabaseCollector
from hpts.metrics.partner_files import PartnerFilesCollector
from hpts.store.vital_signs import (
    DeadVersions,
    Reconciled,
    Relayed,
    Standby,
    TenantSigns,
    VitalSigns,
)

SIGNS = VitalSigns(
    (Standby("standby", 1, 0.5),),
    (DeadVersions("ledger_heads", 1.0),),
    (TenantSigns(uuid.UUID(int=1), 1, Reconciled(1.0, 0, False), Relayed(0, 0.0, 0, 0)),),
)
SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",), "gauge": ("",)}


def exposed() -> dict[str, frozenset[str]]:
    """The labels of each series by its name."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkersCollector())
    registry.register(DatabaseCollector(lambda: SIGNS))
    registry.register(PartnerFilesCollector(Settings()))
    found: dict[str, frozenset[str]] = {}
    for metric in registry.collect():
        for suffix in SUFFIXES[metric.type]:
            labels = frozenset(labels_of(metric)) | ({"le"} if suffix == "_bucket" else set())
            found[metric.name + suffix] = labels
    return found


def labels_of(metric: Metric) -> tuple[str, ...]:
    return tuple(metric._labelnames)
