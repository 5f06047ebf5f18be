"""PostgreSQL's own benchmark: `pgbench -M prepared -c 32 -j 2`, the TPC-B-like script.

On a database of its own in the PostgreSQL that serves HPTS, filled anew by `pgbench -i`, before
and after the other measurements. The mean of both is what HPTS is compared with.
"""

import os
import re
from pathlib import Path

import msgspec

from bench.report.programs import MeasurementFailed, run_program, say, tail_of
from bench.report.results import Results
from bench.report.run import Run
from bench.report.stage import libpq_environment
from hpts.postgres_binaries import find_binaries

NAME = "tpcb"
TITLE = "PostgreSQL alone: TPC-B"
DATABASE = "tpcb"
CLIENTS, THREADS = 32, 2
INITIALISE_SECONDS_MAX = 300.0
SLACK_SECONDS = 60.0
TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
FAILED = re.compile(r"^number of failed transactions: ([0-9]+)", re.MULTILINE)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Transactions a second of each run, first to last."""

    tps: tuple[float, ...]
    scale: int
    seconds: float

    @property
    def mean(self) -> float:
        return sum(self.tps) / len(self.tps)


TARGETS = ()


def mean_tps(results: Results) -> float:
    """What payments are compared with. Raises MeasurementFailed."""
    return results.get(NAME, Figures).mean


def measure(run: Run) -> Figures:
    """One run of pgbench, added to the one before it in the same report."""
    earlier = run.earlier(NAME, Figures)
    tps = _run_pgbench(run)
    say(f"  {tps:,.0f} transactions/s")
    return Figures(
        tps=(*(earlier.tps if earlier else ()), tps),
        scale=run.plan.tpcb_scale,
        seconds=run.plan.tpcb_seconds,
    )


def _run_pgbench(run: Run) -> float:
    stage, plan = run.stage, run.plan
    program = find_pgbench(stage.folder)
    environment = libpq_environment(stage.recreate_database(DATABASE))
    try:
        run_program(
            [program, "-i", "-q", "-s", str(plan.tpcb_scale)],
            seconds_max=INITIALISE_SECONDS_MAX,
            environment=environment,
        )
        output = run_program(
            [
                *(program, "-M", "prepared", "-c", str(CLIENTS), "-j", str(THREADS)),
                *("-T", f"{plan.tpcb_seconds:.0f}"),
            ],
            seconds_max=plan.tpcb_seconds + SLACK_SECONDS,
            environment=environment,
        )
    finally:
        stage.drop_database(DATABASE)
    return parse_output(output)


def find_pgbench(state_dir: Path) -> str:
    """The pgbench beside the PostgreSQL in use, else the one on the path."""
    chosen = os.environ.get("HPTS_PG_BIN")
    beside = find_binaries(Path(chosen) if chosen else None, state_dir / "postgres") / "pgbench"
    return str(beside) if beside.exists() else "pgbench"


def parse_output(output: str) -> float:
    """Transactions a second, connecting left out. Raises MeasurementFailed."""
    found, failed = TPS.search(output), FAILED.search(output)
    if found is None or (failed and int(failed[1])):
        raise MeasurementFailed(f"pgbench: {tail_of(output)}")
    return float(found[1])


def details(figures: Figures) -> list[str]:
    """Lines of Markdown."""
    runs = " and ".join(f"{tps:,.0f}" for tps in figures.tps)
    return [
        f"Scale {figures.scale}, {figures.seconds:.0f} s a run: {runs} transactions/s before and "
        f"after, **{figures.mean:,.0f}** in the mean."
    ]
