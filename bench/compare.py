"""Runs this tree's benchmarks on two builds in turn, a base revision's and this tree's own.

Both are built in the same way in temporary folders, each with its own kernel, and measured on this
machine within the same minutes: base, this tree, base, this tree. `python -m bench.compare --help`.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from bench.slowdown import SLOWDOWN_MAX, any_slower, pair_runs, render_table

ROOT = Path(__file__).resolve().parents[1]
ROUNDS_MIN, ROUNDS_MAX = 2, 20
GIT_SECONDS_MAX = 60
BUILD_SECONDS_MAX = 300
RUN_SECONDS_MAX = 900
STOP_SECONDS_MAX = 40
"""Longer than a test run takes to stop the PostgreSQL that it started."""
TAIL_LINES = 25
BASE = "base"
NOTHING_SELECTED = 5  # pytest's exit status
DROPPED = ("HPTS_", "PYTEST_", "PYTHON")
"""Variables that could make one side differ from what its revision says."""

EPILOG = f"""\
exit status: 0 nothing is slower; 1 a benchmark is slower, by more than {SLOWDOWN_MAX:.0%} between
the medians of the runs and with ranges that do not overlap; 2 nothing could be compared.

verdicts: same is within {SLOWDOWN_MAX:.0%}; unclear is beyond it with overlapping ranges, so ask
for more rounds or a quieter machine; new is a benchmark that the base cannot run.

examples:
  make bench-compare BASE=main
  python -m bench.compare HEAD~1 --only "encoding or netting" --rounds 6
  python -m bench.compare v0.1.0 --statistic median     # on a machine that nobody else uses

