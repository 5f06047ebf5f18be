"""Percentiles from buckets: within 1 % above the true ones, in bounded memory."""

import math
import random

import pytest

from loadtest.histogram import BUCKETS_MAX, HIGHEST_MS, LOWEST_MS, RESOLUTION, Histogram

PERCENTS = (0, 1, 50, 90, 95, 99, 99.9, 100)


def true_percentile(times_ms: list[float], percent: float) -> float:
    """The nearest-rank percentile, from the sorted times themselves."""
    ordered = sorted(times_ms)
    rank = math.ceil(round(percent * 100) * len(ordered) / 10_000)
    return ordered[max(rank, 1) - 1]


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 1000, 25_000])
def test_a_percentile_is_never_understated_and_overstated_by_a_hundredth(
    count: int, seed: int
) -> None:
    draw = random.Random(f"{seed} {count}")
    times_ms = [max(LOWEST_MS, draw.lognormvariate(2, 1.5)) for _ in range(count)]
    histogram = Histogram.of(times_ms)
    for percent in PERCENTS:
        exact = true_percentile(times_ms, percent)
        shown = histogram.percentile(percent)
        assert shown is not None
        assert exact * (1 - 1e-9) <= shown <= exact * RESOLUTION * (1 + 1e-9), percent


def test_the_largest_time_is_kept_exactly() -> None:
    histogram = Histogram.of([1.0, 123.456, 7.0])
    assert histogram.max_ms == 123.456
    assert histogram.percentile(100) == 123.456


def test_the_rank_is_not_lost_to_rounding() -> None:
    # 99.9 % of 1,000 are 999; 99.9 / 100 * 1000 is above it in floating point
    histogram = Histogram.of([1.0] * 999 + [500.0])
    assert histogram.percentile(99.9) == pytest.approx(1.0, rel=0.01)
    assert histogram.percentile(99.91) == 500.0


def test_nothing_recorded_has_no_percentiles() -> None:
    assert Histogram().percentiles((50, 99)) == [None, None]


@pytest.mark.parametrize("percent", [-1, 100.5])
def test_a_percentile_beyond_the_whole_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 100"):
        Histogram.of([1.0]).percentile(percent)


def test_a_merged_histogram_is_the_histogram_of_all(seed: int) -> None:
    draw = random.Random(seed)
    parts = [[draw.expovariate(0.1) for _ in range(500)] for _ in range(3)]
    merged = Histogram.merged(Histogram.of(part) for part in parts)
    whole = Histogram.of([time_ms for part in parts for time_ms in part])
    assert merged.to_json() == whole.to_json()
    assert merged.count == whole.count == 1500


def test_a_stored_histogram_is_read_back() -> None:
    histogram = Histogram.of([0.5, 20.0, 20.0, 3000.0])
    again = Histogram.from_json(histogram.to_json())
    assert (again.count, again.max_ms) == (4, 3000.0)
    assert again.percentiles(PERCENTS) == histogram.percentiles(PERCENTS)


def test_memory_is_bounded_whatever_is_recorded(seed: int) -> None:
    draw = random.Random(seed)
    histogram = Histogram()
    for _ in range(50_000):
        histogram.record(10 ** draw.uniform(-6, 9))
    assert histogram.count == 50_000
    assert len(histogram.to_json()["counts"]) <= BUCKETS_MAX < 2500
    assert histogram.max_ms > HIGHEST_MS
