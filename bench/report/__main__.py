"""The command line: `python -m bench.report`, which `make perf-report` calls.

Exit status 0 when everything asked for was measured, targets met or not; 1 when something could
not be measured; 2 for arguments that cannot be used.
"""

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import msgspec

from bench.report.figures import Verdict
from bench.report.machine import describe_machine, describe_settings, describe_versions
from bench.report.measurements import MEASUREMENTS, ORDER
from bench.report.plan import FULL, QUICK
from bench.report.plots import draw_all
from bench.report.programs import ROOT, MeasurementFailed, say, without_paths
from bench.report.render import judge_all, write_report
from bench.report.results import Environment, Record, Results, now_utc
from bench.report.run import Run

PUBLISHED = ROOT / "bench"
INTERRUPTED = 130
BY_NAME = {measurement.NAME: measurement for measurement in MEASUREMENTS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and write the report."""
    chosen = _parse(arguments)
    folder = chosen.out / "quick" if chosen.quick else chosen.out
    folder.mkdir(parents=True, exist_ok=True)
    results = Results(folder.resolve())
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        failed = [] if chosen.render_only else _measure(results, chosen.only, chosen.quick)
    except KeyboardInterrupt:
        say("interrupted; what was measured is kept")
        return INTERRUPTED
    destination = _destination(results, chosen)
    write_report(results, destination)
    draw_all(results, destination)
    _say_verdicts(results, chosen.only)
    say(f"wrote {destination / 'RESULTS.md'}")
    return 1 if failed else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.report",
        description="Measures HPTS and its yardsticks in one run and writes bench/RESULTS.md.",
        epilog=f"Measurements: {', '.join(BY_NAME)}. With --only or --quick the report is "
        "written to the output folder instead. A full run takes about 40 minutes and 20 GB of "
        "disk there; let nothing else run beside it.",
    )
    parser.add_argument("--only", type=_names, default=(), metavar="NAME,NAME", help="only these")
    parser.add_argument("--quick", action="store_true", help="seconds a measurement, smaller")
    parser.add_argument("--render-only", action="store_true", help="from the results of before")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build" / "perf-report", help="raw results, work files"
    )
    return parser.parse_args(arguments)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name for name in text.split(",") if name)
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"{', '.join(unknown)}: not a measurement; they are {', '.join(BY_NAME)}"
        )
    return names


def _measure(results: Results, only: tuple[str, ...], is_quick: bool) -> list[str]:
    """Make the measurements in their order; the names of those that failed."""
    failed = []
    with Run(results.folder, QUICK if is_quick else FULL, results) as run:
        order = [name for name in ORDER if not only or name in only]
        started_at = now_utc()
        for position, name in enumerate(order, start=1):
            say(f"[{position}/{len(order)}] {name}")
            if not _measure_one(run, name):
                failed.append(name)
            if position == 1:
                _keep_environment(run, started_at)
    environment = results.environment()
    if environment is not None and environment.run_id == run.run_id:
        # Only now that the servers have ended is their log complete.
        results.keep_environment(
            msgspec.structs.replace(environment, notable=tuple(map(without_paths, run.notable)))
        )
    return failed


def _measure_one(run: Run, name: str) -> bool:
    """Whether it could be measured; its figures or the reason are kept."""
    started_at, measured_at = time.monotonic(), now_utc()
    error, figures = None, None
    try:
        figures = BY_NAME[name].measure(run)
    except MeasurementFailed as failure:
        error = str(failure)
    except Exception as failure:  # one that fails must not take the others with it
        traceback.print_exc()
        error = f"{type(failure).__name__}: {failure}"
    if error is not None:
        error = without_paths(" ".join(error.split()))
        say(f"  could not be measured: {error}")
    run.results.keep(
        Record(
            name=name,
            run_id=run.run_id,
            measured_at=measured_at,
            seconds=round(time.monotonic() - started_at, 1),
            is_quick=run.plan.is_quick,
            error=error,
            figures=msgspec.Raw(msgspec.json.encode(figures)),
        )
    )
    return error is None


def _keep_environment(run: Run, started_at: str) -> None:
    """After the first measurement, which has started what is described."""
    try:
        run.results.keep_environment(
            Environment(
                run_id=run.run_id,
                measured_at=started_at,
                is_quick=run.plan.is_quick,
                machine=describe_machine(run.folder),
                versions=describe_versions(run.stage),
                settings=describe_settings(run.stage, run.plan),
            )
        )
    except Exception:  # the figures are worth more than their description
        traceback.print_exc()


def _destination(results: Results, chosen: argparse.Namespace) -> Path:
    """bench/ for whole reports at full length, else the output folder."""
    environment = results.environment()
    is_quick = chosen.quick or environment is None or environment.is_quick
    is_part = bool(chosen.only) and not chosen.render_only
    return results.folder if is_quick or is_part else PUBLISHED


def _say_verdicts(results: Results, only: tuple[str, ...]) -> None:
    shown = [each for each in MEASUREMENTS if not only or each.NAME in only]
    for target, judgement in judge_all(results, shown):
        mark = {Verdict.MET: "met", Verdict.NOT_MET: "NOT MET"}.get(judgement.verdict, "?")
        say(f"{mark:>8}  {target.title}: {judgement.figure} {judgement.ratio}".rstrip())


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM ends a run as Ctrl-C does: in order."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
