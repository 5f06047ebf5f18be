"""One look at /metrics, and what happened between two of them.

It knows the text format and nothing of the server: rates and percentiles come from differences, so
that what is shown is of the last seconds and not since the start.
"""

import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from http.client import HTTPException
from typing import NamedTuple
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

SECONDS_MAX = 5
BYTES_MAX = 16 * 1024 * 1024
Labels = dict[str, str]


class ScrapeFailed(Exception):
    """Nothing usable was answered there; the message says what."""


class Series(NamedTuple):
    labels: Labels
    value: float


class Scrape(NamedTuple):
    """Every series by name, and when that was (time.monotonic())."""

    at: float
    series: dict[str, list[Series]]

    def find(self, name: str, **labels: str) -> Iterator[Series]:
        """The series that have these labels."""
        for series in self.series.get(name, ()):
            if all(series.labels.get(label) == value for label, value in labels.items()):
                yield series

    def sum(self, name: str, **labels: str) -> float:
        return sum(series.value for series in self.find(name, **labels))

    def max(self, name: str) -> float | None:
        return max((series.value for series in self.find(name)), default=None)

    def values_of(self, name: str, label: str) -> list[str]:
        """The values of a label, each once, in the order of the text."""
        return list(dict.fromkeys(series.labels.get(label, "") for series in self.find(name)))


def scrape(url: str) -> Scrape:
    """The metrics at `url`, /metrics where it has no path. Raises ScrapeFailed."""
    if not url.startswith(("http://", "https://")):
        raise ScrapeFailed(
            f"{url} is not the URL of metrics, such as http://127.0.0.1:9464/metrics"
        )
    try:
        if urlsplit(url).path in ("", "/"):
            url = url.rstrip("/") + "/metrics"
        with urllib.request.urlopen(url, timeout=SECONDS_MAX) as response:  # noqa: S310
            text = response.read(BYTES_MAX).decode()
        found: dict[str, list[Series]] = defaultdict(list)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found[sample.name].append(Series(sample.labels, sample.value))
    except (OSError, ValueError, HTTPException) as error:
        raise ScrapeFailed(f"{url} cannot be read: {error}") from error
    if "hpts_workers" not in found:
        raise ScrapeFailed(f"{url} answers, but it is no HPTS server")
    return Scrape(time.monotonic(), found)


class Growth(NamedTuple):
    """What counts have grown by from `before` to `now`; since the server's start without `before`,
    or where that was of a server that has been started anew."""

    before: Scrape | None
    now: Scrape

    def of(self, name: str, **labels: str) -> float:
        then = 0.0 if self.before is None else self.before.sum(name, **labels)
        return self.now.sum(name, **labels) - then

    def rate(self, name: str, **labels: str) -> float | None:
        """Per second; None without `before`."""
        if self.before is None:
            return None
        return self.of(name, **labels) / max(self.now.at - self.before.at, 1e-3)

    def mean(self, histogram: str, **labels: str) -> float | None:
        count = self.of(f"{histogram}_count", **labels)
        return self.of(f"{histogram}_sum", **labels) / count if count > 0 else None

    def quantile(self, share: float, histogram: str, **labels: str) -> float | None:
        """As Prometheus's histogram_quantile: within a bucket all values are taken to be spread
        evenly; above the last bound it is that bound. None where nothing happened."""
        buckets: dict[float, float] = defaultdict(float)
        for series in self.now.find(f"{histogram}_bucket", **labels):
            buckets[float(series.labels["le"])] += series.value
        if self.before is not None:
            for series in self.before.find(f"{histogram}_bucket", **labels):
                buckets[float(series.labels["le"])] -= series.value
        bounds = sorted(buckets)
        if not bounds or buckets[bounds[-1]] <= 0:
            return None
        rank = share * buckets[bounds[-1]]
        low, below = 0.0, 0.0
        for bound in bounds:
            if buckets[bound] >= rank:
                if bound == float("inf"):
                    return low
                return low + (bound - low) * (rank - below) / max(buckets[bound] - below, 1e-9)
            low, below = bound, buckets[bound]
        return low


def growth_between(before: Scrape | None, now: Scrape) -> Growth:
    """Where counts have fallen the server is a new one, and `before` says nothing."""
    if before is not None:
        for name in ("hpts_request_seconds_count", "hpts_loop_delay_seconds_count"):
            if now.sum(name) < before.sum(name):
                return Growth(None, now)
    return Growth(before, now)
