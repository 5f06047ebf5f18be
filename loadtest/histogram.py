"""Response times counted in buckets 1 % wide: percentiles in bounded memory, however long the run.

A percentile is the upper bound of its bucket, so it is never understated and overstated by 1 % at
most; the largest value is kept exactly.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

RESOLUTION = 1.01
LOWEST_MS = 0.01
HIGHEST_MS = 3_600_000.0
_LOG_RESOLUTION = math.log(RESOLUTION)
BUCKETS_MAX = math.ceil(math.log(HIGHEST_MS / LOWEST_MS) / _LOG_RESOLUTION) + 1
PER_MILLE_TEN = 10_000


class Histogram:
    """Counts of times in milliseconds. Times outside the range count in its outermost buckets."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.max_ms = 0.0

    @classmethod
    def of(cls, times_ms: Iterable[float]) -> Self:
        histogram = cls()
        for time_ms in times_ms:
            histogram.record(time_ms)
        return histogram

    @classmethod
    def merged(cls, histograms: Iterable["Histogram"]) -> Self:
        """What one histogram would hold that had recorded everything."""
        total = cls()
        for histogram in histograms:
            total._counts.update(histogram._counts)
            total.count += histogram.count
            total.max_ms = max(total.max_ms, histogram.max_ms)
        return total

    def record(self, time_ms: float) -> None:
        self._counts[_bucket(time_ms)] += 1
        self.count += 1
        self.max_ms = max(self.max_ms, time_ms)

    def percentile(self, percent: float) -> float | None:
        """The time within which `percent` of all answers came; None where there was none."""
        if not 0 <= percent <= 100:
            raise ValueError(f"a percentile is from 0 to 100, not {percent}")
        if self.count == 0:
            return None
        # A rank in whole numbers: 99.9 / 100 * 1000 in floating point is above 999.
        rank = max(1, -(-round(percent * 100) * self.count // PER_MILLE_TEN))
        passed = 0
        for bucket in sorted(self._counts):
            passed += self._counts[bucket]
            if passed >= rank:
                return min(_upper_ms(bucket), self.max_ms)
        raise RuntimeError("the buckets hold fewer times than were counted")

    def percentiles(self, percents: Sequence[float]) -> list[float | None]:
        return [self.percentile(percent) for percent in percents]

    def above(self, limit_ms: float) -> int:
        """How many times are above `limit_ms`, as exactly as the buckets tell."""
        return sum(count for bucket, count in self._counts.items() if _upper_ms(bucket) > limit_ms)

    def to_json(self) -> dict[str, Any]:
        """For a file; `from_json` reads it."""
        return {"max_ms": self.max_ms, "counts": sorted(self._counts.items())}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        histogram = cls()
        histogram._counts.update({int(bucket): int(count) for bucket, count in stored["counts"]})
        histogram.count = histogram._counts.total()
        histogram.max_ms = float(stored["max_ms"])
        return histogram


def _bucket(time_ms: float) -> int:
    if time_ms <= LOWEST_MS:
        return 0
    if time_ms >= HIGHEST_MS:
        return BUCKETS_MAX - 1
    return min(math.ceil(math.log(time_ms / LOWEST_MS) / _LOG_RESOLUTION), BUCKETS_MAX - 1)


def _upper_ms(bucket: int) -> float:
    return float(LOWEST_MS * RESOLUTION**bucket)
