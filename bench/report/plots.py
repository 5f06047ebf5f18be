"""Draws the report's plots as PNG from raw results; what was not measured is left out."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from bench.report.figures import median
from bench.report.measurements import ledger_size, noop, open_loop, payments, tpcb
from bench.report.programs import MeasurementFailed, say
from bench.report.results import Results

SIZE_INCHES = (7.5, 4.2)
DOTS_PER_INCH = 110
BLUE, ORANGE, GREY, GREEN, RED = "#1f5fa8", "#d9730d", "#6b7280", "#2e7d4f", "#b3261e"
THOUSANDS = FuncFormatter(lambda value, _: f"{value:,.0f}")
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")


def draw_all(results: Results, destination: Path) -> None:
    """The plots of everything that was measured, in `destination`/plots."""
    folder = destination / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in (
        ("throughput", _draw_throughput),
        ("latency", _draw_latency),
        ("ledger_size", _draw_ledger_size),
    ):
        figure, axes = plt.subplots(figsize=SIZE_INCHES, layout="constrained")
        try:
            draw(results, axes)
            figure.savefig(folder / f"{name}.png", dpi=DOTS_PER_INCH, metadata={"Software": None})
        except MeasurementFailed as error:
            say(f"no plot {name}: {error}")
        finally:
            plt.close(figure)


def _draw_throughput(results: Results, axes: Axes) -> None:
    found = results.get(payments.NAME, payments.Figures)
    runs = sorted(found.runs, key=lambda at: at.connections)
    _draw_rates(
        axes,
        [(at.connections, [r.load.rate for r in at.repetitions]) for at in runs],
        label="HPTS payments",
        colour=BLUE,
        marker="o",
    )
    _draw_noop(results, axes)
    _draw_tpcb(results, axes)
    axes.set_xscale("log", base=2)
    axes.set_xticks([at.connections for at in runs])
    axes.xaxis.set_major_formatter(PLAIN)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(THOUSANDS)
    axes.set_xlabel("connections (closed loop)")
    axes.set_ylabel("a second")
    _finish(axes, "Throughput over connections")


def _draw_noop(results: Results, axes: Axes) -> None:
    try:
        runs = results.get(noop.NAME, noop.Figures).runs
    except MeasurementFailed:
        return
    rates = [(at.connections, [load.rate for load in at.loads]) for at in runs]
    _draw_rates(axes, rates, label="HTTP server alone (no-op)", colour=GREY, marker="s")


def _draw_tpcb(results: Results, axes: Axes) -> None:
    try:
        mean = tpcb.mean_tps(results)
    except MeasurementFailed:
        return
    axes.axhline(
        mean,
        color=ORANGE,
        linestyle="--",
        linewidth=1.5,
        label=f"PostgreSQL alone (TPC-B, 32 clients): {mean:,.0f}",
    )


def _draw_rates(
    axes: Axes, rates: Sequence[tuple[float, list[float]]], *, label: str, colour: str, marker: str
) -> None:
    """The median of the repetitions at each place, and a bar from the lowest to the highest."""
    middles = [median(each) for _, each in rates]
    spreads = [
        [middle - min(each) for middle, (_, each) in zip(middles, rates, strict=True)],
        [max(each) - middle for middle, (_, each) in zip(middles, rates, strict=True)],
    ]
    places = [place for place, _ in rates]
    axes.errorbar(
        places,
        middles,
        yerr=spreads,
        label=label,
        color=colour,
        marker=marker,
        capsize=3,
        linewidth=1.8,
    )
    for (place, each), middle in zip(rates, middles, strict=True):
        axes.annotate(
            f"{middle:,.0f}",
            (place, max(each)),  # above the bar
            textcoords="offset points",
            xytext=(0, 7),
            ha="center",
            fontsize=7.5,
            color=colour,
        )


def _draw_latency(results: Results, axes: Axes) -> None:
    curve = sorted(results.get(open_loop.NAME, open_loop.Figures).curve, key=lambda each: each.rate)
    rates = [each.rate for each in curve]
    for label, field, colour, marker in (
        ("p99.9", "p999_ms", RED, "^"),
        ("p99", "p99_ms", ORANGE, "s"),
        ("p50", "p50_ms", BLUE, "o"),
    ):
        axes.plot(
            rates,
            [getattr(each, field) for each in curve],
            label=label,
            color=colour,
            marker=marker,
            linewidth=1.8,
        )
    axes.plot(
        rates,
        [each.generator_late_ms for each in curve],
        label="generator late (p99)",
        color=GREY,
        linestyle=":",
        linewidth=1.2,
    )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(PLAIN)
    axes.xaxis.set_major_formatter(THOUSANDS)
    axes.set_xlim(left=0)
    axes.set_xlabel("payments a second that arrive (open loop)")
    axes.set_ylabel("milliseconds from when due")
    _finish(axes, "Latency of payments over arrival rate")


def _draw_ledger_size(results: Results, axes: Axes) -> None:
    steps = results.get(ledger_size.NAME, ledger_size.Figures).steps
    reads = [(step.entries / 1e6, [load.rate for load in step.reads]) for step in steps]
    paid = [(step.entries / 1e6, [load.rate for load in step.payments]) for step in steps]
    _draw_rates(axes, reads, label="balance reads, 64 connections", colour=GREEN, marker="s")
    _draw_rates(axes, paid, label="payments, 256 connections", colour=BLUE, marker="o")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(THOUSANDS)
    axes.xaxis.set_major_formatter(PLAIN)
    axes.set_xlabel("million entries in the ledger")
    axes.set_ylabel("a second")
    _finish(axes, "Throughput over ledger size")


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.grid(True, which="major", linewidth=0.5, alpha=0.4)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8.5)
