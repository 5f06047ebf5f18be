"""Adapter of loadtest/open_loop.py: requests at a fixed rate, timed from when each was due.

Unlike wrk it does not wait for an answer before it sends the next request, so that a server that
stalls is charged with everything that would have come meanwhile.
"""

import json
import subprocess
import sys
from pathlib import Path

import msgspec

from bench.report.programs import MeasurementFailed, running, tail_of

WARM_UP_SECONDS = 2.0
SLACK_SECONDS = 60.0


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """What one open-loop run saw; times are milliseconds from when a request was due."""

    rate: float
    achieved: float
    failed: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    generator_late_ms: float
    """How late the generator itself was at the 99th percentile: the figures' own error."""


def measure(
    base_url: str,
    token: str,
    loans: Path,
    *,
    rate: float,
    seconds: float,
    connections: int = 64,
    reads: bool = False,
) -> Arrivals:
    """Run the generator to its end. Raises MeasurementFailed.

    Payments on the loans of a file; or, for `reads`, GET of the paths in it (see `read_lines`).
    """
    command = [
        *(sys.executable, "-m", "loadtest.open_loop", base_url, token, loans),
        *("--rate", f"{rate:.2f}", "--seconds", f"{seconds:g}"),
        *("--connections", str(connections), "--warm-up", f"{WARM_UP_SECONDS:g}"),
        *(("--method", "GET", "--path", "{loan_id}") if reads else ()),
    ]
    with running([str(part) for part in command]) as process:
        try:
            output, _ = process.communicate(timeout=seconds + WARM_UP_SECONDS + SLACK_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise MeasurementFailed("the open-loop generator did not end in time") from error
    return parse_output(output.decode(errors="replace"))


def read_lines(paths: list[str]) -> list[str]:
    """Lines of a file for `reads`: each path stands where the generator looks for a loan."""
    return [f"{path} -" for path in paths]


def parse_output(output: str) -> Arrivals:
    """The figures of the JSON object that the generator printed. Raises MeasurementFailed."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    try:
        found = json.loads(lines[-1])
        return Arrivals(
            rate=found["offered_per_second"],
            achieved=found["achieved_per_second"],
            failed=sum(found["errors"].values()),
            p50_ms=_time(found["p50_ms"]),
            p99_ms=_time(found["p99_ms"]),
            p999_ms=_time(found["p999_ms"]),
            max_ms=_time(found["max_ms"]),
            generator_late_ms=_time(found["generator_lateness_p99_ms"]),
        )
    except (IndexError, KeyError, ValueError) as error:
        raise MeasurementFailed(f"the open-loop generator: {tail_of(output)}") from error


def _time(found: float | None) -> float:
    if found is None:
        raise MeasurementFailed("the open-loop generator got no answer at all")
    return float(found)
