"""Lines a second of `hpts verify` over all that was posted so far: mostly payments of two lines,
the most headers a line.

In the report's own process, the server idle: the whole ledger of the tenant, every hash, root,
total and loan.
"""

import msgspec

from bench.report.figures import at_least, median, shown_number
from bench.report.programs import MeasurementFailed, say
from bench.report.run import Run
from hpts.store.verify import verify_tenant

NAME = "verification"
TITLE = "Verification"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """`seconds` of each repetition over the same ledger."""

    lines: int
    seconds: tuple[float, ...]

    @property
    def lines_per_second(self) -> float:
        return self.lines / median(self.seconds)


TARGETS = (
    at_least(
        "hpts verify: at least 200,000 lines/s",
        lambda results: results.get(NAME, Figures).lines_per_second,
        200_000,
        "/s",
    ),
)


def measure(run: Run) -> Figures:
    """Raises MeasurementFailed where the books are not sound."""
    stage = run.stage
    stage.maintain()
    seconds = []
    lines = 0
    for _ in range(run.plan.repetitions):
        verified = verify_tenant(stage.database_url, stage.tenant_id)
        if verified.findings:
            raise MeasurementFailed(f"the books are not sound: {verified.findings[0]}")
        lines = verified.counts["lines"]
        seconds.append(verified.seconds)
        say(f"  {lines:,} lines: {lines / verified.seconds:,.0f} lines/s")
    return Figures(lines=lines, seconds=tuple(seconds))


def details(figures: Figures) -> list[str]:
    """Lines of Markdown."""
    return [
        f"{figures.lines:,} lines in {shown_number(median(figures.seconds))} s: "
        f"**{figures.lines_per_second:,.0f} lines/s**."
    ]
