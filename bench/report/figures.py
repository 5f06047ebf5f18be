"""Targets and verdicts: what a figure must be, and whether it is. Also the statistics used.

A target is judged from raw results only, so that a report rendered again says the same.
"""

import enum
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.report.programs import MeasurementFailed
from bench.report.results import Results

Source = Callable[[Results], float]


class Verdict(enum.Enum):
    """What became of a target."""

    MET = "met"
    NOT_MET = "**not met**"
    NOT_MEASURED = "not measured"


class Judgement(NamedTuple):
    """A target's figure and its ratio as shown; for what was not measured, the reason."""

    figure: str
    ratio: str
    verdict: Verdict


class Target(NamedTuple):
    """One line of the report's table. `weigh` raises MeasurementFailed where figures lack."""

    title: str
    weigh: Callable[[Results], Judgement]

    def judge(self, results: Results) -> Judgement:
        """The verdict, with the reason in place of a figure where there is none."""
        try:
            return self.weigh(results)
        except MeasurementFailed as error:
            return Judgement(str(error), "", Verdict.NOT_MEASURED)


def at_least_ratio(title: str, value: Source, base: Source, factor: float, unit: str) -> Target:
    """`value` is at least `factor` times `base`."""
    return _ratio(title, value, base, lambda ratio: ratio >= factor, unit)


def at_most_ratio(title: str, value: Source, base: Source, factor: float, unit: str) -> Target:
    """`value` is at most `factor` times `base`."""
    return _ratio(title, value, base, lambda ratio: ratio <= factor, unit)


def at_most(title: str, value: Source, bound: float, unit: str) -> Target:
    """`value` is at most `bound`."""
    return _absolute(title, value, lambda found: found <= bound, unit)


def at_least(title: str, value: Source, bound: float, unit: str) -> Target:
    """`value` is at least `bound`."""
    return _absolute(title, value, lambda found: found >= bound, unit)


def unless_refused(target: Target, refused: Callable[[Results], int]) -> Target:
    """`target`, not met where requests were refused or lost: a refusal is no fast answer."""

    def weigh(results: Results) -> Judgement:
        judgement = target.weigh(results)
        count = refused(results)
        if not count:
            return judgement
        shown = f"{judgement.figure}, but {count:,} requests failed"
        return judgement._replace(figure=shown, verdict=Verdict.NOT_MET)

    return Target(target.title, weigh)


def _ratio(
    title: str, value: Source, base: Source, holds: Callable[[float], bool], unit: str
) -> Target:
    def weigh(results: Results) -> Judgement:
        found, against = value(results), base(results)
        if against <= 0:
            raise MeasurementFailed("what it is compared with is zero")
        ratio = found / against
        shown = f"{shown_number(found)}{unit} to {shown_number(against)}{unit}"
        return Judgement(shown, f"{ratio:.2f} x", _verdict(holds(ratio)))

    return Target(title, weigh)


def _absolute(title: str, value: Source, holds: Callable[[float], bool], unit: str) -> Target:
    def weigh(results: Results) -> Judgement:
        found = value(results)
        return Judgement(f"{shown_number(found)}{unit}", "", _verdict(holds(found)))

    return Target(title, weigh)


def _verdict(is_met: bool) -> Verdict:
    return Verdict.MET if is_met else Verdict.NOT_MET


def shown_number(value: float) -> str:
    """A figure with about three digits that count, thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def median(values: Sequence[float]) -> float:
    """The middle one. Raises MeasurementFailed for none."""
    if not values:
        raise MeasurementFailed("there is nothing to take the median of")
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """Lowest to highest, as shown beside a median."""
    return f"{shown_number(min(values))} to {shown_number(max(values))}"


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """Change of the values per unit of time, by least squares. Raises MeasurementFailed."""
    if len(times) < 3:
        raise MeasurementFailed("too few samples for a slope")
    return statistics.linear_regression(times, values).slope
