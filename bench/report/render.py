"""Writes RESULTS.md from raw results: what it was measured on, the table of targets, the details.

Nothing is measured here and nothing hidden: what was missed or not measured says so.
"""

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.report.figures import Judgement, Target, Verdict
from bench.report.measurements import MEASUREMENTS, Measurement
from bench.report.programs import MeasurementFailed, without_paths
from bench.report.results import Environment, Results

WIDTH = 110
STOLEN_SHARE_SHOWN = 0.1
QUICK_WARNING = (
    "**A quick run of seconds a measurement, to see that everything works: these figures mean "
    "nothing.**"
)


def write_report(results: Results, destination: Path) -> None:
    """RESULTS.md in `destination`."""
    destination.mkdir(parents=True, exist_ok=True)
    (destination / "RESULTS.md").write_text(render(results, MEASUREMENTS))


def judge_all(
    results: Results, measurements: Sequence[Measurement]
) -> list[tuple[Target, Judgement]]:
    """Every target of these measurements with what became of it."""
    return [(target, target.judge(results)) for each in measurements for target in each.TARGETS]


def render(results: Results, measurements: Sequence[Measurement]) -> str:
    """The whole document."""
    lines = ["# Performance", ""]
    environment = results.environment()
    if environment is not None:
        lines += _opening(environment)
    lines += ["## Targets", "", *_targets(judge_all(results, measurements)), ""]
    if environment is not None:
        lines += _environment(environment)
    lines += ["## Measurements", ""]
    for each in measurements:
        lines += [f"### {each.TITLE}", "", *_explained(each), "", *_details(each, results), ""]
    lines += _notes(results, measurements, environment)
    return "\n".join(lines).rstrip() + "\n"


def _opening(environment: Environment) -> list[str]:
    warning = [QUICK_WARNING, ""] if environment.is_quick else []
    return [
        *warning,
        *_wrapped(
            f"Measured on {environment.measured_at} by `make perf-report`, which wrote this file: "
            "everything in one run on one machine, so that the ratios hold elsewhere too. Load "
            "generator, server and PostgreSQL share its cores."
        ),
        "",
    ]


def _targets(judged: Iterable[tuple[Target, Judgement]]) -> list[str]:
    judged = list(judged)
    counts = Counter(judgement.verdict for _, judgement in judged)
    summary = f"{counts[Verdict.MET]} of {len(judged)} targets met"
    if counts[Verdict.NOT_MET]:
        summary += f", {counts[Verdict.NOT_MET]} not met"
    if counts[Verdict.NOT_MEASURED]:
        summary += f", {counts[Verdict.NOT_MEASURED]} not measured"
    lines = [f"{summary}.", "", "| target | figure | ratio | |", "|---|---|---:|---|"]
    for target, (figure, ratio, verdict) in judged:
        lines.append(f"| {target.title} | {_cell(figure)} | {ratio} | {verdict.value} |")
    return lines


def _cell(text: str) -> str:
    return without_paths(text).replace("|", "/").replace("\n", " ")


def _environment(environment: Environment) -> list[str]:
    lines = ["## Machine, versions, settings", "", "| | |", "|---|---|"]
    for facts in (environment.machine, environment.versions, environment.settings):
        lines += [f"| {name} | {_cell(value)} |" for name, value in facts]
    return [*lines, ""]


def _explained(measurement: Measurement) -> list[str]:
    """The module's docstring: it says exactly what is measured."""
    paragraphs = (measurement.__doc__ or "").strip().split("\n\n")
    lines: list[str] = []
    for paragraph in paragraphs:
        lines += [*_wrapped(paragraph), ""]
    return lines[:-1]


def _details(measurement: Measurement, results: Results) -> list[str]:
    try:
        lines = measurement.details(results.get(measurement.NAME, measurement.Figures))
    except MeasurementFailed as error:
        lines = [f"Not measured: {_cell(str(error))}."]
    return [part for line in lines for part in (_wrapped(line) if _is_prose(line) else [line])]


def _is_prose(line: str) -> bool:
    return bool(line) and not line.startswith(("|", "!"))


def _notes(
    results: Results, measurements: Sequence[Measurement], environment: Environment | None
) -> list[str]:
    """What a reader should know before relying on the figures."""
    notes = []
    for each in measurements:
        record = results.record(each.NAME)
        if environment and record and record.run_id != environment.run_id:
            notes.append(
                f"{each.TITLE} was measured in another run, on {record.measured_at}: a ratio "
                "between two runs says less than one within a run."
            )
        if record and record.stolen_share >= STOLEN_SHARE_SHOWN:
            notes.append(
                f"{each.TITLE}: the machine below took {record.stolen_share:.0%} of the cores in "
                f"the worst second, {record.stolen_seconds:,.1f} s of their time in all "
                f"{record.seconds:,.0f} s; latencies there are as much its own."
            )
    for line in environment.notable if environment else ():
        notes.append(f"In the server's log: `{_cell(line).replace('`', chr(39))}`")
    return ["## Notes", "", *(f"- {note}" for note in notes)] if notes else []


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), WIDTH, break_long_words=False)
