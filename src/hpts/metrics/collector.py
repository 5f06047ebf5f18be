"""Shows to prometheus-client what the workers have counted.

It reads the memory that they share and asks no worker anything: one that hangs holds up no scrape.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from hpts.http.request_meters import OBJECTIVES, REQUESTS, Objective
from hpts.meters import METERS, Counter, Family, Histogram, Samples

NANO = 1e-9


class WorkersCollector(Collector):
    """Every family that the program declares, summed over its workers, and what follows."""

    def collect(self) -> Iterable[Metric]:
        for family in METERS.families:
            yield _metric_of(family)
        yield from _objectives()
        yield from _workers()


def _metric_of(family: Family) -> Metric:
    if isinstance(family, Histogram):
        return _histogram_of(family)
    kind = CounterMetricFamily if isinstance(family, Counter) else GaugeMetricFamily
    metric = kind(family.name, family.meaning, labels=family.labels)
    for labels, cells in family.samples():
        metric.add_metric(labels, cells[0])
    return metric


def _histogram_of(family: Histogram) -> HistogramMetricFamily:
    """Of labelled histograms only those sets of labels that have occurred."""
    metric = HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
    bounds = [*(str(bound) for bound in family.bounds), "+Inf"]
    for labels, cells in family.samples():
        if any(cells) or not labels:
            *buckets, total = cells
            cumulative = list(zip(bounds, accumulate(buckets), strict=True))
            metric.add_metric(labels, cumulative, total * NANO)
    return metric


def _objectives() -> Iterator[Metric]:
    """The objectives' good and bad requests, from zero on, so that no first failure is missed."""
    counted = CounterMetricFamily(
        "hpts_slo_requests", "Requests that a service level objective is about.", labels=["slo"]
    )
    missed = CounterMetricFamily(
        "hpts_slo_misses", "Those that were answered too late, or with a 5xx.", labels=["slo"]
    )
    target = GaugeMetricFamily(
        "hpts_slo_target", "The share of requests that must not be missed.", labels=["slo"]
    )
    samples = list(REQUESTS.samples())
    for objective in OBJECTIVES:
        requests, misses = _tally(objective, samples)
        counted.add_metric([objective.name], requests)
        missed.add_metric([objective.name], misses)
        target.add_metric([objective.name], objective.target)
    yield from (counted, missed, target)


def _tally(objective: Objective, samples: Iterable[Samples]) -> tuple[int, int]:
    """(requests, misses). What failed is not also counted as slow."""
    requests = misses = 0
    for (method, route, status), (*buckets, _) in samples:
        if (method, route) not in objective.operations:
            continue
        is_failure = status.startswith("5")
        if objective.seconds is None:
            requests += sum(buckets)
            misses += sum(buckets) if is_failure else 0
        elif not is_failure:
            in_time = REQUESTS.bounds.index(objective.seconds) + 1
            requests += sum(buckets)
            misses += sum(buckets[in_time:])
    return requests, misses


def _workers() -> Iterator[Metric]:
    ages = METERS.seconds_since_seen()
    yield GaugeMetricFamily("hpts_workers", "Worker processes that live.", value=len(ages))
    yield GaugeMetricFamily(
        "hpts_worker_silence_seconds",
        "How long the quietest worker's event loop has not turned.",
        value=max(ages, default=0.0),
    )
