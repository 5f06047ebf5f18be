"""Payments a second over HTTP, closed loop, at several numbers of connections, in turns.

Each payment is of 1.00 on one of 20,000 loans of one tenant, under a key of its own: an entry of
two lines, durable before its 201. CPU time is that of all processes of the server, and of
PostgreSQL, divided by the payments. After each run the journal must have grown by exactly what was
answered 201, or by that and what was under way when wrk hung up.
"""

import functools
import time

import msgspec

from bench.report import wrk
from bench.report.figures import (
    Judgement,
    Target,
    Verdict,
    at_least_ratio,
    at_most,
    at_most_ratio,
    median,
    shown_number,
    spread,
)
from bench.report.measurements import noop, tpcb
from bench.report.programs import MeasurementFailed, say
from bench.report.results import Results
from bench.report.run import Run
from bench.report.stage import SETTLE_SECONDS_MAX, SETTLED_SECONDS, Stage

NAME = "payments"
TITLE = "Payments"
COUNT_NEW = (
    "SELECT count(*) FROM journal_entries WHERE tenant_id = %s AND journal_entry_id > %s"
    " AND event_type = 'payment_received'"
)
LAST_ENTRY = (
    "SELECT journal_entry_id FROM journal_entries WHERE tenant_id = %s"
    " ORDER BY journal_entry_id DESC LIMIT 1"
)


class Repetition(msgspec.Struct, frozen=True, kw_only=True):
    """One run of wrk. `grown` is by how many payments the journal grew; CPU is a payment's."""

    load: wrk.Load
    grown: int
    server_us: float
    postgres_us: float

    @property
    def is_true(self) -> bool:
        """Whether the journal holds what was answered, and beyond it what nobody waited for."""
        return self.load.answered <= self.grown <= self.load.answered + self.load.connections


class AtConnections(msgspec.Struct, frozen=True, kw_only=True):
    connections: int
    repetitions: tuple[Repetition, ...]

    @property
    def rate(self) -> float:
        return median([each.load.rate for each in self.repetitions])


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    runs: tuple[AtConnections, ...]

    def at(self, connections: int) -> AtConnections:
        """Raises MeasurementFailed where that number was not measured."""
        for found in self.runs:
            if found.connections == connections:
                return found
        raise MeasurementFailed(f"not measured at {connections} connections")


def rate_at(connections: int, results: Results) -> float:
    return results.get(NAME, Figures).at(connections).rate


def _server_us(results: Results) -> float:
    return median([each.server_us for each in results.get(NAME, Figures).at(256).repetitions])


def _postgres_us(results: Results) -> float:
    return median([each.postgres_us for each in results.get(NAME, Figures).at(256).repetitions])


def _truth(results: Results) -> Judgement:
    runs = [each for at in results.get(NAME, Figures).runs for each in at.repetitions]
    wrong = [each for each in runs if not each.is_true]
    failed = sum(each.load.failed for each in runs)
    answered = sum(each.load.answered for each in runs)
    shown = f"{answered:,} payments in {len(runs)} runs; {len(wrong)} runs differ, {failed} refused"
    return Judgement(shown, "", Verdict.NOT_MET if wrong else Verdict.MET)


def _throughput_target(connections: int, factor: float) -> Target:
    return at_least_ratio(
        f"payments/s at {connections} connection{'s' * (connections > 1)}: "
        f"at least {factor:g} x TPC-B",
        functools.partial(rate_at, connections),
        tpcb.mean_tps,
        factor,
        "/s",
    )


TARGETS = (
    _throughput_target(256, 5),
    _throughput_target(64, 3.5),
    _throughput_target(16, 1.8),
    _throughput_target(1, 0.35),
    at_most_ratio(
        "server CPU a payment at 256 connections: at most 1.6 x the no-op's",
        _server_us,
        functools.partial(noop.cpu_us_at, 256),
        1.6,
        " us",
    ),
    at_most("PostgreSQL CPU a payment at 256 connections: at most 40 us", _postgres_us, 40, " us"),
    Target("every 201 is in the journal, and nothing that was not sent", _truth),
)


def measure(run: Run) -> Figures:
    """Every number of connections in turn, as often as the plan says."""
    plan = run.plan
    found: dict[int, list[Repetition]] = {count: [] for count in plan.connections}
    for _ in range(plan.repetitions):
        for count in plan.connections:
            each = _measure_once(run, count)
            found[count].append(each)
            say(
                f"  {count} connections: {each.load.rate:,.0f}/s, p99 {each.load.p99_ms:.1f} ms, "
                f"CPU {each.server_us:.1f} + {each.postgres_us:.1f} us"
                + ("" if each.is_true else f", but the journal grew by {each.grown}")
            )
    return Figures(
        runs=tuple(
            AtConnections(connections=count, repetitions=tuple(each))
            for count, each in found.items()
        )
    )


def _measure_once(run: Run, connections: int) -> Repetition:
    stage = run.stage
    script = run.payments()
    last_entry = stage.fetch(LAST_ENTRY, stage.tenant_id)[0][0]
    before = stage.cpu()
    load = wrk.measure(
        stage.base_url, script, connections=connections, seconds=run.plan.run_seconds
    )
    used = stage.cpu() - before
    if not load.answered:
        raise MeasurementFailed(f"no payment was answered 201, {load.failed} failed")
    return Repetition(
        load=load,
        grown=_settled_count(stage, last_entry),
        server_us=used.server / load.answered * 1e6,
        postgres_us=used.postgres / load.answered * 1e6,
    )


def _settled_count(stage: Stage, last_entry: object) -> int:
    """Payments after `last_entry`, once what was under way when wrk hung up is through.

    Identifiers sort in posting order and nothing else is posting, so the range is the run's.
    """
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    count = -1
    while time.monotonic() < deadline:
        time.sleep(SETTLED_SECONDS)
        counted = int(stage.fetch(COUNT_NEW, stage.tenant_id, last_entry)[0][0])
        if counted == count:
            return count
        count = counted
    raise MeasurementFailed("the journal goes on growing although nobody sends payments")


def details(figures: Figures) -> list[str]:
    """Lines of Markdown."""
    lines = [
        "![Throughput over connections](plots/throughput.png)",
        "",
        "| connections | payments/s | spread | p50 ms | p99 ms | p99.9 ms "
        "| server CPU us | PostgreSQL CPU us | refused |",
        "|---:|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for at in figures.runs:
        loads = [each.load for each in at.repetitions]
        cells = (
            f"{at.connections}",
            f"{at.rate:,.0f}",
            spread([load.rate for load in loads]),
            shown_number(median([load.p50_ms for load in loads])),
            shown_number(median([load.p99_ms for load in loads])),
            shown_number(median([load.p999_ms for load in loads])),
            shown_number(median([each.server_us for each in at.repetitions])),
            shown_number(median([each.postgres_us for each in at.repetitions])),
            f"{sum(load.failed for load in loads):,}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines
