"""Runs the programs that the report is made with, each bounded in time and ended by its handle."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
STOP_SECONDS_MAX = 60.0
"""Longer than `hpts dev` gives its workers and PostgreSQL together."""
TAIL_CHARACTERS_MAX = 600


class MeasurementFailed(Exception):
    """Something could not be measured; the message says why, for the report."""


def run_program(
    command: Sequence[str | Path],
    *,
    seconds_max: float,
    environment: Mapping[str, str] | None = None,
    output: Path | None = None,
) -> str:
    """Standard output of a program that must succeed; to the file `output` where one is given."""
    name = Path(command[0]).name
    try:
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(output.open("wb")) if output else subprocess.PIPE
            finished = subprocess.run(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                timeout=seconds_max,
                env=environment_without_settings(environment or {}),
                cwd=ROOT,
                check=False,
            )
    except FileNotFoundError as error:
        raise MeasurementFailed(f"the program {name} is not here") from error
    except subprocess.TimeoutExpired as error:
        raise MeasurementFailed(f"{name} took over {seconds_max:.0f} s") from error
    if finished.returncode != 0:
        raise MeasurementFailed(f"{name} failed: {tail_of(finished.stderr or finished.stdout)}")
    return (finished.stdout or b"").decode(errors="replace")


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that goes on beside us, ended at the exit; its standard output is a pipe.

    Standard error goes to the file `log`, or into the same pipe.

    It has a process group of its own: Ctrl-C reaches us alone, and we end things in order. But
    no session of its own: Linux shares the cores between sessions first (sched_autogroup), and
    a load generator that gets half of them by that alone makes a no-op cost 57 us instead of 23.
    """
    with contextlib.ExitStack() as stack:
        # Appending, so that the log may be cut while the program goes on writing to it.
        error = stack.enter_context(log.open("ab")) if log else subprocess.STDOUT
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=error,
            env=environment_without_settings(environment or {}),
            cwd=ROOT,
            process_group=0,
        )
        stack.callback(_end, process)
        yield process


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        # What it left behind in its session, workers of a killed server for instance.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdout is not None:
            process.stdout.close()


def environment_without_settings(more: Mapping[str, str]) -> dict[str, str]:
    """This process's environment and `more`, without the settings of an `hpts` of the caller's.

    HPTS_PG_BIN stays: it says which PostgreSQL to measure with.
    """
    dropped = ("HPTS_", "PG", "DJANGO_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(dropped) or name == "HPTS_PG_BIN"
    }
    return kept | dict(more)


def tail_of(text: bytes | str) -> str:
    """The end of a program's output as one line of a report, without this machine's paths."""
    shown = text.decode(errors="replace") if isinstance(text, bytes) else text
    return without_paths(" ".join(shown.split())[-TAIL_CHARACTERS_MAX:]) or "it said nothing"


def without_paths(text: str) -> str:
    """`text` with every absolute path of a file cut down to its last name."""
    return re.sub(r"(?<![\w:/.])(?!/v1/)(?:/[\w.@+~-]+)+/([\w.@+~-]+)", r"\1", text)


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)
