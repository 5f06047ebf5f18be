"""What a report was made on and with: machine, disk, versions, settings. No names of its owner."""

import os
import platform
import re
import statistics
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from psycopg import pq

from bench.report.plan import Plan
from bench.report.programs import MeasurementFailed, run_program
from bench.report.stage import WORKERS, Stage

SYNC_COUNT = 300
SYNC_BYTES = 8_192
"""A page of PostgreSQL's log."""
PACKAGES = ("granian", "uvloop", "psycopg", "msgspec")
SETTINGS = (
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_compression",
    "wal_init_zero",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "max_connections",
)
SHORT_SECONDS_MAX = 20.0

Facts = tuple[tuple[str, str], ...]


def describe_machine(folder: Path) -> Facts:
    """Processor, memory, kernel, and how long the disk of `folder` takes to make a page durable."""
    middle_ms, late_ms = measure_sync(folder)
    return (
        ("processor", _processor()),
        ("cores", str(os.cpu_count())),
        ("memory", f"{_memory_gb():.0f} GB"),
        ("kernel", f"Linux {_numbers(platform.release())}"),
        (
            "disk",
            f"write of 8 kB and fdatasync: median {middle_ms:.2f} ms, p99 {late_ms:.2f} ms",
        ),
    )


def describe_versions(stage: Stage) -> Facts:
    """Versions of everything that takes part, and the revision measured."""
    server = stage.fetch("SHOW server_version")[0][0]
    libpq = pq.version()
    packages = tuple((name, version(name)) for name in PACKAGES)
    return (
        ("hpts", f"{version('hpts')}, revision {_revision()}"),
        ("Python", platform.python_version()),
        ("PostgreSQL", _numbers(server)),
        ("libpq", f"{libpq // 10_000}.{libpq % 10_000}"),
        *packages,
        ("wrk", _version_of("wrk", "-v")),
        ("pgbench", _version_of("pgbench", "--version")),
    )


def describe_settings(stage: Stage, plan: Plan) -> Facts:
    """What can be set and matters."""
    rows = stage.fetch(
        "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)", list(SETTINGS)
    )
    found = dict(rows)
    return (
        ("server", f"`hpts dev`, {WORKERS} workers, defaults, request log to a file"),
        ("client and server", "on the same machine, HTTP/1.1 over the loopback"),
        ("ledger", f"{plan.loan_count:,} loans of one tenant"),
        ("PostgreSQL", ", ".join(f"{name} {found[name]}" for name in SETTINGS)),
    )


def measure_sync(folder: Path) -> tuple[float, float]:
    """(median, p99) in milliseconds of writing a page over and over to a file and fdatasync."""
    page = os.urandom(SYNC_BYTES)
    taken = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(SYNC_COUNT):
            started_at = time.perf_counter()
            os.write(file.fileno(), page)
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - started_at) * 1e3)
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]


def _processor() -> str:
    found = re.search(r"(?m)^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _memory_gb() -> float:
    found = re.search(r"(?m)^MemTotal:\s*([0-9]+) kB$", Path("/proc/meminfo").read_text())
    return int(found[1]) * 1024 / 1e9 if found else 0.0


def _numbers(text: str) -> str:
    """A version without what a distributor or an owner has added to it."""
    found = re.match(r"[0-9]+(?:\.[0-9]+)*", text)
    return found[0] if found else text


def _version_of(program: str, option: str) -> str:
    try:
        finished = subprocess.run(
            [program, option], capture_output=True, timeout=SHORT_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "not here"
    # wrk says its version and exits 1.
    found = re.search(r"[0-9]+(?:\.[0-9]+)+", finished.stdout.decode(errors="replace"))
    return found[0] if found else "unknown"


def _revision() -> str:
    """The commit of the tree, and whether its sources differ from it."""
    try:
        commit = run_program(
            ["git", "rev-parse", "--short=10", "HEAD"], seconds_max=SHORT_SECONDS_MAX
        ).strip()
        changes = run_program(
            ["git", "status", "--porcelain", "--", "src", "migrations"],
            seconds_max=SHORT_SECONDS_MAX,
        )
    except MeasurementFailed:
        return "unknown (no git here)"
    return f"{commit} with changes" if changes.strip() else commit
