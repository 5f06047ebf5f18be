"""`make soak`: what `make test` does of fuzzing and of faults, for so many seconds in all.

Fuzzing comes first and ends with its last input or after half of the time; the faults have the
rest, a fifth of it those of a standby. What has begun is ended, so it may be some minutes more.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from tests.faults.test_faults import STANDBY_SHARE

Run = Callable[[str, Mapping[str, str]], int]
"""Runs the tests of a path with these environment variables; their exit status."""


def soak(
    seconds: int, inputs: int, run: Run, clock: Callable[[], float] = time.monotonic
) -> list[int]:
    """Both exit statuses. A finding of the first keeps nobody from the second."""
    began = clock()
    bounds = {"FUZZ_INPUTS": str(inputs), "FUZZ_SECONDS": str(max(1, seconds // 2))}
    fuzzed = run("tests/fuzz", bounds)
    left = seconds - (clock() - began)
    faults = max(1, int(left * STANDBY_SHARE / (STANDBY_SHARE + 1)))
    return [fuzzed, run("tests/faults/test_faults.py", {"SOAK_SECONDS": str(faults)})]


def _run(path: str, variables: Mapping[str, str]) -> int:
    command = [sys.executable, "-m", "pytest", path]
    return subprocess.run(command, env=os.environ | dict(variables), check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("seconds", type=int, help="for both together, from 1")
    parser.add_argument("inputs", type=int, help="of the fuzzing, from 1")
    arguments = parser.parse_args()
    if arguments.seconds < 1 or arguments.inputs < 1:
        parser.error("SECONDS and INPUTS are whole numbers from 1")
    return max(soak(arguments.seconds, arguments.inputs, _run))


if __name__ == "__main__":
    sys.exit(main())
