"""Whether a tenant at full speed is felt by a quiet one.

Payments of a quiet tenant, 20 a second at a fixed rate (open loop, timed from when each was due),
alone and while 256 closed-loop connections pay on the loans of another tenant, in turns.
"""

import msgspec

from bench.report import open_loop as generator
from bench.report import wrk
from bench.report.figures import at_most_ratio, median, shown_number, unless_refused
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
    """One of each for every turn."""

    alone: tuple[generator.Arrivals, ...]
    beside: tuple[generator.Arrivals, ...]
    busy: tuple[wrk.Load, ...]


def _alone(results: Results) -> float:
    return median([each.p99_ms for each in results.get(NAME, Figures).alone])


def _beside(results: Results) -> float:
    return median([each.p99_ms for each in results.get(NAME, Figures).beside])


def _refused(results: Results) -> int:
    found = results.get(NAME, Figures)
    return sum(each.failed for each in (*found.alone, *found.beside))


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

    alone, beside, busy = [], [], []
    seconds = plan.quiet_seconds + generator.WARM_UP_SECONDS + 2 * START_SECONDS
    for _ in range(plan.repetitions):
        alone.append(arrive())
        say(f"  alone: p99 {alone[-1].p99_ms:.1f} ms")
        with wrk.started(
            stage.base_url, run.payments(), connections=BUSY_CONNECTIONS, seconds=seconds
        ) as busy_run:
            beside.append(arrive())
            if not busy_run.is_running:
                raise MeasurementFailed("the busy tenant ended before the quiet one")
            busy.append(busy_run.finish())
        say(f"  beside {busy[-1].rate:,.0f} payments/s: p99 {beside[-1].p99_ms:.1f} ms")
    return Figures(alone=tuple(alone), beside=tuple(beside), busy=tuple(busy))


def details(figures: Figures) -> list[str]:
    """Lines of Markdown."""
    lines = ["| quiet tenant | p50 ms | p99 ms | p99.9 ms | failed |", "|---|---:|---:|---:|---:|"]
    for alone, beside, busy in zip(figures.alone, figures.beside, figures.busy, strict=True):
        lines.append(_row("alone", alone))
        lines.append(_row(f"beside {busy.rate:,.0f} payments/s of another tenant", beside))
    return lines


def _row(title: str, each: generator.Arrivals) -> str:
    times = " | ".join(shown_number(ms) for ms in (each.p50_ms, each.p99_ms, each.p999_ms))
    return f"| {title} | {times} | {each.failed} |"
