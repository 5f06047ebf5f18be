"""Balances of loans a second over HTTP: GET /v1/loans/{loan_id}/balance at 64 connections.

Closed loop, over the 20,000 loans that the payments went to, the balance of now.
"""

import functools
from pathlib import Path

import msgspec

from bench.report import wrk
from bench.report.figures import at_least_ratio, at_most, median, shown_number, spread
from bench.report.measurements import noop
from bench.report.programs import MeasurementFailed, say
from bench.report.run import Run
from bench.report.stage import Stage

NAME = "reads"
TITLE = "Reads"
CONNECTIONS = 64


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    loads: tuple[wrk.Load, ...]
    server_us: tuple[float, ...]
    postgres_us: tuple[float, ...]

    @property
    def rate(self) -> float:
        return median([load.rate for load in self.loads])

    @property
    def p99_ms(self) -> float:
        return median([load.p99_ms for load in self.loads])


TARGETS = (
    at_least_ratio(
        "loan balance reads/s at 64 connections: at least 0.5 x the no-op",
        lambda results: results.get(NAME, Figures).rate,
        functools.partial(noop.rate_at, CONNECTIONS),
        0.5,
        "/s",
    ),
    at_most(
        "loan balance reads, p99 at 64 connections: at most 15 ms",
        lambda results: results.get(NAME, Figures).p99_ms,
        15,
        " ms",
    ),
)


def balance_paths(stage: Stage, name: str, loans: Path) -> Path:
    """The file of paths that reads the balance of every loan of a file."""
    loan_ids = [line.split()[0] for line in loans.read_text().splitlines()]
    return stage.paths(name, [f"/v1/loans/{loan_id}/balance" for loan_id in loan_ids])


def measure(run: Run) -> Figures:
    """As many repetitions as the plan says."""
    stage, plan = run.stage, run.plan
    paths = balance_paths(stage, NAME, run.loans())
    loads, server_us, postgres_us = [], [], []
    for _ in range(plan.repetitions):
        before = stage.cpu()
        load = wrk.measure(
            stage.base_url,
            wrk.reads(stage.token(), paths),
            connections=CONNECTIONS,
            seconds=plan.run_seconds,
        )
        used = stage.cpu() - before
        check_all_answered(load)
        loads.append(load)
        server_us.append(used.server / load.answered * 1e6)
        postgres_us.append(used.postgres / load.answered * 1e6)
        say(f"  {load.rate:,.0f}/s, p99 {load.p99_ms:.1f} ms")
    return Figures(loads=tuple(loads), server_us=tuple(server_us), postgres_us=tuple(postgres_us))


def check_all_answered(load: wrk.Load) -> None:
    """Raises MeasurementFailed where a read was not answered 200."""
    if load.failed or not load.answered:
        raise MeasurementFailed(f"{load.failed} of {load.failed + load.answered} reads failed")


def details(figures: Figures) -> list[str]:
    """Lines of Markdown."""
    return [
        f"{figures.rate:,.0f} reads/s ({spread([load.rate for load in figures.loads])}), "
        f"p50 {shown_number(median([load.p50_ms for load in figures.loads]))} ms, "
        f"p99 {shown_number(figures.p99_ms)} ms; CPU a read: server "
        f"{shown_number(median(figures.server_us))} us, "
        f"PostgreSQL {shown_number(median(figures.postgres_us))} us."
    ]
