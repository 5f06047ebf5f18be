"""Memory of the server's workers during ten minutes of payments at 256 connections.

Resident memory of each worker (VmRSS, shared pages included; MB are a million bytes), read every
few seconds. Flat means that over the second half it grows by at most 1 MB a minute.
"""

import time

import msgspec

from bench.report import wrk
from bench.report.figures import at_most, shown_number, slope
from bench.report.process_tree import resident_mb
from bench.report.programs import MeasurementFailed, say
from bench.report.results import Results
from bench.report.run import Run
from bench.report.stage import WORKERS

NAME = "memory"
TITLE = "Memory"
CONNECTIONS = 256
SAY_EVERY_SECONDS = 60.0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """`workers_mb` has a row of samples a worker, taken at `times` in seconds."""

    times: tuple[float, ...]
    workers_mb: tuple[tuple[float, ...], ...]
    load: wrk.Load

    @property
    def peak_mb(self) -> float:
        return max(max(samples) for samples in self.workers_mb)

    @property
    def slope_mb_per_minute(self) -> float:
        """Of the worker that grows the most, over the second half. Raises MeasurementFailed."""
        half = len(self.times) // 2
        minutes = [seconds / 60 for seconds in self.times[half:]]
        return max(slope(minutes, samples[half:]) for samples in self.workers_mb)


def _peak(results: Results) -> float:
    return results.get(NAME, Figures).peak_mb


def _slope(results: Results) -> float:
    return results.get(NAME, Figures).slope_mb_per_minute


TARGETS = (
    at_most("memory of a worker at saturation: at most 150 MB", _peak, 150, " MB"),
    at_most("memory is flat: at most 1 MB a minute over the second half", _slope, 1, " MB/min"),
)


def measure(run: Run) -> Figures:
    """Sample as long as wrk goes on."""
    stage, plan = run.stage, run.plan
    workers = stage.workers()
    if len(workers) != WORKERS:
        raise MeasurementFailed(f"{len(workers)} processes look like the {WORKERS} workers")
    times: list[float] = []
    samples: dict[int, list[float]] = {pid: [] for pid in workers}
    with wrk.started(
        stage.base_url, run.payments(), connections=CONNECTIONS, seconds=plan.memory_seconds
    ) as load_run:
        started_at = time.monotonic()
        said_at = started_at
        while load_run.is_running:
            time.sleep(plan.memory_sample_seconds)
            times.append(time.monotonic() - started_at)
            for pid in workers:
                samples[pid].append(_resident_mb(pid))
            if time.monotonic() - said_at > SAY_EVERY_SECONDS:
                said_at = time.monotonic()
                say(f"  {times[-1]:.0f} s: {_shown([each[-1] for each in samples.values()])}")
        load = load_run.finish()
    return Figures(
        times=tuple(times),
        workers_mb=tuple(tuple(samples[pid]) for pid in workers),
        load=load,
    )


def _resident_mb(pid: int) -> float:
    found = resident_mb(pid)
    if found is None:
        raise MeasurementFailed("a worker ended while its memory was watched")
    return found


def _shown(megabytes: list[float]) -> str:
    return ", ".join(f"{each:.1f}" for each in megabytes) + " MB"


def details(figures: Figures) -> list[str]:
    """Lines of Markdown."""
    half = len(figures.times) // 2
    return [
        f"{figures.load.answered:,} payments in {figures.load.seconds:,.0f} s "
        f"({figures.load.rate:,.0f}/s, {figures.load.failed} refused). Each worker at the start: "
        f"{_shown([each[0] for each in figures.workers_mb])}; in the middle: "
        f"{_shown([each[half] for each in figures.workers_mb])}; at the end: "
        f"{_shown([each[-1] for each in figures.workers_mb])}. Slope of the second half: "
        f"{shown_number(figures.slope_mb_per_minute)} MB a minute."
    ]
