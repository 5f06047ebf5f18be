"""django-hordak, a Python double-entry library, on the same PostgreSQL: transactions a second.

In process, without HTTP: a Transaction with two Legs inside transaction.atomic, in a loop, from 1
and from 4 processes; its own migrations, its balance trigger on. A database of its own and a
virtual environment of its own, installed when it is missing (which needs a network).
"""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from bench.report.programs import ROOT, MeasurementFailed, run_program, running, say, tail_of
from bench.report.run import Run
from bench.report.stage import libpq_environment

NAME = "hordak"
TITLE = "django-hordak, for comparison"
DATABASE = "hordak"
PROCESSES = (1, 4)
PACKAGES = ("django>=5.0,<5.1", "django-hordak==2.0.0", "psycopg[binary]>=3.1")
"""The newest Django that this release of hordak says it is tested with."""
POSTER = ROOT / "bench" / "report" / "hordak_poster.py"
MIGRATE_SECONDS_MAX = 180.0
START_SECONDS = 4.0
SLACK_SECONDS = 60.0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """`counts` has the transactions of all processes together, by the number of processes."""

    versions: str
    seconds: float
    counts: dict[int, int]

    def rate(self, processes: int) -> float:
        return self.counts[processes] / self.seconds


TARGETS = ()


def measure(run: Run) -> Figures:
    """One process, then four at once."""
    python = _install(run.folder / "hordak", run.plan.install_seconds_max)
    environment = libpq_environment(run.stage.recreate_database(DATABASE))
    try:
        versions = run_program(
            [python, POSTER, "prepare"], seconds_max=MIGRATE_SECONDS_MAX, environment=environment
        )
        counts = {}
        for processes in PROCESSES:
            counts[processes] = _post(python, environment, processes, run.plan.hordak_seconds)
            rate = counts[processes] / run.plan.hordak_seconds
            say(f"  {processes} processes: {rate:,.0f} transactions/s")
    finally:
        run.stage.drop_database(DATABASE)
    return Figures(versions=versions.strip(), seconds=run.plan.hordak_seconds, counts=counts)


def _install(folder: Path, seconds_max: float) -> Path:
    """The Python of a virtual environment with hordak; kept for the next report."""
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        say("  installing django-hordak into an environment of its own")
        run_program([sys.executable, "-m", "venv", "--clear", folder], seconds_max=seconds_max)
        run_program(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
            seconds_max=seconds_max,
        )
        complete.touch()
    return python


def _post(python: Path, environment: dict[str, str], processes: int, seconds: float) -> int:
    """Transactions that so many processes post within the same seconds."""
    start_at = time.time() + START_SECONDS
    command = [str(python), str(POSTER), "post", f"{start_at:.3f}", f"{seconds:g}"]
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(running(command, environment=environment)) for _ in range(processes)
        ]
        return sum(_count_of(process, seconds) for process in started)


def _count_of(process: subprocess.Popen[bytes], seconds: float) -> int:
    try:
        output, _ = process.communicate(timeout=START_SECONDS + seconds + SLACK_SECONDS)
        return int(json.loads(output.splitlines()[-1])["transactions"])
    except (subprocess.TimeoutExpired, IndexError, ValueError, KeyError) as error:
        said = tail_of(output) if not isinstance(error, subprocess.TimeoutExpired) else "no end"
        raise MeasurementFailed(f"django-hordak: {said}") from error


def details(figures: Figures) -> list[str]:
    """Lines of Markdown."""
    lines = [
        f"{figures.versions}; two legs a transaction, {figures.seconds:.0f} s each.",
        "",
        "| processes | transactions/s |",
        "|---:|---:|",
    ]
    lines += [f"| {count} | {figures.rate(count):,.0f} |" for count in figures.counts]
    return lines
