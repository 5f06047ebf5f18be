"""Latency of payments that arrive at a fixed rate, timed from when each was due (open loop).

Poisson arrivals over 64 connections at shares of the rate that 64 closed-loop connections reached;
half of it again by itself, and beside a 10,000-loan accrual batch of the same tenant every 2 s,
over loans that no payment touches. The generator runs on the same cores; its own lateness is shown.
"""

from collections.abc import Callable

import msgspec

from bench.report import open_loop as generator
from bench.report import wrk
from bench.report.accrual_batches import AccrualBatches, Poster, read_loan_ids
from bench.report.figures import Target, at_most, median, shown_number, unless_refused
from bench.report.measurements import payments
from bench.report.programs import MeasurementFailed, say
from bench.report.results import Results
from bench.report.run import Run

NAME = "open_loop"
TITLE = "Latency at a fixed arrival rate"
CONNECTIONS = 64
HALF = 0.5
BATCH_EVERY_SECONDS = 2.0


Runs = tuple[generator.Arrivals, ...]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """`closed_loop_rate` is what the shares are of; `batch_seconds` how long each batch took."""

    closed_loop_rate: float
    curve: Runs
    half: Runs
    beside_batches: Runs
    batch_loans: int
    batch_seconds: tuple[float, ...]


def _half(results: Results) -> Runs:
    return results.get(NAME, Figures).half


def _beside_batches(results: Results) -> Runs:
    return results.get(NAME, Figures).beside_batches


def _target(title: str, runs: Callable[[Results], Runs], field: str, bound: float) -> Target:
    """The median over the runs."""
    return unless_refused(
        at_most(
            f"{title}: at most {bound:g} ms",
            lambda results: median([getattr(each, field) for each in runs(results)]),
            bound,
            " ms",
        ),
        lambda results: sum(each.failed for each in runs(results)),
    )


TARGETS = (
    _target("payments at half the rate of 64 connections, p50", _half, "p50_ms", 4),
    _target("payments at half the rate of 64 connections, p99", _half, "p99_ms", 15),
    _target("payments at half the rate of 64 connections, p99.9", _half, "p999_ms", 40),
    _target("the same beside accrual batches on other loans, p99", _beside_batches, "p99_ms", 50),
)


def measure(run: Run) -> Figures:
    """The curve, then half the rate in turns with and without batches."""
    rate = _closed_loop_rate(run)
    curve = tuple(_arrive(run, rate * share) for share in run.plan.open_loop_shares)
    stage, plan = run.stage, run.plan
    loans = stage.loans(plan.accrual_loan_count, name="accrued-beside")
    batches = AccrualBatches(stage.base_url, stage.token(), read_loan_ids(loans))
    half, beside, batch_seconds = [], [], []
    for _ in range(plan.repetitions):
        half.append(_arrive(run, rate * HALF))
        poster = Poster(batches, every=BATCH_EVERY_SECONDS)
        poster.start()
        try:
            beside.append(_arrive(run, rate * HALF))
        finally:
            poster.finish()
        batch_seconds += poster.seconds
    return Figures(
        closed_loop_rate=rate,
        curve=curve,
        half=tuple(half),
        beside_batches=tuple(beside),
        batch_loans=plan.accrual_loan_count,
        batch_seconds=tuple(batch_seconds),
    )


def _closed_loop_rate(run: Run) -> float:
    """As the payments of this run had it, or measured for this."""
    found = run.earlier(payments.NAME, payments.Figures)
    if found is not None:
        return found.at(CONNECTIONS).rate
    load = wrk.measure(
        run.stage.base_url,
        run.payments(),
        connections=CONNECTIONS,
        seconds=run.plan.run_seconds,
    )
    return load.rate


def _arrive(run: Run, rate: float) -> generator.Arrivals:
    if rate <= 0:
        raise MeasurementFailed("there is no closed-loop rate to take a share of")
    found = generator.measure(
        run.stage.base_url,
        run.stage.token(),
        run.loans(),
        rate=rate,
        seconds=run.plan.open_loop_seconds,
        connections=CONNECTIONS,
    )
    say(
        f"  {found.achieved:,.0f}/s of {rate:,.0f}/s: p50 {found.p50_ms:.1f}, "
        f"p99 {found.p99_ms:.1f}, p99.9 {found.p999_ms:.1f} ms"
    )
    return found


def details(figures: Figures) -> list[str]:
    """Lines of Markdown."""
    head = (
        "| arrivals/s | achieved/s | p50 ms | p99 ms | p99.9 ms | max ms | generator late ms "
        "| failed |"
    )
    lines = [
        "![Latency over arrival rate](plots/latency.png)",
        "",
        f"64 closed-loop connections reached {figures.closed_loop_rate:,.0f} payments/s.",
        "",
        head,
        "|---:" * 8 + "|",
        *(_row(each) for each in figures.curve),
        "",
        f"Half the rate by itself, then beside a batch of {figures.batch_loans:,} loans every "
        f"{BATCH_EVERY_SECONDS:g} s ({len(figures.batch_seconds)} batches, each answered in "
        f"{shown_number(median(figures.batch_seconds) * 1e3)} ms in the median):",
        "",
        head,
        "|---:" * 8 + "|",
        *(_row(each) for each in (*figures.half, *figures.beside_batches)),
    ]
    return lines


def _row(each: generator.Arrivals) -> str:
    times = (each.p50_ms, each.p99_ms, each.p999_ms, each.max_ms, each.generator_late_ms)
    shown = " | ".join(shown_number(time_ms) for time_ms in times)
    return f"| {each.rate:,.0f} | {each.achieved:,.0f} | {shown} | {each.failed:,} |"
