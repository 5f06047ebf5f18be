"""Whether a tenant at full speed is felt by a quiet one.

Payments of a quiet tenant, 20 a second at a fixed rate (open loop, timed from when each was due),
alone, then while 256 closed-loop connections pay on the loans of another tenant.
"""

import msgspec

from bench.report import open_loop as generator
from bench.report import wrk
from bench.report.figures import at_most_ratio, shown_number, unless_refused
from bench.report.programs import MeasurementFailed, say
from bench.report.results import Results
from bench.report.run import Run

NAME = "quiet_tenant"
TITLE = "A quiet tenant beside a busy one"
BUSY_CONNECTIONS, QUIET_CONNECTIONS = 256, 8
LOANS = 200
START_SECONDS = 2.0
"""The busy tenant is at full speed before the quiet one is measured, and until after it."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    alone: generator.Arrivals
    beside: generator.Arrivals
    busy: wrk.Load


def _alone(results: Results) -> float:
    return results.get(NAME, Figures).alone.p99_ms


def _beside(results: Results) -> float:
    return results.get(NAME, Figures).beside.p99_ms


def _refused(results: Results) -> int:
    found = results.get(NAME, Figures)
    return found.alone.failed + found.beside.failed


TARGETS = (
    unless_refused(
        at_most_ratio(
            "p99 of a quiet tenant beside one at saturation: at most 3 x alone",
            _beside,
            _alone,
            3,
            " ms",
        ),
        _refused,
    ),
)


def measure(run: Run) -> Figures:
    """Alone, then beside the other."""
    stage, plan = run.stage, run.plan
    tenant_id = stage.add_tenant("quiet")
    loans = stage.loans(LOANS, tenant_id=tenant_id)

    def arrive() -> generator.Arrivals:
        return generator.measure(
            stage.base_url,
            stage.token(tenant_id),
            loans,
            rate=plan.quiet_rate,
            seconds=plan.quiet_seconds,
            connections=QUIET_CONNECTIONS,
        )

    alone = arrive()
    say(f"  alone: p99 {alone.p99_ms:.1f} ms")
    seconds = plan.quiet_seconds + generator.WARM_UP_SECONDS + 2 * START_SECONDS
    with wrk.started(
        stage.base_url, run.payments(), connections=BUSY_CONNECTIONS, seconds=seconds
    ) as busy_run:
        beside = arrive()
        if not busy_run.is_running:
            raise MeasurementFailed("the busy tenant ended before the quiet one")
        busy = busy_run.finish()
    say(f"  beside {busy.rate:,.0f} payments/s: p99 {beside.p99_ms:.1f} ms")
    return Figures(alone=alone, beside=beside, busy=busy)


def details(figures: Figures) -> list[str]:
    """Lines of Markdown."""
    lines = ["| quiet tenant | p50 ms | p99 ms | p99.9 ms | failed |", "|---|---:|---:|---:|---:|"]
    beside = f"beside {figures.busy.rate:,.0f} payments/s of another tenant"
    for title, each in (("alone", figures.alone), (beside, figures.beside)):
        times = " | ".join(shown_number(ms) for ms in (each.p50_ms, each.p99_ms, each.p999_ms))
        lines.append(f"| {title} | {times} | {each.failed} |")
    return lines
