"""What a payment costs PostgreSQL, statement by statement, as pg_stat_statements counts it.

Usage: python -m bench.statements [--connections 1,16,256] [--seconds 20] [--loans 20000]
Starts `hpts dev` on an empty database with that extension of PostgreSQL's (Debian has it in the
server's package, others in postgresql-contrib) and drives it with wrk. BEGIN and COMMIT are
missing: the extension counts a prepared one once.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg.conninfo import make_conninfo

from bench.report import wrk
from bench.report.needs import find_lacking
from bench.report.plan import FULL
from bench.report.programs import MeasurementFailed
from bench.report.stage import Stage, staged
from hpts.embedded import EmbeddedPostgres
from hpts.store.statements import WRITER_STATEMENTS, sql

WARM_UP_SECONDS = 3
EXTENSION = "pg_stat_statements"
COUNTED_ONCE = ("begin_writing", "commit")


class Cost(NamedTuple):
    """Of all executions of a statement."""

    name: str
    calls: int
    seconds: float
    buffers: int
    log_records: int
    log_bytes: int


def measure(stage: Stage, loans: Path, connections: int, seconds: float) -> tuple[int, list[Cost]]:
    """The payments answered, and what each statement of theirs took, the most costly first."""
    script = wrk.payments(stage.token(), loans, f"statements-{connections}")
    warm_up = wrk.payments(stage.token(), loans, f"warm-up-{connections}")
    wrk.measure(stage.base_url, warm_up, connections=connections, seconds=WARM_UP_SECONDS)
    stage.fetch(f"SELECT {EXTENSION}_reset()::text")
    load = wrk.measure(stage.base_url, script, connections=connections, seconds=seconds)
    if load.failed:
        raise MeasurementFailed(f"{load.failed} payments were refused")
    if not load.answered:
        raise MeasurementFailed(f"no payment was answered in {seconds:g} s; give it more --seconds")
    names = {sql(name).strip(): name for name in WRITER_STATEMENTS if name not in COUNTED_ONCE}
    rows = stage.fetch(
        "SELECT query, calls, total_exec_time / 1000, shared_blks_hit + shared_blks_read,"
        f" wal_records, wal_bytes::bigint FROM {EXTENSION} ORDER BY total_exec_time DESC"
    )
    found = [Cost(names[row[0].strip()], *row[1:]) for row in rows if row[0].strip() in names]
    return load.answered, found


def shown(connections: int, seconds: float, payments: int, costs: Sequence[Cost]) -> list[str]:
    """A table in Markdown. Raises MeasurementFailed where no batch was counted."""
    batches = max((cost.calls for cost in costs if cost.name == "append_block"), default=0)
    if not batches:
        raise MeasurementFailed(f"{EXTENSION} counted no batch")
    lines = [
        f"{connections} connections: {payments / seconds:,.0f} payments/s, {batches:,} batches of "
        f"{payments / batches:.1f}",
        "",
        "| statement | us a batch | us a payment | buffers | log records | log bytes |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    total = Cost("**all**", batches, *(sum(cost[at] for cost in costs) for at in range(2, 6)))
    for cost in (*costs, total):
        lines.append(
            f"| {cost.name} | {cost.seconds / cost.calls * 1e6:,.0f} "
            f"| {cost.seconds / payments * 1e6:,.1f} | {cost.buffers / payments:.1f} "
            f"| {cost.log_records / payments:.1f} | {cost.log_bytes / payments:,.0f} |"
        )
    return [*lines, ""]


def _load_extension(state: Path) -> None:
    """Have `hpts dev` load it, in every database that it makes. Raises MeasurementFailed."""
    with EmbeddedPostgres(state) as postgres:
        template = make_conninfo(postgres.url, dbname="template1")
        with psycopg.connect(template, autocommit=True) as own:
            known = "SELECT 1 FROM pg_available_extensions WHERE name = %s"
            if own.execute(known, (EXTENSION,)).fetchone() is None:
                raise MeasurementFailed(f"this PostgreSQL lacks {EXTENSION}: install its contrib")
            own.execute(f"CREATE EXTENSION {EXTENSION}")
            own.execute(f"ALTER SYSTEM SET shared_preload_libraries = '{EXTENSION}'")


def _parse() -> argparse.Namespace:
    opening = (__doc__ or "").split("\n", maxsplit=1)[0]
    parser = argparse.ArgumentParser(prog="bench.statements", description=opening)
    told = "numbers of connections, one run each (default: 1,16,256)"
    parser.add_argument("--connections", default="1,16,256", metavar="N,N", help=told)
    told = "of each run (default: 20)"
    parser.add_argument("--seconds", type=float, default=20, metavar="SECONDS", help=told)
    told = "that are paid (default: 20,000)"
    parser.add_argument("--loans", type=int, default=20_000, metavar="N", help=told)
    chosen = parser.parse_args()
    try:
        chosen.connections = [int(part) for part in chosen.connections.split(",")]
    except ValueError:
        parser.error("--connections takes whole numbers, such as 1,16,256")
    if min(chosen.connections) < 1 or chosen.seconds < 1 or chosen.loans < 1:
        parser.error("connections, seconds and loans are at least 1")
    return chosen


def main() -> None:
    chosen = _parse()
    try:
        with tempfile.TemporaryDirectory(prefix="hpts-bench-") as folder:
            for sentence in find_lacking((), FULL, Path(folder)):
                raise MeasurementFailed(sentence)
            with staged(Path(folder), [], _load_extension) as stage:
                loans = stage.loans(chosen.loans)
                stage.maintain()
                for connections in chosen.connections:
                    payments, costs = measure(stage, loans, connections, chosen.seconds)
                    lines = shown(connections, chosen.seconds, payments, costs)
                    print(*lines, sep="\n", flush=True)
    except MeasurementFailed as error:
        raise SystemExit(f"bench.statements: {error}") from error


if __name__ == "__main__":
    main()
