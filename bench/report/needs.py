"""What a run needs and this machine lacks, asked before it begins: the measurements would fail one
after the other, the last of them after three quarters of an hour.
"""

import shutil
from collections.abc import Collection
from pathlib import Path

from bench.report.measurements import ledger_size, memory, tpcb
from bench.report.plan import Plan
from hpts.postgres_binaries import EmbeddedError

FILLS_THE_DISK = {memory.NAME, ledger_size.NAME}


def find_lacking(names: Collection[str], plan: Plan, folder: Path) -> list[str]:
    """A sentence for each thing that is missing, with what to do about it."""
    found = []
    if shutil.which("wrk") is None:
        found.append("wrk is not installed, which sends the load: apt-get install wrk")
    if tpcb.NAME in names:
        found += _lacking_pgbench(folder)
    free_gb = shutil.disk_usage(folder).free / 1e9
    if FILLS_THE_DISK & set(names) and free_gb < plan.disk_gb:
        found.append(
            f"{folder} has {free_gb:.0f} GB free, and this takes {plan.disk_gb:.0f}: make room, "
            "choose another folder with --out (make: OUT=), or leave out "
            f"{' and '.join(sorted(FILLS_THE_DISK))} with --only (make: ONLY=)"
        )
    return found


def _lacking_pgbench(folder: Path) -> list[str]:
    try:
        program = tpcb.find_pgbench(folder)
    except EmbeddedError as error:
        return [str(error)]
    if shutil.which(program) is not None:
        return []
    return [
        "pgbench is not installed, which measures PostgreSQL alone: apt-get install postgresql, "
        "or name its folder in HPTS_PG_BIN"
    ]