The benchmarks are those of this tree, uncommitted changes included, and so are the installed
dependencies, for both sides. A base so old that they do not run on it runs its own instead,
and those of the same name are compared. A round takes about a minute; a run of a side is given up
after {RUN_SECONDS_MAX // 60} minutes. Nothing is left behind, also after Ctrl-C."""


class CannotCompare(Exception):
    """What stands in the way, and what to do about it."""


class Side(NamedTuple):
    """A built tree; its package is imported from `folder`/src and from nowhere else."""

    title: str
    folder: Path


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # a background job starts with SIGINT ignored
        signal.signal(number, _interrupt)
    try:
        base, here = measure_sides(options)
    except (CannotCompare, OSError) as error:  # an OSError: a temporary folder without room
        print(f"bench-compare: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("stopped before the end; the temporary folders are removed")
        return 130
    comparisons = pair_runs(base, here)
    print(render_table(comparisons))
    return 1 if any_slower(comparisons) else 0


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare",
        description="Compares the benchmarks of a base revision with those of this tree.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("base", metavar="BASE", help="a revision of this checkout, as git names it")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="runs a side (4)")
    parser.add_argument("--only", metavar="EXPR", help="benchmarks to run, as pytest -k takes them")
    parser.add_argument(
        "--statistic",
        choices=("median", "min"),
        default="min",
        help="what stands for a run: its minimum, which notices least of a busy machine, or its "
        "median, which notices what happens now and then too (min)",
    )
    options = parser.parse_args(arguments)
    if not ROUNDS_MIN <= options.rounds <= ROUNDS_MAX:
        parser.error(f"--rounds must be from {ROUNDS_MIN} to {ROUNDS_MAX}: a range needs two runs")
    return options


Times = dict[str, float]
"""Seconds by benchmark, of one run."""
Runs = list[Times]
Measure = Callable[[Side, Side, int], Times]
"""Runs the benchmarks of the second side on the package of the first, in a numbered round."""


def measure_sides(options: argparse.Namespace) -> tuple[Runs, Runs]:
    """The times of both sides by benchmark, run by run. Raises CannotCompare."""
    commit = find_commit(options.base)
    with checked_out(commit) as folder:
        # Names of one length, so that no path is longer on one side than on the other.
        base, here = Side(BASE, folder / "base"), Side("this tree", folder / "here")
        say(f"building the kernel of {options.base} ({commit[:10]})")
        build(base)
        say("building the kernel of this tree")
        copy_tree(here.folder)
        build(here)
        say(f"measuring both in turn, {options.rounds} rounds")
        return take_turns(base, here, options.rounds, partial(measure, options=options))


def take_turns(base: Side, here: Side, rounds: int, measure: Measure) -> tuple[Runs, Runs]:
    """Both sides' runs, each with this tree's benchmarks, or with the base's own on a base on which
    this tree's do not run: too old, it lacks what they import."""
    times: dict[Side, Runs] = {base: [], here: []}
    benchmarks = {base: here, here: here}
    for number in range(1, rounds + 1):
        for side in (base, here):
            started_at = time.monotonic()
            found = measure(side, benchmarks[side], number)
            if not found and number == 1 and side is base:
                say("this tree's benchmarks do not run on the base, so it runs its own")
                benchmarks[base] = base
                found = measure(base, base, number)
            times[side].append(found)
            took = f"{len(found)} benchmarks in {time.monotonic() - started_at:.0f} s"
            say(f"round {number} of {rounds}, {side.title}: {took}")
    if not any(times[base]):
        say("the base runs none of these benchmarks, so there is nothing to compare")
    return times[base], times[here]


def find_commit(revision: str) -> str:
    top = git("rev-parse", "--show-toplevel")
    if top.returncode or Path(top.stdout.strip()).resolve() != ROOT:
        raise CannotCompare(f"{ROOT} is not the top of a git checkout; run it in a clone")
    found = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found.returncode:
        raise CannotCompare(
            f"no revision {revision!r} here; choose one that `git log --oneline` shows, "
            "or fetch it first"
        )
    return found.stdout.strip()


@contextlib.contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A temporary folder with the commit's worktree in its `base`, gone whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="hpts-compare-"))
    try:
        added = git("worktree", "add", "--quiet", "--detach", str(folder / "base"), commit)
        if added.returncode:
            raise CannotCompare(f"git could not check out {commit}:\n{added.stderr}")
        yield folder
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # an impatient second Ctrl-C
        # Forced twice: a checkout that was itself interrupted is locked.
        git("worktree", "remove", "--force", "--force", str(folder / "base"))
        shutil.rmtree(folder, ignore_errors=True)
        git("worktree", "prune")


def copy_tree(folder: Path) -> None:
    """This tree as it stands, uncommitted changes included, so that nobody who edits it during the
    run changes what is measured."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():  # a file deleted but not yet committed is listed too
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def build(side: Side) -> None:
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    log = side.folder.with_suffix(".build")
    status = run(command, side.folder, clean_environment(), log, BUILD_SECONDS_MAX)
    if status:
        raise CannotCompare(f"the kernel of the {side.title} does not build:\n{tail(log)}")


def measure(side: Side, benchmarks: Side, number: int, *, options: argparse.Namespace) -> Times:
    """One run (see Measure)."""
    result, log = side.folder.with_suffix(".json"), side.folder.with_suffix(".log")
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "bench", "-q", "-p", "no:cacheprovider"]
    command += ["--benchmark-enable", "--benchmark-only", "--benchmark-quiet"]
    command += [f"--benchmark-json={result}"]
    # A base that lacks what one benchmark imports still runs the others.
    command += ["--continue-on-collection-errors"]
    command += ["-k", options.only] if options.only else []
    environment = clean_environment(
        PYTHONPATH=str(side.folder / "src"),
        PYTHONHASHSEED=str(number),  # another one each round, the same for both sides
    )
    status = run(command, benchmarks.folder, environment, log, RUN_SECONDS_MAX)
    if status == NOTHING_SELECTED and benchmarks.title != BASE:
        raise CannotCompare(
            f"no benchmark matches --only {options.only!r}; `pytest bench --collect-only -q` lists "
            "their names"
        )
    if status and side.title != BASE:
        raise CannotCompare(f"a benchmark fails in this tree; mend it first:\n{tail(log)}")
    if status and number == 1:  # said once
        say(f"not all of it runs on the base:\n{tail(log)}")
    return read_times(result, side, options.statistic)


def read_times(result: Path, side: Side, statistic: str) -> Times:
    """Seconds by benchmark of one run. Raises CannotCompare when it measured another package."""
    if not result.exists() or not result.stat().st_size:
        return {}  # pytest wrote nothing: no benchmark of this tree runs on the base
    saved = json.loads(result.read_text())
    package = side.folder / "src" / "hpts"
    for imported in ("package", "kernel"):
        origin = Path(saved["machine_info"][imported])
        if not origin.is_relative_to(package):
            raise CannotCompare(f"the {side.title} imported {origin}, not what is in {package}")
    return {each["fullname"]: float(each["stats"][statistic]) for each in saved["benchmarks"]}


def run(
    command: Sequence[str], folder: Path, environment: dict[str, str], log: Path, seconds_max: int
) -> int:
    """The exit status of a command, which never outlives this process's interest in it."""
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches this process alone, which then stops the other.
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(seconds_max)
        except subprocess.TimeoutExpired:
            raise CannotCompare(
                f"given up after {seconds_max} s; choose fewer with --only:\n{tail(log)}"
            ) from None
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Let it end in order, which takes its PostgreSQL along; then by force."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS_MAX,
            check=False,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise CannotCompare("git is not installed, which fetches the base's files") from None


def clean_environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    return kept | variables


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])


def say(text: str) -> None:
    """Progress, beside the table that goes to standard output."""
    print(text, file=sys.stderr, flush=True)


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
