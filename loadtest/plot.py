"""The plot of a recording: percentiles over time, and the whole curve of percentiles, with the
objectives as lines.
"""

from math import log10
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from loadtest.histogram import Histogram
from loadtest.objectives import P99_MS_MAX
from loadtest.recorder import Recording

COLOURS = {"writes": "#c1440e", "reads": "#1f6fb2"}
STYLES = ("-", "--", ":")
"""Of the tenants, in order."""
CURVE = (*range(1, 91), 92, 94, 95, 96, 97, 98, 99, 99.3, 99.5, 99.7, 99.9, 99.95, 99.99)
MARKS = (1, 50, 90, 99, 99.9, 99.99)


def draw(recording: Recording, title: str, path: Path) -> None:
    """Write the PNG."""
    figure = Figure(figsize=(14, 5.5), layout="constrained")
    over_time, curve = figure.subplots(1, 2, sharey=True)
    drawn_ms = [0.0]
    tenants = sorted({series.tenant for series in recording.series})
    for tenant, style in zip(tenants, STYLES, strict=False):
        for kind in P99_MS_MAX:
            label = kind if len(tenants) == 1 else f"{tenant}, {kind}"
            drawn_ms += _draw_over_time(over_time, recording, tenant, kind, style)
            drawn_ms += _draw_curve(curve, recording, tenant, kind, style, label)
    _draw_objectives(over_time)
    _draw_objectives(curve)
    over_time.set_title(f"p50 (thin) and p99 (thick) of each {recording.window_seconds} s")
    over_time.set_xlabel("seconds")
    over_time.set_ylabel("milliseconds")
    curve.set_title("all answers")
    curve.set_xlabel("percentile")
    curve.set_xticks([_stretched(mark) for mark in MARKS], [f"{mark:g}" for mark in MARKS])
    over_time.set_yscale("log")
    over_time.set_ylim(0.5, max(500.0, 1.5 * max(drawn_ms)))
    over_time.yaxis.set_major_formatter("{x:g}")
    for axes in (over_time, curve):
        axes.grid(visible=True, which="both", alpha=0.2)
    curve.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    figure.suptitle(title)
    figure.savefig(path, dpi=110)


def _draw_over_time(
    axes: Any, recording: Recording, tenant: str, kind: str, style: str
) -> list[float]:
    windows = sorted({series.window for series in recording.series if (series.tenant == tenant)})
    found = [
        (window, recording.histogram(tenant=tenant, kind=kind, window=window)) for window in windows
    ]
    found = [(window, histogram) for window, histogram in found if histogram.count]
    if not found:
        return []
    seconds = [(window + 0.5) * recording.window_seconds for window, _ in found]
    drawn_ms: list[float] = []
    for percent, width in ((50, 0.9), (99, 2.2)):
        times_ms = [histogram.percentile(percent) or 0.0 for _, histogram in found]
        axes.plot(seconds, times_ms, style, color=COLOURS[kind], linewidth=width)
        drawn_ms += times_ms
    return drawn_ms


def _draw_curve(
    axes: Any, recording: Recording, tenant: str, kind: str, style: str, label: str
) -> list[float]:
    histogram = recording.histogram(tenant=tenant, kind=kind)
    percents = [percent for percent in CURVE if _is_backed(histogram, percent)]
    if not percents:
        return []
    times_ms = [histogram.percentile(percent) or 0.0 for percent in percents]
    axes.plot(
        [_stretched(percent) for percent in percents],
        times_ms,
        style,
        color=COLOURS[kind],
        linewidth=2,
        label=f"{label} ({histogram.count:,})",
    )
    return times_ms


def _draw_objectives(axes: Any) -> None:
    for kind, limit_ms in P99_MS_MAX.items():
        label = f"objective: p99 of {kind} {limit_ms:.0f} ms"
        axes.axhline(limit_ms, color=COLOURS[kind], linestyle="-.", linewidth=1, label=label)


def _is_backed(histogram: Histogram, percent: float) -> bool:
    """Whether at least one answer lies beyond: p99.99 of a thousand answers says nothing."""
    return histogram.count * (100 - percent) >= 100


def _stretched(percent: float) -> float:
    """Where a percentile stands: each further nine takes as much room as the one before."""
    return -log10(1 - percent / 100)
