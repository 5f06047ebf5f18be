"""Drives wrk, a closed-loop load generator, with the scripts of loadtest/, and reads its figures.

Every connection has one request under way at any moment. Rates count 2xx answers only.
"""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bench.report.programs import ROOT, MeasurementFailed, running, tail_of

THREADS_MAX = 2
TIMEOUT_SECONDS = 10
"""As long as a posting may wait in the server and more, so that wrk gives nothing up first."""
SLACK_SECONDS = 30.0
MARK = "RESULT "


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of wrk saw. `answered` are 2xx; `failed` is everything else."""

    connections: int
    seconds: float
    answered: int
    failed: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float

    @property
    def rate(self) -> float:
        """2xx answers a second."""
        return self.answered / self.seconds


class Script(NamedTuple):
    """A script of loadtest/ and its arguments."""

    name: str
    arguments: tuple[str, ...]


def payments(token: str, loans: Path, run: str) -> Script:
    """Payments of 1.00 on the loans of a file, under keys that start with `run`."""
    return Script("payments.lua", (token, str(loans), run))


def reads(token: str, paths: Path) -> Script:
    """GET requests of the paths of a file."""
    return Script("reads.lua", (token, str(paths)))


def measure(base_url: str, script: Script, *, connections: int, seconds: float) -> Load:
    """Run wrk to its end. Raises MeasurementFailed."""
    with started(base_url, script, connections=connections, seconds=seconds) as run:
        return run.finish()


class Run:
    """A wrk that is going on."""

    def __init__(self, process: subprocess.Popen[bytes], connections: int, seconds: float) -> None:
        self._process = process
        self._connections = connections
        self._seconds = seconds

    def finish(self) -> Load:
        """Wait for its end and read its figures. Raises MeasurementFailed."""
        try:
            output, _ = self._process.communicate(timeout=self._seconds + SLACK_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise MeasurementFailed("wrk did not end in time") from error
        if self._process.returncode != 0:
            raise MeasurementFailed(f"wrk failed: {tail_of(output)}")
        return parse_output(output.decode(errors="replace"), self._connections)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None


@contextlib.contextmanager
def started(base_url: str, script: Script, *, connections: int, seconds: float) -> Iterator[Run]:
    """wrk going on beside the caller, ended at the exit. Raises MeasurementFailed."""
    command = [
        "wrk",
        f"-t{min(THREADS_MAX, connections)}",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        f"--timeout={TIMEOUT_SECONDS}s",
        f"--script={ROOT / 'loadtest' / script.name}",
        base_url,
        "--",
        *script.arguments,
    ]
    if shutil.which("wrk") is None:
        raise MeasurementFailed("the program wrk is not here")
    with running(command) as process:
        yield Run(process, connections, seconds)


def parse_output(output: str, connections: int) -> Load:
    """The figures in wrk's output. Raises MeasurementFailed when there are none."""
    lines = [line for line in output.splitlines() if line.startswith(MARK)]
    if not lines:
        raise MeasurementFailed(f"wrk printed no result: {tail_of(output)}")
    found: dict[str, Any] = json.loads(lines[-1].removeprefix(MARK))
    broken = sum(
        found[name] for name in ("connect_errors", "read_errors", "write_errors", "timeouts")
    )
    return Load(
        connections=connections,
        seconds=found["duration_us"] / 1e6,
        answered=found["requests"] - found["status_errors"],
        failed=found["status_errors"] + broken,
        p50_ms=found["p50_us"] / 1e3,
        p90_ms=found["p90_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
        p999_ms=found["p999_us"] / 1e3,
        max_ms=found["max_us"] / 1e3,
    )
