"""The command line: `python -m bench.report`, which `make perf-report` calls.

Exit status 0 when everything asked for was measured, targets met or not; 1 when something could
not be measured; 2 for arguments that cannot be used, or where what a run needs is not here; 130
after Ctrl-C.
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
from bench.report.needs import find_lacking
from bench.report.plan import FULL, QUICK, Plan
from bench.report.plots import draw_all
from bench.report.programs import ROOT, MeasurementFailed, say, without_paths
from bench.report.render import judge_all, write_report
from bench.report.results import Environment, Record, Results, now_utc
from bench.report.run import Run
from bench.report.stolen import StolenTime

PUBLISHED = ROOT / "bench"
UNUSABLE, INTERRUPTED = 2, 130
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BY_NAME = {measurement.NAME: measurement for measurement in MEASUREMENTS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and write the report."""
    chosen = _parse(arguments)
    try:
        return _report(chosen)
    except KeyboardInterrupt:
        say(f"interrupted; what was measured is kept in {chosen.out}")
        return INTERRUPTED
    except OSError as error:
        say(f"perf-report: {error}; make room, or choose another folder with --out (make: OUT=)")
        return UNUSABLE


def _report(chosen: argparse.Namespace) -> int:
    """Raises OSError where results cannot be kept; what was started has ended then."""
    folder = chosen.out / "quick" if chosen.quick else chosen.out
    folder.mkdir(parents=True, exist_ok=True)
    results = Results(folder.resolve())
    plan = QUICK if chosen.quick else FULL
    names = [name for name in ORDER if not chosen.only or name in chosen.only]
    lacking = [] if chosen.render_only else find_lacking(names, plan, results.folder)
    for sentence in lacking:
        say(f"perf-report: {sentence}")
    if lacking:
        return UNUSABLE
    for number in ENDING_SIGNALS:  # a background job starts with SIGINT ignored
        signal.signal(number, _interrupt)
    failed = [] if chosen.render_only else _measure(results, names, plan)
    destination = _destination(results, chosen, failed)
    write_report(results, destination)
    draw_all(results, destination)
    _say_verdicts(results, chosen.only)
    say(f"wrote {destination / 'RESULTS.md'}")
    return 1 if failed else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.report",
        description="Measures HPTS and its yardsticks in one run and writes bench/RESULTS.md.",
        epilog=f"Measurements: {', '.join(BY_NAME)}. With --only or --quick, or where one fails, "
        "the report is written to the output folder instead. A full run takes about 45 minutes and "
        "20 GB of disk there; let nothing else run beside it.",
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


def _measure(results: Results, names: Sequence[str], plan: Plan) -> list[str]:
    """Make the measurements in this order; the names of those that failed."""
    failed = []
    with Run(results.folder, plan, results) as run:
        started_at = now_utc()
        for position, name in enumerate(names, start=1):
            say(f"[{position}/{len(names)}] {name}")
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
    with StolenTime() as stolen:
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
            stolen_seconds=round(stolen.seconds, 1),
            stolen_share=round(stolen.worst_share, 2),
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


def _destination(results: Results, chosen: argparse.Namespace, failed: Sequence[str]) -> Path:
    """bench/ for whole reports at full length, else the output folder: what is published there is
    not lost to a run that failed."""
    environment = results.environment()
    is_quick = chosen.quick or environment is None or environment.is_quick
    is_part = bool(chosen.only) and not chosen.render_only
    if failed and not (is_quick or is_part):
        say(
            f"{', '.join(dict.fromkeys(failed))} could not be measured, so bench/RESULTS.md stays "
            "as it was; to publish this all the same: python -m bench.report --render-only"
        )
    return results.folder if is_quick or is_part or failed else PUBLISHED


def _say_verdicts(results: Results, only: tuple[str, ...]) -> None:
    shown = [each for each in MEASUREMENTS if not only or each.NAME in only]
    for target, judgement in judge_all(results, shown):
        mark = {Verdict.MET: "met", Verdict.NOT_MET: "NOT MET"}.get(judgement.verdict, "?")
        say(f"{mark:>8}  {target.title}: {judgement.figure} {judgement.ratio}".rstrip())


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Once: an impatient second Ctrl-C would leave behind what the first is just stopping."""
    for each in ENDING_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
