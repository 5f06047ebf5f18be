"""When a benchmark counts as slower than on the base: the verdict on its runs, and the table.

It measures nothing. One run gives one time; a verdict needs both sides' medians to lie apart and
their ranges not to overlap, so that a busy moment on either side alone decides nothing.
"""

import enum
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

SLOWDOWN_MAX = 0.05
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
HEADINGS = ("benchmark", "base (range)", "this tree (range)", "ratio", "verdict")


class Verdict(enum.Enum):
    """What became of a benchmark between the base and this tree."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "same"
    UNCLEAR = "unclear"
    NEW = "new"
    GONE = "gone"


class Comparison(NamedTuple):
    """A benchmark's times in seconds, one a run; none on a side that does not run it."""

    name: str
    base: tuple[float, ...]
    here: tuple[float, ...]

    @property
    def ratio(self) -> float | None:
        """Of the medians; above 1 this tree takes longer."""
        if not self.base or not self.here:
            return None
        return statistics.median(self.here) / statistics.median(self.base)

    @property
    def verdict(self) -> Verdict:
        ratio = self.ratio
        if ratio is None:
            return Verdict.NEW if self.here else Verdict.GONE
        if 1 / (1 + SLOWDOWN_MAX) <= ratio <= 1 + SLOWDOWN_MAX:
            return Verdict.SAME
        if ratio > 1 and min(self.here) > max(self.base):
            return Verdict.SLOWER
        if ratio < 1 and max(self.here) < min(self.base):
            return Verdict.FASTER
        return Verdict.UNCLEAR


def pair_runs(
    base: Sequence[dict[str, float]], here: Sequence[dict[str, float]]
) -> list[Comparison]:
    """The runs of both sides by benchmark, in the order in which this tree ran them."""
    names = dict.fromkeys(name for run in (*here, *base) for name in run)
    return [Comparison(name, _times(base, name), _times(here, name)) for name in names]


def _times(runs: Sequence[dict[str, float]], name: str) -> tuple[float, ...]:
    return tuple(run[name] for run in runs if name in run)


def any_slower(comparisons: Sequence[Comparison]) -> bool:
    return any(comparison.verdict is Verdict.SLOWER for comparison in comparisons)


def render_table(comparisons: Sequence[Comparison]) -> str:
    """A line a benchmark, then how many there are of each verdict."""
    rows = [HEADINGS, *(_cells(comparison) for comparison in comparisons)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADINGS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join([*lines, "", _summary(comparisons)])


def _cells(comparison: Comparison) -> tuple[str, ...]:
    ratio = comparison.ratio
    return (
        comparison.name.removeprefix("bench/"),
        _shown(comparison.base),
        _shown(comparison.here),
        "" if ratio is None else f"{ratio:.3f}",
        comparison.verdict.value,
    )


def _shown(times: Sequence[float]) -> str:
    """The median with the range, all in the unit that fits the median."""
    if not times:
        return "-"
    median = statistics.median(times)
    size, unit = next((found for found in UNITS if median >= found[0]), UNITS[-1])
    low, middle, high = (f"{time / size:.4g}" for time in (min(times), median, max(times)))
    return f"{middle} {unit} ({low} to {high})"


def _summary(comparisons: Sequence[Comparison]) -> str:
    counts = Counter(comparison.verdict for comparison in comparisons)
    counted = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict)
    if counts[Verdict.UNCLEAR]:
        counted += f"; unclear is beyond {SLOWDOWN_MAX:.0%} with overlapping ranges: more rounds"
    return counted
